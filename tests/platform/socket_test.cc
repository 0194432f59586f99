#include "pollard/platform/socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/test/unit_test.hpp>
#include <initializer_list>
#include <string>

#include "pollard/platform/descriptor.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sockets.h"

namespace pollard::platform {
namespace {

using testing::Call;
using testing::Faults;
using testing::kForever;
using testing::Listener;
using testing::Pair;

void expect_flags(int fd) {
  BOOST_TEST((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "close-on-exec");
  BOOST_TEST((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, "non-blocking");
}

// How many descriptors below a thousand are open: what a failure leaked shows here.
int open_descriptors() {
  int open = 0;
  for (int fd = 0; fd < 1000; ++fd) open += is_open(fd) ? 1 : 0;
  return open;
}

BOOST_AUTO_TEST_SUITE(socket)

BOOST_AUTO_TEST_CASE(a_new_socket_does_not_block_and_is_not_inherited) {
  for (const Family family : {Family::kIpv4, Family::kUnix}) {
    const Result made = open_stream_socket(family);
    BOOST_TEST_REQUIRE(made.ok());
    const Descriptor fd(made.descriptor());
    expect_flags(fd.get());
  }
}

BOOST_AUTO_TEST_CASE(a_socket_that_cannot_be_made_says_why) {
  Faults faults;
  faults.fail(Call::kSocket, std::errc::too_many_files_open);
  BOOST_TEST(open_stream_socket(Family::kIpv4).is(std::errc::too_many_files_open));
}

BOOST_AUTO_TEST_CASE(an_accepted_socket_does_not_block_and_is_not_inherited) {
  for (const std::errc missing :
       {std::errc{}, std::errc::function_not_supported, std::errc::operation_not_permitted}) {
    Faults faults;
    if (missing != std::errc{}) faults.fail(Call::kAccept4, missing, {.times = kForever});
    const Listener listener = testing::listen_on_loopback();
    const Descriptor client = testing::start_connecting(listener.endpoint);
    testing::wait_readable(listener.fd.get());
    Endpoint peer;
    const Result made = accept_socket(listener.fd.get(), peer);
    BOOST_TEST_REQUIRE(made.ok());
    const Descriptor accepted(made.descriptor());
    expect_flags(accepted.get());
    Endpoint local;
    BOOST_TEST(local_endpoint(client.get(), local).ok());
    BOOST_TEST((peer == local));
    BOOST_TEST((faults.count(Call::kAccept) == 0U || faults.count(Call::kAccept4) == 1U));
  }
}

BOOST_AUTO_TEST_CASE(an_accept_of_nothing_would_block) {
  const Listener listener = testing::listen_on_loopback();
  Endpoint peer;
  BOOST_TEST(accept_socket(listener.fd.get(), peer).would_block());
}

BOOST_AUTO_TEST_CASE(an_accepted_socket_that_cannot_be_prepared_is_closed) {
  Faults faults;
  const Listener listener = testing::listen_on_loopback();
  const Descriptor client = testing::start_connecting(listener.endpoint);
  testing::wait_readable(listener.fd.get());
  const int before = open_descriptors();
  faults.fail(Call::kAccept4, std::errc::function_not_supported, {.times = kForever});
  faults.fail(Call::kFcntl, std::errc::bad_file_descriptor);
  Endpoint peer;
  BOOST_TEST(accept_socket(listener.fd.get(), peer).is(std::errc::bad_file_descriptor));
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(both_ends_know_where_they_are) {
  const Listener listener = testing::listen_on_loopback();
  const Descriptor client = testing::start_connecting(listener.endpoint);
  const Descriptor server = testing::accept_from(listener);
  Endpoint here;
  Endpoint there;
  BOOST_TEST(peer_endpoint(client.get(), there).ok());
  BOOST_TEST((there == listener.endpoint));
  BOOST_TEST(local_endpoint(client.get(), here).ok());
  BOOST_TEST(peer_endpoint(server.get(), there).ok());
  BOOST_TEST((here == there));
  BOOST_TEST(peer_endpoint(listener.fd.get(), there).is(std::errc::not_connected));
}

BOOST_AUTO_TEST_CASE(a_taken_port_is_an_error) {
  const Listener listener = testing::listen_on_loopback();
  const Descriptor other(open_stream_socket(Family::kIpv4).descriptor());
  BOOST_TEST(bind_socket(other.get(), listener.endpoint).is(std::errc::address_in_use));
}

BOOST_AUTO_TEST_CASE(a_pending_error_is_taken_by_asking) {
  const Descriptor fd(open_stream_socket(Family::kIpv4).descriptor());
  BOOST_TEST(take_socket_error(fd.get()) == std::error_code());
  const Result connecting = connect_socket(fd.get(), testing::refusing_endpoint());
  if (connecting.is(std::errc::connection_refused)) return;  // a system that knows at once
  testing::wait_writable(fd.get());
  BOOST_TEST((take_socket_error(fd.get()) == std::errc::connection_refused));
  BOOST_TEST(take_socket_error(fd.get()) == std::error_code());
}

BOOST_AUTO_TEST_CASE(asking_what_is_no_socket_is_an_error) {
  const Descriptor file = testing::temporary_file();
  BOOST_TEST((take_socket_error(file.get()) == std::errc::not_a_socket));
  BOOST_TEST((take_socket_error(-1) == std::errc::bad_file_descriptor));
}

template <class Value>
Value option(int fd, int level, int name) {
  Value value{};
  socklen_t size = sizeof value;
  BOOST_TEST_REQUIRE(::getsockopt(fd, level, name, &value, &size) == 0);
  return value;
}

BOOST_AUTO_TEST_CASE(options_are_set_and_cleared) {
  const Descriptor fd(open_stream_socket(Family::kIpv4).descriptor());
  for (const bool on : {true, false}) {
    BOOST_TEST(set_reuse_address(fd.get(), on).ok());
    BOOST_TEST((option<int>(fd.get(), SOL_SOCKET, SO_REUSEADDR) != 0) == on);
    BOOST_TEST(set_keep_alive(fd.get(), on).ok());
    BOOST_TEST((option<int>(fd.get(), SOL_SOCKET, SO_KEEPALIVE) != 0) == on);
    BOOST_TEST(set_no_delay(fd.get(), on).ok());
  }
  BOOST_TEST(set_send_buffer(fd.get(), 20'000).ok());
  BOOST_TEST(option<int>(fd.get(), SOL_SOCKET, SO_SNDBUF) >= 20'000);
  BOOST_TEST(set_receive_buffer(fd.get(), 20'000).ok());
  BOOST_TEST(option<int>(fd.get(), SOL_SOCKET, SO_RCVBUF) >= 20'000);
  BOOST_TEST(set_linger(fd.get(), std::chrono::seconds(3)).ok());
  const auto with = option<linger>(fd.get(), SOL_SOCKET, SO_LINGER);
  BOOST_TEST(with.l_onoff != 0);
  BOOST_TEST(with.l_linger == 3);
  BOOST_TEST(set_linger(fd.get(), std::nullopt).ok());
  BOOST_TEST(option<linger>(fd.get(), SOL_SOCKET, SO_LINGER).l_onoff == 0);
}

BOOST_AUTO_TEST_CASE(a_linger_of_zero_resets) {
  Pair pair = testing::tcp_pair();
  BOOST_TEST(set_linger(pair.near.get(), std::chrono::seconds(0)).ok());
  pair.near.reset();
  testing::wait_readable(pair.far.get());
  BOOST_TEST((testing::read_error(pair.far.get()) == std::errc::connection_reset));
}

BOOST_AUTO_TEST_CASE(listeners_share_a_port_or_are_told_that_they_cannot) {
  const Descriptor first(open_stream_socket(Family::kIpv4).descriptor());
  const Result set = set_reuse_port_balanced(first.get());
  if (!set.ok()) {
    BOOST_TEST((set.error() == std::errc::operation_not_supported));
    return;
  }
  Endpoint endpoint;
  BOOST_TEST_REQUIRE(parse_ip("127.0.0.1", endpoint));
  BOOST_TEST_REQUIRE(bind_socket(first.get(), endpoint).ok());
  BOOST_TEST_REQUIRE(listen_socket(first.get(), 10).ok());
  BOOST_TEST_REQUIRE(local_endpoint(first.get(), endpoint).ok());
  const Descriptor second(open_stream_socket(Family::kIpv4).descriptor());
  BOOST_TEST_REQUIRE(set_reuse_port_balanced(second.get()).ok());
  BOOST_TEST(bind_socket(second.get(), endpoint).ok());
  BOOST_TEST(listen_socket(second.get(), 10).ok());
}

BOOST_AUTO_TEST_CASE(bind_without_port_leaves_port_to_connect) {
  for (const char* const text : {"127.0.0.1", "::1"}) {
    Endpoint source;
    BOOST_TEST_REQUIRE(parse_ip(text, source));
    const Result made = open_stream_socket(source.family);
    if (!made.ok()) continue;  // a system without IPv6
    const Descriptor fd(made.descriptor());
    const Result set = set_bind_address_no_port(fd.get());
    if (set.is(std::errc::operation_not_supported)) return;
    BOOST_TEST_REQUIRE(set.ok());
    BOOST_TEST_REQUIRE(bind_socket(fd.get(), source).ok());
    Endpoint local;
    BOOST_TEST_REQUIRE(local_endpoint(fd.get(), local).ok());
    BOOST_TEST((local == source), "the port is chosen by connect");
  }
}

BOOST_AUTO_TEST_CASE(linger_interval_is_clamped_to_what_systems_keep) {
  using std::chrono::seconds;
  const Descriptor fd(open_stream_socket(Family::kIpv4).descriptor());
  const auto set_to = [&](seconds interval) {
    BOOST_TEST(set_linger(fd.get(), interval).ok());
    const auto set = option<linger>(fd.get(), SOL_SOCKET, SO_LINGER);
    BOOST_TEST(set.l_onoff != 0);
    return static_cast<int>(set.l_linger);
  };
  BOOST_TEST(set_to(seconds(-1)) == 0);
  BOOST_TEST(set_to(seconds::min()) == 0);
  BOOST_TEST(set_to(seconds(32'767)) == 32'767);
  BOOST_TEST(set_to(seconds(32'768)) == 32'767);
  BOOST_TEST(set_to(seconds::max()) == 32'767);
}

BOOST_AUTO_TEST_CASE(ipv6_only_is_an_option_of_ipv6) {
  const Result made = open_stream_socket(Family::kIpv6);
  if (!made.ok()) return;  // a system without IPv6
  const Descriptor fd(made.descriptor());
  BOOST_TEST(set_ipv6_only(fd.get(), true).ok());
  BOOST_TEST(set_ipv6_only(fd.get(), false).ok());
}

BOOST_AUTO_TEST_CASE(shutdown_ends_the_sending_side_alone) {
  const Pair pair = testing::tcp_pair();
  BOOST_TEST(shutdown_sending(pair.near.get()).ok());
  testing::wait_readable(pair.far.get());
  char byte = 0;
  BOOST_TEST(::recv(pair.far.get(), &byte, 1, 0) == 0);
  testing::write_text(pair.far.get(), "still");
  testing::wait_readable(pair.near.get());
  BOOST_TEST(testing::read_text(pair.near.get()) == "still");
}

BOOST_AUTO_TEST_CASE(a_unix_socket_is_bound_to_its_path_and_removed_by_it) {
  const std::string path =
      "/tmp/pollard-test-" + std::to_string(testing::listen_on_loopback().endpoint.port) + ".sock";
  const Endpoint endpoint{.family = Family::kUnix,
                          .path = std::make_shared<const std::string>(path)};
  const Descriptor fd(open_stream_socket(Family::kUnix).descriptor());
  BOOST_TEST_REQUIRE(bind_socket(fd.get(), endpoint).ok());
  Endpoint local;
  BOOST_TEST(local_endpoint(fd.get(), local).ok());
  BOOST_TEST((local == endpoint));
  BOOST_TEST(remove_path(path).ok());
  BOOST_TEST(remove_path(path).is(std::errc::no_such_file_or_directory));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
