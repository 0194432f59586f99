// Servers that are told host:port: names with one address or several, every interface, IPv6 alone.
#include <sys/socket.h>

#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/fake_names.h"

namespace pollard::testing {
namespace {

constexpr const char* kHost = "here.example";
const Address kElsewhere = Address::parse("192.0.2.77:0");  // RFC 5737

// A server that is told where, and echoes.
struct Serving {
  explicit Serving(const BackendCase& backend) : loop({.poller = backend.poller}) {
    options.connection.trigger = choice_of(backend);
  }

  void start(const HostPort& where) {
    server.emplace(
        loop, where,
        ConnectionHandlers{.on_connect =
                               [this](const TcpConnectionPtr& it) {
                                 const std::lock_guard lock(mutex);
                                 peers.push_back(it->peer_address());
                               },
                           .on_message = [](const TcpConnectionPtr& it,
                                            Buffer& input) { static_cast<void>(it->send(input)); }},
        std::move(options));
    server->start();
  }

  // Whether somebody who connects there is served.
  bool serves(const Address& address) {
    const Descriptor client = start_connecting(address.endpoint());
    run_until(loop, [&] { return peek(client.get()) == Meets::kError || is_connected(client); });
    if (!is_connected(client)) return false;
    write_text(client.get(), "echo");
    run_until(loop, [&] { return peek(client.get()) != Meets::kNothing; });
    return read_text(client.get()) == "echo";
  }
  static bool is_connected(const Descriptor& socket) {
    platform::Endpoint peer;
    return platform::peer_endpoint(socket.get(), peer).ok();
  }

  Faults faults;
  FakeNames names{faults};
  EventLoop loop;
  TcpServerOptions options;
  std::mutex mutex;
  std::vector<Address> peers;  // of the connections
  std::optional<TcpServer> server;
};

bool refuses(const Address& address) {
  const Descriptor client = start_connecting(address.endpoint());
  wait_writable(client.get());
  return platform::take_socket_error(client.get()) == std::errc::connection_refused;
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_name_is_listened_for_at_all_of_its_addresses_with_one_port) {
  for (const unsigned threads : {0U, 2U}) {
    Serving one(backend);
    one.options.threads = threads;
    one.names.know(kHost, {Address::loopback(0), Address::loopback_ipv6(0)});
    one.start("here.example:0");
    const std::uint16_t port = one.server->address().port();
    BOOST_TEST((one.server->addresses() ==
                std::vector{Address::loopback(port), Address::loopback_ipv6(port)}));
    BOOST_TEST(one.serves(Address::loopback(port)));
    BOOST_TEST(one.serves(Address::loopback_ipv6(port)));
    BOOST_TEST(one.server->stats().accepted == 2U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER_UNLESS(each_loop_that_listens_by_itself_does_so_at_every_address,
                                        why_no_balancing) {
  Serving one(backend);
  one.options.threads = 2;
  one.options.balance = LoadBalancing::kKernel;
  one.names.know(kHost, {Address::loopback(0), Address::loopback_ipv6(0)});
  one.server.emplace(one.loop, "here.example:0", ConnectionHandlers{}, std::move(one.options));
  one.server->start();
  const std::vector<Address> addresses = one.server->addresses();
  std::vector<Descriptor> clients;
  for (int round = 0; round < 4; ++round) {
    for (const Address& address : addresses) clients.push_back(connect_to(address));
  }
  run_until(one.loop, [&] { return one.server->stats().accepted == 4 * addresses.size(); });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_star_is_every_interface_of_both_families) {
  Serving one(backend);
  one.start("*:0");
  const std::uint16_t port = one.server->address().port();
  BOOST_TEST((one.server->addresses() == std::vector{Address::any_ipv6(port), Address::any(port)}));
  BOOST_TEST(one.serves(Address::loopback(port)));
  BOOST_TEST(one.serves(Address::loopback_ipv6(port)));
  BOOST_TEST_REQUIRE(one.peers.size() == 2U);
  BOOST_TEST(one.peers[0].is_ipv4(), "who comes by IPv4 is told as such");
  BOOST_TEST(one.peers[1].is_ipv6());
  BOOST_TEST(one.faults.count(Call::kGetaddrinfo) == 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(ipv6_alone_is_had_on_request) {
  for (const char* where : {"*:0", "here.example:0", "[::]:0"}) {
    Serving one(backend);
    one.options.listen.ipv6_only = true;
    one.names.know(kHost, {Address::loopback(0), Address::loopback_ipv6(0)});
    one.start(where);
    BOOST_TEST_REQUIRE(one.server->addresses().size() == 1U);
    const std::uint16_t port = one.server->address().port();
    BOOST_TEST(one.serves(Address::loopback_ipv6(port)));
    BOOST_TEST(refuses(Address::loopback(port)));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(ipv6_alone_of_a_name_that_has_none_is_refused) {
  Serving one(backend);
  one.options.listen.ipv6_only = true;
  one.names.know(kHost, {Address::loopback(0)});
  BOOST_CHECK_EXCEPTION(one.start("here.example:0"), std::system_error, [](const auto& error) {
    return error.code() == std::errc::address_family_not_supported &&
           std::string(error.what()).find("here.example:0") != std::string::npos;
  });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(one_socket_takes_both_families_unless_told_otherwise) {
  Serving both(backend);
  both.start("[::]:0");
  BOOST_TEST_REQUIRE(both.server->addresses().size() == 1U);
  const std::uint16_t port = both.server->address().port();
  // OpenBSD has no such sockets.
  BOOST_TEST((both.serves(Address::loopback(port)) || refuses(Address::loopback(port))));
  BOOST_TEST(both.serves(Address::loopback_ipv6(port)));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_address_of_another_machine_is_left_out) {
  Serving one(backend);
  one.names.know(kHost, {kElsewhere, Address::loopback(0)});
  one.start("here.example:0");
  BOOST_TEST_REQUIRE(one.server->addresses().size() == 1U);
  BOOST_TEST(one.serves(one.server->address()));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_name_of_another_machine_alone_is_refused) {
  Serving one(backend);
  one.names.know(kHost, {kElsewhere});
  BOOST_CHECK_EXCEPTION(one.start("here.example:0"), std::system_error, [](const auto& error) {
    return error.code() == std::errc::address_not_available &&
           std::string(error.what()).find("bind 192.0.2.77:0") != std::string::npos;
  });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(without_ipv6_every_interface_is_ipv4s) {
  Serving one(backend);
  one.faults.replace<&platform::SystemCalls::socket>([&](int domain, int type, int protocol) {
    if (domain == AF_INET6) return -static_cast<int>(std::errc::address_family_not_supported);
    return one.faults.underlying().socket(domain, type, protocol);
  });
  one.start("*:0");
  BOOST_TEST((one.server->addresses() == std::vector{Address::any(one.server->address().port())}));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_port_that_is_taken_at_one_address_is_given_up_at_all) {
  Serving one(backend);
  one.names.know(kHost, {Address::loopback(0), Address::loopback_ipv6(0)});
  one.faults.fail(Call::kBind, std::errc::address_in_use, {.after = 1, .times = 1});
  one.start("here.example:0");
  BOOST_TEST(one.server->addresses().size() == 2U);
  BOOST_TEST(one.faults.count(Call::kBind) == 4U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_search_for_a_port_that_is_free_everywhere_ends) {
  Serving one(backend);
  one.names.know(kHost, {Address::loopback(0), Address::loopback_ipv6(0)});
  int binds = 0;
  one.faults.replace<&platform::SystemCalls::bind>(
      [&](int fd, const sockaddr* address, socklen_t size) {
        if (++binds % 2 == 0) return -static_cast<int>(std::errc::address_in_use);
        return one.faults.underlying().bind(fd, address, size);
      });
  BOOST_CHECK_EXCEPTION(one.start("here.example:0"), std::system_error, [](const auto& error) {
    return error.code() == std::errc::address_in_use;
  });
  BOOST_TEST(binds < 100);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_that_cant_be_found_says_which_and_why) {
  Serving one(backend);
  BOOST_CHECK_EXCEPTION(one.start("nobody.example:80"), std::system_error, [](const auto& error) {
    return error.code() == Error::kHostNotFound &&
           std::string(error.what()).starts_with("look up nobody.example:80: ");
  });
  BOOST_CHECK_THROW(one.start("nobody.example"), std::system_error);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_name_is_looked_up_once_and_a_restart_finds_the_same_place) {
  Serving one(backend);
  one.names.know(kHost, {Address::loopback(0), Address::loopback_ipv6(0)});
  one.start("here.example:0");
  const std::vector<Address> before = one.server->addresses();
  one.server->stop();
  BOOST_TEST(refuses(before[0]));
  one.server->start();
  BOOST_TEST((one.server->addresses() == before));
  for (const Address& address : before) BOOST_TEST(one.serves(address));
  BOOST_TEST(one.names.asked(kHost) == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_full_server_keeps_who_comes_waiting_at_every_address) {
  Serving one(backend);
  one.options.max_connections = 1;
  one.options.when_full = WhenFull::kWait;
  one.names.know(kHost, {Address::loopback(0), Address::loopback_ipv6(0)});
  one.start("here.example:0");
  const std::vector<Address> addresses = one.server->addresses();
  // Both wait when the loop looks: one event each, and room for one.
  Descriptor first = connect_to(addresses[0]);
  Descriptor second = connect_to(addresses[1]);
  run_until(one.loop, [&] { return one.server->connection_count() == 1; });
  run_until_idle(one.loop);
  BOOST_TEST(one.server->stats().accepted == 1U);
  BOOST_TEST(one.server->stats().refused == 0U);
  expect_no_spin(one.loop);
  const bool ipv4_was_first = one.peers.front().is_ipv4();
  (ipv4_was_first ? first : second).reset();
  run_until(one.loop, [&] { return one.peers.size() == 2; });
  BOOST_TEST(one.peers.back().is_ipv4() != ipv4_was_first);
  BOOST_TEST(one.server->stats().refused == 0U);
}

}  // namespace
}  // namespace pollard::testing
