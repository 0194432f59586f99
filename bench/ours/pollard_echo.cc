// Ours, on the backend of your choice: --poller=NAMES.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "ours/serve.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"

namespace {

struct Options {
  std::uint16_t port = 0;
  unsigned threads = 0;
  std::chrono::milliseconds idle_limit{};
  bool level = false;
  std::chrono::microseconds busy_poll{};
};

Options read_options(int argc, char** argv) {
  Options options;
  unsigned idle_milliseconds = 0;
  unsigned busy_microseconds = 0;
  CLI::App app("Sends back what it gets, until SIGTERM.");
  app.footer("--poller=NAMES chooses the poller, as does the variable POLLARD_POLLER.");
  app.add_option("--port", options.port, "on 127.0.0.1; 0: a free one");
  app.add_option("--threads", options.threads, "loops in threads of their own; 0: one for all");
  app.add_option("--idle-limit", idle_milliseconds, "of a connection, in ms; 0: none");
  app.add_flag("--level", options.level, "level-triggered connections");
  app.add_option("--busy-poll", busy_microseconds, "before the loop sleeps, in us; 0: none");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  options.idle_limit = std::chrono::milliseconds(idle_milliseconds);
  options.busy_poll = std::chrono::microseconds(busy_microseconds);
  return options;
}

void serve(pollard::PollerChoice poller, const Options& options) {
  pollard::EventLoop loop({.poller = std::move(poller), .busy_poll = options.busy_poll});
  const auto trigger =
      options.level ? pollard::TriggerChoice::kLevel : pollard::TriggerChoice::kBest;
  pollard::TcpServer echo(
      loop, pollard::Address::loopback(options.port),
      {.on_message = [](const pollard::TcpConnectionPtr& connection,
                        pollard::Buffer& input) { connection->send(input); }},
      {.threads = options.threads,
       .connection = {.trigger = trigger, .timeouts = {.idle = options.idle_limit}}});
  bench::serve_until_ended(loop, echo, [&echo] { return echo.stats(); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_server("pollard_echo", argc, argv, read_options, serve);
}
