// Ours, with the handlers on a worker: --poller=NAMES.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "ours/serve.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/requests/request_server.h"

namespace {

struct Options {
  std::uint16_t port = 0;
  unsigned workers = 1;
};

Options read_options(int argc, char** argv) {
  Options options;
  CLI::App app("Sends back what it gets, by workers, until SIGTERM.");
  app.footer("--poller=NAMES chooses the poller, as does the variable POLLARD_POLLER.");
  app.add_option("--port", options.port, "on 127.0.0.1; 0: a free one");
  app.add_option("--workers", options.workers, "threads that handle requests");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

void serve(pollard::PollerChoice poller, const Options& options) {
  pollard::EventLoop loop({.poller = std::move(poller)});
  pollard::RequestServer echo(loop, pollard::Address::loopback(options.port),
                              {.on_request =
                                   [](pollard::RequestConnection& connection) {
                                     connection.writer().append(connection.reader().read_all());
                                   }},
                              {.workers = {.workers = options.workers}});
  bench::serve_until_ended(loop, echo, [&echo] { return echo.stats().server; });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_server("pollard_requests", argc, argv, read_options, serve);
}
