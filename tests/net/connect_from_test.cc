// Connecting from an address of the caller's choice: its ports, and what meets itself there.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/tcp/connector.h"
#include "pollard/net/tcp/internal/address_race.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND(source_address_without_a_port_gets_its_port_from_connect) {
  const Listener listener = listen_on_loopback();
  const bool possible =
      !platform::set_bind_address_no_port(listener.fd.get()).is(std::errc::not_supported);
  for (const bool with_port : {false, true}) {
    const Address local = Address::loopback(with_port ? refusing_endpoint().port : 0);
    Faults faults;
    bool asked = false;
    faults.replace<&platform::SystemCalls::setsockopt>(
        [&](int fd, int level, int name, const void* value, socklen_t size) {
          // IP_BIND_ADDRESS_NO_PORT, which only Linux has.
          if (level == IPPROTO_IP && name == 24) asked = true;
          return faults.underlying().setsockopt(fd, level, name, value, size);
        });
    EventLoop loop({.poller = backend});
    Descriptor socket;
    Connector connector(
        loop, Address(listener.endpoint),
        {.on_connected = [&](Descriptor made, const Address&) { socket = std::move(made); }},
        {.local = local});
    BOOST_TEST(!connector.start());
    run_until(loop, [&] { return static_cast<bool>(socket); });
    BOOST_TEST(asked == (possible && !with_port));
    platform::Endpoint from;
    BOOST_TEST_REQUIRE(platform::local_endpoint(socket.get(), from).ok());
    BOOST_TEST((Address(from).with_port(0) == Address::loopback(0)));
  }
}

// Linux 6.3 and later: the ports that a socket may take, as two halves of a number (ip(7)).
bool limit_ports(int fd, std::uint16_t first, std::uint16_t last) {
  constexpr int kLocalPortRange = 51;
  const std::uint32_t range = std::uint32_t{last} << 16U | first;
  return kernel_calls().setsockopt(fd, IPPROTO_IP, kLocalPortRange, &range, sizeof range) == 0;
}

POLLARD_EACH_REAL_BACKEND(source_address_serves_more_connections_than_it_has_ports,
                          "the ports of this kernel") {
  constexpr std::uint16_t kFirst = 45'100;
  constexpr std::size_t kPorts = 20;
  constexpr std::size_t kEach = 12;
  EventLoop loop({.poller = backend});
  std::vector<Listener> listeners;
  for (int i = 0; i < 5; ++i) listeners.push_back(listen_on_loopback());
  std::vector<Descriptor> sockets;
  std::vector<std::error_code> failed;
  bool limited = true;
  std::vector<std::unique_ptr<Connector>> connectors;
  for (const Listener& listener : listeners) {
    for (std::size_t i = 0; i < kEach; ++i) {
      connectors.push_back(std::make_unique<Connector>(
          loop, Address(listener.endpoint),
          ConnectorHandlers{
              .on_connected = [&](Descriptor made,
                                  const Address&) { sockets.push_back(std::move(made)); },
              .on_give_up = [&](std::error_code error) { failed.push_back(error); },
              .on_socket =
                  [&](int fd, const Address&) {
                    limited &= limit_ports(fd, kFirst, kFirst + kPorts - 1);
                  }},
          ConnectorOptions{.max_attempts = 1, .local = Address::loopback(0)}));
      BOOST_TEST(!connectors.back()->start());
    }
  }
  run_until(loop, [&] { return sockets.size() + failed.size() == connectors.size(); });
  if (!limited) {
    BOOST_TEST_MESSAGE("note: this kernel limits the ports of no socket");
    return;
  }
  // Other programs may have a few of these ports; without the option, 20 of 60 connect.
  BOOST_TEST(sockets.size() > 2 * kPorts);
}

// A race whose sockets are all bound to the port that they connect to.
POLLARD_EACH_BACKEND(race_from_a_port_releases_sockets_that_met_themselves) {
  for (const bool chosen : {false, true}) {
    const Address target(refusing_endpoint());
    Faults faults;
    if (!chosen) {
      faults.replace<&platform::SystemCalls::connect>(
          [&](int fd, const sockaddr* address, socklen_t size) {
            static_cast<void>(faults.underlying().bind(fd, address, size));
            return faults.underlying().connect(fd, address, size);
          });
    }
    EventLoop loop({.poller = backend});
    const std::size_t before = open_descriptors();
    std::optional<RaceResult> result;
    AddressRace race(loop, {target}, {.on_end = [&](RaceResult how) { result = std::move(how); }},
                     {.local = chosen ? target : Address()});
    race.start();
    run_until(loop, [&] { return result.has_value(); });
    BOOST_TEST_REQUIRE(result->failed.size() == 1U);
    BOOST_TEST(result->failed.front().error == Error::kSelfConnect);
    BOOST_TEST(result->self_connected.size() == (chosen ? 0U : 1U));
    BOOST_TEST(open_descriptors() == before + (chosen ? 0U : 1U));
  }
}

}  // namespace
}  // namespace pollard::testing
