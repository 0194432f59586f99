// Sends back what it gets, on the backend of your choice: over IPv4, IPv6 or a Unix-domain socket.
//
//     echo_server --listen='*:7007' --poller=poll --threads=2
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <system_error>

#include "pollard/base/error.h"
#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/options.h"
#include "support/serve.h"

using namespace std::chrono_literals;

namespace {

struct Options {
  std::string listen = "127.0.0.1:7007";
  unsigned threads = 0;
  bool level = false;
};

// What to do about the failures that everybody meets.
std::string advice(std::error_code error) {
  if (error == std::errc::address_in_use) {
    return "; somebody listens there already: choose another address, or port 0 for any free port";
  }
  if (error == std::errc::permission_denied) {
    return "; you may not: choose a port from 1024 on, or 0 for any free port, or a path that you "
           "may write to";
  }
  if (error == pollard::Error::kHostNotFound) {
    return "; say which address of this machine you mean, or *:PORT for all of them";
  }
  return "";
}

void serve(const Options& options, const pollard::PollerChoice& poller) {
  // A connection is a descriptor, and the usual limit is low.
  pollard::raise_descriptor_limit(1U << 20U);

  pollard::EventLoop loop({.poller = poller});
  pollard::TcpServer server(
      loop, pollard::HostPort::parse(options.listen),
      {.on_message = [](const pollard::TcpConnectionPtr& connection,
                        pollard::Buffer& input) { connection->send(input); }},
      {.threads = options.threads,
       .connection = {
           .trigger =
               options.level ? pollard::TriggerChoice::kLevel : pollard::TriggerChoice::kBest,
           // A peer that doesn't read its echoes isn't read from, so it can't fill our memory.
           .pause_reading_when_full = true}});

  examples::serve_until_stopped(loop, server, 5s);
}

}  // namespace

int main(int argc, char** argv) try {
  // Takes --poller=NAMES out of the arguments; what is left is the program's.
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app(
      "Sends back what it gets.",
      "--poller=NAMES chooses the poller, as does the variable POLLARD_POLLER: poll, or\n"
      "\"kqueue,poll\" for the first of these that works. Without a choice: the best that works.");
  app.add("--listen", options.listen,
          "127.0.0.1:7007, [::1]:7007, localhost:7007, *:7007 (every interface) or\n"
          "unix:/path; 0: any port");
  app.add_threads(options.threads);
  app.add_flag("--level", options.level, "level-triggered, also where the poller has edges");
  if (const auto status = app.parse(argc, argv)) return *status;

  serve(options, poller);
  return 0;
} catch (const std::system_error& error) {
  std::cerr << "echo_server: " << error.what() << advice(error.code()) << '\n';
  return 1;
} catch (const std::exception& error) {
  std::cerr << "echo_server: " << error.what() << '\n';
  return 1;
}
