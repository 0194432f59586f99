// The simulated kernel answers as its profile says: a case for each answer that differs between the
// systems, beside those of kqueue (sim_kqueue_test.cc) and the readiness tables (conformance_test).
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>

#include "pollard/platform/poll.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/testkit/sockets.h"

namespace pollard::sim {
namespace {

using namespace std::chrono_literals;
using namespace testing;  // NOLINT(google-build-using-namespace): pairs, pipes, listeners

// Runs `body(kernel)` on a kernel of each system.
template <class Body>
void on_each_system(Body body) {
  for (const std::string_view name : profile_names()) {
    BOOST_TEST_CONTEXT("profile " << name) {
      Kernel kernel({.profile = *profile_named(name), .call_time = 0ns});
      body(kernel, *profile_named(name));
    }
  }
}

bool is_absent(std::ptrdiff_t answer) {
  if (answer >= 0) Kernel::current()->system_calls().close(static_cast<int>(answer));
  return answer == -ENOSYS;
}

// What SO_ERROR says, as an errno.
int socket_error(const Descriptor& socket) {
  return platform::take_socket_error(socket.get()).value();
}

BOOST_AUTO_TEST_SUITE(simulated_profile)

BOOST_AUTO_TEST_CASE(names_find_their_profiles_and_no_other) {
  for (const std::string_view name : profile_names()) {
    BOOST_TEST_REQUIRE(profile_named(name).has_value());
    BOOST_TEST(profile_named(name)->name == name);
  }
  BOOST_TEST(!profile_named("plan9").has_value());
}

BOOST_AUTO_TEST_CASE(calls_that_a_system_lacks_answer_enosys) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    const platform::SystemCalls& calls = kernel.system_calls();
    int ends[2] = {-1, -1};
    const Listener listener = listen_on_loopback();
    BOOST_TEST(is_absent(calls.epoll_create1(0)) == !profile.has_epoll);
    BOOST_TEST(is_absent(calls.kqueue()) == !profile.has_kqueue);
    BOOST_TEST(is_absent(calls.eventfd(0, 0)) == !profile.has_eventfd);
    BOOST_TEST((calls.pipe2(ends, 0) == -ENOSYS) == !profile.has_pipe2);
    const timespec at_once{};
    BOOST_TEST((calls.ppoll(nullptr, 0, &at_once) == -ENOSYS) == !profile.has_ppoll);
    const int accepted = calls.accept4(listener.fd.get(), nullptr, nullptr, 0);
    BOOST_TEST((accepted == -ENOSYS) == !profile.has_accept4);
  });
}

BOOST_AUTO_TEST_CASE(waits_end_at_ticks_and_never_early) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    kernel.advance(3ms);  // between two ticks
    for (const Duration timeout : {1ms, 10ms, 15ms, 200ms}) {
      const MonotonicTime start = kernel.now();
      platform::PollRecord none{.fd = -1, .events = 0, .revents = 0};
      do {
        BOOST_TEST(platform::poll_milliseconds({&none, 1}, static_cast<int>(timeout / 1ms)).ok());
      } while (profile.short_waits_end_early && kernel.now() == start);  // the one exception
      const Duration took = kernel.now() - start;
      BOOST_TEST((took >= timeout));
      BOOST_TEST((took <= timeout + 2 * profile.tick));
      if (profile.tick > 0ns) BOOST_TEST((kernel.now().time_since_epoch() % profile.tick == 0ns));
    }
  });
}

BOOST_AUTO_TEST_CASE(short_waits_of_poll_end_at_once_now_and_then_on_netbsd_alone) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    int at_once = 0;
    for (int wait = 0; wait < 200; ++wait) {
      const MonotonicTime start = kernel.now();
      platform::PollRecord none{.fd = -1, .events = 0, .revents = 0};
      BOOST_TEST(platform::poll_milliseconds({&none, 1}, 1).ok());
      if (kernel.now() == start) ++at_once;
    }
    BOOST_TEST((at_once > 0) == profile.short_waits_end_early);
    BOOST_TEST(at_once < 100);
  });
}

BOOST_AUTO_TEST_CASE(loopback_delivers_at_once_on_linux_alone) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    const Pair pair = tcp_pair();
    write_text(pair.near.get(), "text");
    const bool at_once = read_text(pair.far.get()) == "text";
    BOOST_TEST(at_once == (profile.loopback_delay == 0ns));
    kernel.let_arrive();
    BOOST_TEST((at_once || read_text(pair.far.get()) == "text"));
  });
}

BOOST_AUTO_TEST_CASE(buffers_hold_what_the_profile_says) {
  on_each_system([](Kernel&, const Profile& profile) {
    const Pair unix_pair = socket_pair();
    BOOST_TEST(fill(unix_pair.near.get()) == profile.unix_buffer);
    const Pair pair = tcp_pair();
    int bytes = 0;
    socklen_t size = sizeof bytes;
    const auto buffer = [&](int option) {
      const auto& calls = Kernel::current()->system_calls();
      BOOST_TEST(calls.getsockopt(pair.near.get(), SOL_SOCKET, option, &bytes, &size) == 0);
      return static_cast<std::size_t>(bytes);
    };
    BOOST_TEST(buffer(SO_SNDBUF) == profile.tcp_send_buffer);
    BOOST_TEST(buffer(SO_RCVBUF) == profile.tcp_receive_buffer);
    BOOST_TEST(platform::set_send_buffer(pair.near.get(), 20'000).ok());
    BOOST_TEST(buffer(SO_SNDBUF) == 20'000 * profile.buffer_factor);
  });
}

BOOST_AUTO_TEST_CASE(close_with_unread_data_resets_where_the_profile_says_so) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    Pair pair = tcp_pair();
    write_text(pair.near.get(), "never read");
    kernel.let_arrive();
    pair.far.reset();
    kernel.let_arrive();
    BOOST_TEST(socket_error(pair.near) == (profile.close_with_unread_resets ? ECONNRESET : 0));
    Pair local = socket_pair();
    write_text(local.near.get(), "never read");
    local.far.reset();
    BOOST_TEST(socket_error(local.near) == (profile.close_with_unread_resets ? ECONNRESET : 0));
  });
}

BOOST_AUTO_TEST_CASE(write_after_the_peers_close_fails_as_the_profile_says) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    Pair pair = tcp_pair();
    pair.far.reset();
    kernel.let_arrive();
    write_text(pair.near.get(), "to a peer that has gone");
    kernel.let_arrive();
    BOOST_TEST(socket_error(pair.near) == (profile.reset_after_end_is_epipe ? EPIPE : ECONNRESET));
  });
}

BOOST_AUTO_TEST_CASE(accept_of_a_reset_connection_answers_as_the_profile_says) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    const Listener listener = listen_on_loopback();
    Descriptor client = start_connecting(listener.endpoint);
    wait_writable(client.get());
    kernel.let_arrive();
    reset_connection(client);
    kernel.let_arrive();
    const int answer = kernel.system_calls().accept(listener.fd.get(), nullptr, nullptr);
    BOOST_TEST((answer == -ECONNABORTED) == profile.accept_reports_aborted);
    if (answer >= 0) kernel.system_calls().close(answer);
  });
}

BOOST_AUTO_TEST_CASE(second_connect_after_success_answers_as_the_profile_says) {
  on_each_system([](Kernel&, const Profile& profile) {
    const Listener listener = listen_on_loopback();
    const Descriptor client = start_connecting(listener.endpoint);
    wait_writable(client.get());
    const platform::Result again = platform::connect_socket(client.get(), listener.endpoint);
    BOOST_TEST(again.ok() == profile.connect_again_tells_success);
    BOOST_TEST(
        platform::connect_socket(client.get(), listener.endpoint).is(std::errc::already_connected));
  });
}

BOOST_AUTO_TEST_CASE(options_that_a_system_refuses_are_refused) {
  on_each_system([](Kernel&, const Profile& profile) {
    const platform::Result made = platform::open_stream_socket(platform::Family::kIpv6);
    const Descriptor socket(made.descriptor());
    const platform::Result cleared = platform::set_ipv6_only(socket.get(), false);
    BOOST_TEST(cleared.ok() == profile.ipv6_only_can_be_cleared);
    BOOST_TEST((cleared.ok() || cleared.is(std::errc::invalid_argument)));
    BOOST_TEST(platform::set_ipv6_only(socket.get(), true).ok());
    BOOST_TEST(platform::set_reuse_port_balanced(socket.get()).ok() == profile.balances_reuse_port);
  });
}

BOOST_AUTO_TEST_CASE(abstract_names_exist_where_the_profile_says_so) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    const platform::Result made = platform::open_stream_socket(platform::Family::kUnix);
    const Descriptor socket(made.descriptor());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, "\0name", 5);
    const socklen_t size = sizeof address.sun_family + 5;
    const int bound =
        kernel.system_calls().bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size);
    BOOST_TEST((bound == 0) == profile.has_abstract_names);
  });
}

BOOST_AUTO_TEST_CASE(unnamed_unix_peer_has_an_address_of_the_profiles_length) {
  on_each_system([](Kernel& kernel, const Profile& profile) {
    const Pair pair = socket_pair();  // near has connected, without a name
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    BOOST_TEST(kernel.system_calls().getpeername(pair.far.get(), address, &size) == 0);
    BOOST_TEST(size == profile.unnamed_unix_size);
    platform::Endpoint peer;
    BOOST_TEST(platform::peer_endpoint(pair.far.get(), peer).ok());
    BOOST_TEST(peer.path_view().empty());
  });
}

// ---- Settings beside the profile ----

BOOST_AUTO_TEST_CASE(small_segment_waits_for_an_acknowledgement_unless_no_delay_is_set) {
  for (const bool no_delay : {false, true}) {
    Kernel kernel({.delayed_ack = 40ms, .call_time = 0ns});
    const Pair pair = tcp_pair();
    BOOST_TEST(platform::set_no_delay(pair.near.get(), no_delay).ok());
    const MonotonicTime start = kernel.now();
    write_text(pair.near.get(), "one");
    write_text(pair.near.get(), "two");
    BOOST_TEST(read_text(pair.far.get()) == (no_delay ? "onetwo" : "one"));
    if (no_delay) continue;
    wait_readable(pair.far.get());
    BOOST_TEST((kernel.now() - start == 40ms));
    BOOST_TEST(read_text(pair.far.get()) == "two");
  }
}

BOOST_AUTO_TEST_CASE(acknowledgement_rides_along_with_an_answer) {
  Kernel kernel({.delayed_ack = 40ms, .call_time = 0ns});
  const Pair pair = tcp_pair();
  const MonotonicTime start = kernel.now();
  for (int round = 0; round < 10; ++round) {
    write_text(pair.near.get(), "ping");
    BOOST_TEST(read_text(pair.far.get()) == "ping");
    write_text(pair.far.get(), "pong");
    BOOST_TEST(read_text(pair.near.get()) == "pong");
  }
  BOOST_TEST((kernel.now() == start));
}

BOOST_AUTO_TEST_CASE(packets_of_one_connection_do_not_overtake_each_other) {
  Kernel kernel({.latency = 1ms, .latency_jitter = 50ms});
  const Pair pair = tcp_pair();
  BOOST_TEST(platform::set_no_delay(pair.near.get(), true).ok());
  std::string sent;
  for (int packet = 0; packet < 100; ++packet) {
    const std::string text = std::to_string(packet) + ' ';
    write_text(pair.near.get(), text);
    sent += text;
  }
  kernel.let_arrive();
  BOOST_TEST(read_text(pair.far.get()) == sent);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::sim
