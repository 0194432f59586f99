// The simulated kernel's own promises: virtual time, a network that does what it is told, limits,
// and sameness.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>  // NOLINT(modernize-deprecated-headers): POSIX's

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "pollard/platform/poll.h"
#include "pollard/platform/socket.h"
#include "pollard/platform/time.h"
#include "pollard/testkit/forked.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/testkit/sockets.h"

namespace pollard::sim {
namespace {

using namespace std::chrono_literals;
using namespace testing;  // NOLINT(google-build-using-namespace): pairs, pipes, listeners

platform::Endpoint endpoint(const char* ip, std::uint16_t port) {
  platform::Endpoint parsed{.port = port};
  BOOST_TEST_REQUIRE(platform::parse_ip(ip, parsed));
  return parsed;
}

// Waits for it by poll, without a limit; what poll says.
short wait_for(int fd, short events) {
  platform::PollRecord record{.fd = fd, .events = events, .revents = 0};
  BOOST_TEST(platform::poll_milliseconds({&record, 1}, -1).ok());
  return record.revents;
}

Duration since(const Kernel& kernel, MonotonicTime start) { return kernel.now() - start; }

Duration wall_clock() {
  timespec time{};
  platform::system_calls().clock_gettime(CLOCK_REALTIME, &time);
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

BOOST_AUTO_TEST_SUITE(simulated_kernel)

BOOST_AUTO_TEST_CASE(it_is_in_force_while_it_lives) {
  const platform::SystemCalls* const before = &platform::system_calls();
  {
    const Kernel kernel;
    BOOST_TEST(Kernel::current() == &kernel);
    BOOST_TEST(&platform::system_calls() == &kernel.system_calls());
  }
  BOOST_TEST(Kernel::current() == nullptr);
  BOOST_TEST(&platform::system_calls() == before);
}

BOOST_AUTO_TEST_CASE(its_table_has_every_entry) {
  const Kernel kernel;
  std::array<std::uintptr_t, sizeof(platform::SystemCalls) / sizeof(void*)> entries{};
  std::memcpy(entries.data(), &kernel.system_calls(), sizeof entries);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    BOOST_TEST(entries[i] != 0U, "entry " << i << " of the table is missing");
  }
}

BOOST_AUTO_TEST_CASE(a_timeout_takes_no_real_time_and_is_exact) {
  const Kernel kernel({.call_time = 0ns});
  const MonotonicTime start = kernel.now();
  BOOST_TEST(platform::poll_nanoseconds({}, 10h).ok());
  BOOST_TEST((since(kernel, start) == 10h));
  BOOST_TEST((platform::monotonic_now() == kernel.now()));
}

BOOST_AUTO_TEST_CASE(each_call_takes_its_time) {
  const Kernel kernel({.call_time = 1ms});
  const MonotonicTime start = kernel.now();
  const std::uint64_t calls = kernel.calls();
  for (int i = 0; i < 10; ++i) static_cast<void>(platform::monotonic_now());
  BOOST_TEST((since(kernel, start) == 10ms));
  BOOST_TEST(kernel.calls() - calls == 10U);
}

BOOST_AUTO_TEST_CASE(the_wall_clock_jumps_alone) {
  Kernel kernel({.call_time = 0ns, .wall_clock = 1000s});
  BOOST_TEST((wall_clock() == 1000s));
  kernel.advance(5s);
  BOOST_TEST((wall_clock() == 1005s));
  const MonotonicTime before = kernel.now();
  kernel.jump_wall_clock(-100s);
  BOOST_TEST((wall_clock() == 905s));
  BOOST_TEST((kernel.now() == before));
}

BOOST_AUTO_TEST_CASE(what_is_sent_takes_the_latency) {
  const Kernel kernel({.latency = 30ms, .call_time = 0ns});
  const Listener listener = listen_on_loopback();
  const MonotonicTime start = kernel.now();
  const Descriptor client = start_connecting(listener.endpoint);
  wait_for(client.get(), POLLOUT);
  BOOST_TEST((since(kernel, start) == 60ms), "there and back");
  const Descriptor server = accept_from(listener);
  BOOST_TEST((since(kernel, start) == 90ms), "and there again");
  write_text(client.get(), "hello");
  BOOST_TEST(read_text(server.get()).empty());
  wait_for(server.get(), POLLIN);
  BOOST_TEST((since(kernel, start) == 120ms));
  BOOST_TEST(read_text(server.get()) == "hello");
}

BOOST_AUTO_TEST_CASE(a_wait_that_nothing_can_end_is_the_end) {
  BOOST_TEST(aborts([] {
    const Kernel kernel;
    const Pair pair = socket_pair();
    wait_for(pair.near.get(), POLLIN);
  }));
}

BOOST_AUTO_TEST_CASE(silent_peers_let_a_connect_time_out) {
  Kernel kernel({.call_time = 0ns, .connect_timeout = 20s});
  kernel.silence(endpoint("192.0.2.1", 0));
  const MonotonicTime start = kernel.now();
  const Descriptor client = start_connecting(endpoint("192.0.2.1", 80));
  wait_for(client.get(), POLLOUT);
  BOOST_TEST((since(kernel, start) == 20s));
  BOOST_TEST((platform::take_socket_error(client.get()) == std::errc::timed_out));
}

BOOST_AUTO_TEST_CASE(who_keeps_silent_for_a_while_is_found_by_a_later_attempt) {
  Kernel kernel;
  const Listener listener = listen_on_loopback();
  kernel.silence(listener.endpoint);
  const Descriptor client = start_connecting(listener.endpoint);
  kernel.advance(2s);
  kernel.restore(listener.endpoint);
  wait_for(client.get(), POLLOUT);
  BOOST_TEST(!platform::take_socket_error(client.get()));
}

BOOST_AUTO_TEST_CASE(refusing_addresses_refuse_although_somebody_listens) {
  Kernel kernel;
  const Listener listener = listen_on_loopback();
  kernel.refuse(listener.endpoint);
  const Descriptor client = start_connecting(listener.endpoint);
  wait_for(client.get(), POLLOUT);
  BOOST_TEST((platform::take_socket_error(client.get()) == std::errc::connection_refused));
}

BOOST_AUTO_TEST_CASE(other_machines_are_out_of_reach_and_own_addresses_are_not) {
  const Kernel kernel({.addresses = {endpoint("10.0.0.1", 0)}});
  const Descriptor client(platform::open_stream_socket(platform::Family::kIpv4).descriptor());
  BOOST_TEST(platform::connect_socket(client.get(), endpoint("10.0.0.2", 80))
                 .is(std::errc::network_unreachable));
  BOOST_TEST(platform::bind_socket(client.get(), endpoint("10.0.0.2", 80))
                 .is(std::errc::address_not_available));
  BOOST_TEST(platform::bind_socket(client.get(), endpoint("10.0.0.1", 80)).ok());
}

BOOST_AUTO_TEST_CASE(a_full_backlog_keeps_newcomers_waiting) {
  Kernel kernel;
  const Listener listener = listen_on_loopback(1);
  const Descriptor first = start_connecting(listener.endpoint);
  const Descriptor second = start_connecting(listener.endpoint);
  const Descriptor third = start_connecting(listener.endpoint);
  platform::PollRecord record{.fd = third.get(), .events = POLLOUT, .revents = 0};
  BOOST_TEST(platform::poll_milliseconds({&record, 1}, 500).count() == 0U);
  const Descriptor accepted = accept_from(listener);
  BOOST_TEST(wait_for(third.get(), POLLOUT) == POLLOUT);
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_cut_is_reset_at_both_ends) {
  Kernel kernel;
  const Pair pair = tcp_pair();
  platform::Endpoint local;
  BOOST_TEST_REQUIRE(platform::local_endpoint(pair.near.get(), local).ok());
  BOOST_TEST(kernel.cut(local));
  BOOST_TEST((read_error(pair.near.get()) == std::errc::connection_reset));
  BOOST_TEST((read_error(pair.far.get()) == std::errc::connection_reset));
  BOOST_TEST(!kernel.cut(local));
}

BOOST_AUTO_TEST_CASE(a_stalled_connection_delivers_when_it_goes_on) {
  Kernel kernel;
  const Pair pair = tcp_pair();
  platform::Endpoint local;
  BOOST_TEST_REQUIRE(platform::local_endpoint(pair.near.get(), local).ok());
  BOOST_TEST(kernel.stall(local));
  write_text(pair.near.get(), "there");
  write_text(pair.far.get(), "back");
  BOOST_TEST(platform::shutdown_sending(pair.far.get()).ok());
  kernel.advance(1h);
  BOOST_TEST(read_text(pair.near.get()).empty());
  BOOST_TEST((read_error(pair.near.get()) == std::errc::operation_would_block));
  BOOST_TEST(kernel.resume(local));
  BOOST_TEST(read_text(pair.near.get()) == "back");
  BOOST_TEST(!read_error(pair.near.get()), "the end came too");
  BOOST_TEST(read_text(pair.far.get()) == "there");
}

BOOST_AUTO_TEST_CASE(a_socket_can_connect_to_itself) {
  const Kernel kernel;
  const Descriptor self(platform::open_stream_socket(platform::Family::kIpv4).descriptor());
  const platform::Endpoint own = endpoint("127.0.0.1", 4242);
  BOOST_TEST_REQUIRE(platform::bind_socket(self.get(), own).ok());
  BOOST_TEST(platform::connect_socket(self.get(), own).is(std::errc::operation_in_progress));
  wait_for(self.get(), POLLOUT);
  write_text(self.get(), "hello me");
  BOOST_TEST(read_text(self.get()) == "hello me");
  platform::Endpoint peer;
  BOOST_TEST(platform::peer_endpoint(self.get(), peer).ok());
  BOOST_TEST((peer == own));
}

BOOST_AUTO_TEST_CASE(an_ipv6_listener_hears_ipv4_unless_it_says_otherwise) {
  for (const bool only : {false, true}) {
    const Kernel kernel;
    const Descriptor listener(platform::open_stream_socket(platform::Family::kIpv6).descriptor());
    BOOST_TEST_REQUIRE(platform::set_ipv6_only(listener.get(), only).ok());
    BOOST_TEST_REQUIRE(platform::bind_socket(listener.get(), endpoint("::", 80)).ok());
    BOOST_TEST_REQUIRE(platform::listen_socket(listener.get(), 8).ok());
    const Descriptor client = start_connecting(endpoint("127.0.0.1", 80));
    BOOST_TEST((wait_for(client.get(), POLLOUT) == POLLOUT) == !only);
    if (only) continue;
    platform::Endpoint peer;
    const Descriptor accepted(platform::accept_socket(listener.get(), peer).descriptor());
    BOOST_TEST(platform::format_ip(peer) == "::ffff:127.0.0.1");
  }
}

BOOST_AUTO_TEST_CASE(ports_are_taken_shared_and_balanced) {
  const Kernel kernel;
  const platform::Endpoint at = endpoint("127.0.0.1", 80);
  const auto bound = [&](bool shared) {
    Descriptor fd(platform::open_stream_socket(platform::Family::kIpv4).descriptor());
    if (shared) BOOST_TEST(platform::set_reuse_port_balanced(fd.get()).ok());
    if (!platform::bind_socket(fd.get(), at).ok()) fd.reset();
    if (fd) BOOST_TEST(platform::listen_socket(fd.get(), 1000).ok());
    return fd;
  };
  const std::array<Descriptor, 2> listeners = {bound(true), bound(true)};
  BOOST_TEST_REQUIRE((listeners[0] && listeners[1]));
  BOOST_TEST(!bound(false));
  std::vector<Descriptor> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(start_connecting(at));
  for (const Descriptor& listener : listeners) {
    int accepted = 0;
    std::vector<Descriptor> kept;
    platform::Endpoint peer;
    for (;;) {
      const platform::Result made = platform::accept_socket(listener.get(), peer);
      if (!made.ok()) break;
      kept.emplace_back(made.descriptor());
      ++accepted;
    }
    BOOST_TEST(accepted > 25);
  }
}

BOOST_AUTO_TEST_CASE(descriptors_have_the_lowest_number_and_a_limit) {
  const Kernel kernel({.first_descriptor = 2000, .descriptor_limit = 3});
  const auto& calls = kernel.system_calls();
  for (int number = 2000; number < 2003; ++number) BOOST_TEST(calls.eventfd(0, 0) == number);
  BOOST_TEST(calls.eventfd(0, 0) == -EMFILE);
  BOOST_TEST(calls.socket(AF_INET, SOCK_STREAM, 0) == -EMFILE);
  BOOST_TEST(calls.close(2001) == 0);
  BOOST_TEST(calls.close(2001) == -EBADF);
  int fds[2];
  BOOST_TEST(calls.pipe(fds) == -EMFILE);
  BOOST_TEST(calls.fcntl(2000, F_DUPFD, 0) == 2001);
  BOOST_TEST(kernel.open_descriptors().size() == 3U);
  for (int number = 2000; number < 2003; ++number) calls.close(number);
  BOOST_TEST(kernel.open_descriptors().empty());
}

BOOST_AUTO_TEST_CASE(files_have_a_limit_of_their_own) {
  const Kernel kernel({.file_limit = 1});
  const Descriptor only(kernel.system_calls().eventfd(0, 0));
  BOOST_TEST(kernel.system_calls().eventfd(0, 0) == -ENFILE);
  const Descriptor duplicated = duplicate(only.get());
  BOOST_TEST(duplicated.get() > only.get());
}

BOOST_AUTO_TEST_CASE(what_is_open_is_told_in_words) {
  const Kernel kernel;
  const Listener listener = listen_on_loopback();
  const auto open = kernel.open_descriptors();
  BOOST_TEST_REQUIRE(open.size() == 1U);
  BOOST_TEST(open[0].fd == listener.fd.get());
  BOOST_TEST(open[0].what ==
             "TCP socket 127.0.0.1:" + std::to_string(listener.endpoint.port) + " (listening)");
}

BOOST_AUTO_TEST_CASE(real_files_are_read_under_their_numbers) {
  const Kernel kernel;
  const Descriptor file = temporary_file("content");
  const Pair pair = tcp_pair();
  BOOST_TEST(kernel.system_calls().sendfile(pair.near.get(), file.get(), 3, 100) == 4);
  BOOST_TEST(read_text(pair.far.get()) == "tent");
  BOOST_TEST(wait_for(file.get(), POLLIN) == POLLIN);
}

BOOST_AUTO_TEST_CASE(blocking_calls_block) {
  const Kernel kernel;
  int fds[2];
  BOOST_TEST_REQUIRE(kernel.system_calls().pipe(fds) == 0);
  const Descriptor reader(fds[0]);
  const Descriptor writer(fds[1]);
  std::thread other([&] { write_text(writer.get(), "late"); });
  char text[8];
  BOOST_TEST(kernel.system_calls().read(reader.get(), text, sizeof text) == 4);
  other.join();
}

BOOST_AUTO_TEST_CASE(time_waits_for_threads_that_run_and_not_for_those_that_sleep) {
  const Kernel kernel;
  const MonotonicTime start = kernel.now();
  const Pair pair = socket_pair();
  std::thread other([&] {
    static_cast<void>(platform::poll_nanoseconds({}, 1h));
    write_text(pair.near.get(), "an hour later");
  });
  wait_for(pair.far.get(), POLLIN);
  BOOST_TEST((since(kernel, start) < 2h));
  other.join();
  std::thread last([] { static_cast<void>(platform::poll_nanoseconds({}, 5h)); });
  last.join();  // asleep elsewhere
  BOOST_TEST((since(kernel, start) >= 6h));
}

// Such as one that was joined a moment ago, and that the system still counts.
BOOST_AUTO_TEST_CASE(a_thread_that_was_there_before_may_end_and_time_waits_for_the_others) {
  std::atomic<bool> enough{false};
  std::thread before([&] { enough.wait(false); });
  const Kernel kernel;
  const Pair pair = socket_pair();
  std::thread other([&] {
    const auto busy_until = std::chrono::steady_clock::now() + 50ms;
    while (std::chrono::steady_clock::now() < busy_until) continue;
    write_text(pair.near.get(), "at last");
  });
  enough = true;
  enough.notify_all();
  before.join();
  wait_for(pair.far.get(), POLLIN);
  BOOST_TEST(read_text(pair.far.get()) == "at last");
  other.join();
}

BOOST_AUTO_TEST_CASE(time_passes_although_a_thread_never_sleeps) {
  const Kernel kernel;
  std::atomic<bool> enough{false};
  std::thread busy([&] {
    while (!enough) std::this_thread::yield();
  });
  BOOST_TEST(platform::poll_nanoseconds({}, 20ms).ok());
  enough = true;
  busy.join();
}

// The whole of what a program sees is a function of its options.
std::string story(std::uint64_t seed) {
  const Kernel kernel({.seed = seed, .latency = 3ms});
  std::string text;
  for (int i = 0; i < 5; ++i) {
    const Listener listener = listen_on_loopback();
    const Descriptor client = start_connecting(listener.endpoint);
    const Descriptor server = accept_from(listener);
    text += std::to_string(listener.endpoint.port) + ' ' +
            std::to_string(kernel.now().time_since_epoch().count()) + '\n';
  }
  return text + std::to_string(kernel.calls());
}

BOOST_AUTO_TEST_CASE(the_same_seed_is_the_same_story) {
  BOOST_TEST(story(1) == story(1));
  BOOST_TEST(story(1) != story(2));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::sim
