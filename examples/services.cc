// The small services that every machine once had, over TCP: echo (RFC 862), discard (RFC 863),
// chargen (RFC 864), daytime (RFC 867) and time (RFC 868). Their ports are theirs plus an offset,
// so that nobody has to be root.
//
//     services --listen=127.0.0.1 --offset=7000     then: nc 127.0.0.1 7013
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <exception>
#include <iostream>
#include <list>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/options.h"
#include "support/stop_signals.h"
#include "support/where.h"

using namespace std::chrono_literals;
using pollard::Buffer;
using pollard::ConnectionHandlers;
using pollard::ConnectionOptions;
using pollard::TcpConnectionPtr;

namespace {

// How long a peer has to take what it was sent, and to go, when we have said all.
constexpr auto kPatience = 5s;

struct Service {
  std::string_view name;
  std::uint16_t port;
  ConnectionHandlers (*make_handlers)();
};

ConnectionHandlers make_echo() {
  return {.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
    connection->send(input);
  }};
}

// What nobody asks for is read and dropped.
ConnectionHandlers make_discard() { return {}; }

// RFC 864's pattern: lines of 72 of the 95 printing characters, each beginning one further on.
// After 95 lines it begins anew, and so it can be sent over and over again.
std::string make_pattern() {
  constexpr unsigned kPrinting = 95;
  constexpr unsigned kWidth = 72;
  std::string pattern;
  for (unsigned line = 0; line < kPrinting; ++line) {
    for (unsigned column = 0; column < kWidth; ++column) {
      pattern += static_cast<char>(' ' + (line + column) % kPrinting);
    }
    pattern += "\r\n";
  }
  return pattern;
}

// As fast as the peer takes it: the next piece is sent when the last has left. When the peer ends
// its side, so do we.
ConnectionHandlers make_chargen() {
  static const std::string pattern = make_pattern();
  const auto send_more = [](const TcpConnectionPtr& connection) { connection->send(pattern); };
  return {.on_connect = send_more, .on_write_complete = send_more};
}

void say_and_go(const TcpConnectionPtr& connection, std::string words) {
  connection->send(std::move(words));
  connection->shutdown(kPatience);
}

std::time_t now() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

// In a popular form of RFC 867: "Tuesday, February 22, 1982 17:37:43-UTC".
std::string date() {
  const std::time_t time = now();
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 80> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), "%A, %B %d, %Y %H:%M:%S-UTC\r\n", &parts);
  return {text.data(), size};
}

ConnectionHandlers make_daytime() {
  return {.on_connect = [](const TcpConnectionPtr& connection) { say_and_go(connection, date()); }};
}

// Seconds since 1900, in 32 bits with the highest first. They begin again at zero in 2036.
std::string seconds_of_rfc_868() {
  constexpr std::uint64_t kFrom1900To1970 = 2'208'988'800;
  const auto seconds =
      static_cast<std::uint32_t>(static_cast<std::uint64_t>(now()) + kFrom1900To1970);
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) bytes += static_cast<char>(seconds >> shift);
  return bytes;
}

ConnectionHandlers make_time() {
  return {.on_connect = [](const TcpConnectionPtr& connection) {
    say_and_go(connection, seconds_of_rfc_868());
  }};
}

constexpr std::array kServices = {
    Service{"echo", 7, make_echo},        Service{"discard", 9, make_discard},
    Service{"daytime", 13, make_daytime}, Service{"chargen", 19, make_chargen},
    Service{"time", 37, make_time},
};

struct Options {
  std::string listen = "127.0.0.1";
  std::uint16_t offset = 7000;
  bool any_port = false;
  unsigned threads = 0;
};

// Where a service listens: "*:7007", "localhost:7007"; the colons of an IPv6 address need brackets.
pollard::HostPort place_of(const Service& service, const Options& options) {
  const bool ipv6 = std::ranges::count(options.listen, ':') > 1 && options.listen[0] != '[';
  const std::string host = ipv6 ? '[' + options.listen + ']' : options.listen;
  const unsigned port = options.any_port ? 0 : unsigned{service.port} + options.offset;
  return pollard::HostPort::parse(host + ':' + std::to_string(port));
}

void serve(const Options& options, const pollard::PollerChoice& poller) {
  pollard::raise_descriptor_limit(1U << 20U);

  pollard::EventLoop loop({.poller = poller});
  std::list<pollard::TcpServer> servers;
  for (const Service& service : kServices) {
    servers.emplace_back(
        loop, place_of(service, options), service.make_handlers(),
        pollard::TcpServerOptions{
            .threads = options.threads,
            // Who asks and doesn't listen isn't read from, so he can't fill our memory.
            .connection = ConnectionOptions{.pause_reading_when_full = true}});
  }

  // At first everybody still gets what is on its way; who asks twice is in a hurry.
  std::size_t stopping = 0;
  const examples::StopSignals signals(loop, [&] {
    if (std::exchange(stopping, servers.size()) > 0) return loop.stop();
    for (pollard::TcpServer& server : servers) {
      server.stop_gracefully(kPatience, [&] {
        if (--stopping == 0) loop.stop();
      });
    }
  });

  auto service = kServices.begin();
  for (pollard::TcpServer& server : servers) {
    server.start();
    std::cout << service++->name << ": listening on " << examples::where(server) << " with "
              << loop.poller_name() << std::endl;
  }
  loop.run();
}

}  // namespace

int main(int argc, char** argv) try {
  // Takes --poller=NAMES out of the arguments; what is left is the program's.
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app("Serves echo, discard, daytime, chargen and time (RFC 862-868) over TCP.");
  app.add("--listen", options.listen,
          "a host without a port: 127.0.0.1, ::1, localhost, or * for every interface");
  app.add("--offset", options.offset, "added to the services' ports, which are 7, 9, 13, 19 and 37",
          0, 65535 - 37);
  app.add_flag("--any-port", options.any_port, "let the system choose the ports");
  app.exclude("--any-port", "--offset");
  app.add("--threads", options.threads, "loops in threads of their own, for each service", 0, 1024);
  if (const auto status = app.parse(argc, argv)) return *status;

  serve(options, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "services: " << error.what() << '\n';
  return 1;
}
