// What a loop and a server tell of themselves.
#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// Holds the loop up, by the clock.
void be_busy(Duration time) {
  const MonotonicTime end = platform::monotonic_now() + time;
  while (platform::monotonic_now() < end) {
  }
}

POLLARD_EACH_BACKEND(a_turn_that_takes_too_long_is_told_once_with_its_length) {
  std::vector<Duration> told;
  EventLoop loop({.poller = backend,
                  .slow_iteration = {.limit = 20ms,
                                     .callback = [&](Duration took) { told.push_back(took); }}});
  loop.post([] {});
  run_until_idle(loop);
  const std::size_t before = told.size();  // this machine may be slow itself
  loop.post([] { be_busy(30ms); });
  run_until(loop, [&] { return told.size() > before; });
  BOOST_TEST((told[before] >= 30ms));
  BOOST_TEST((loop.stats().longest_iteration >= 30ms));
  BOOST_TEST(loop.stats().slow_iterations == told.size());
}

POLLARD_EACH_BACKEND(what_the_slow_turn_callback_throws_is_thrown_by_run) {
  EventLoop loop({.poller = backend, .slow_iteration = {.limit = 0ms, .callback = [](Duration) {
                                                          throw std::runtime_error("slow");
                                                        }}});
  loop.post([] {});
  BOOST_CHECK_THROW(run_until(loop, [] { return false; }), std::runtime_error);
}

POLLARD_EACH_BACKEND(nothing_is_measured_that_nobody_asked_for) {
  Faults faults;
  EventLoop loop({.poller = backend});
  const std::size_t before = faults.count(Call::kClockGettime);
  for (int i = 0; i < 100; ++i) static_cast<void>(loop.run_once(Duration::zero()));
  BOOST_TEST(faults.count(Call::kClockGettime) == before);
  BOOST_TEST(loop.stats().iterations == 100U);
}

POLLARD_EACH_BACKEND(a_servers_threads_tell_of_their_loops_connections_and_buffers) {
  for (const unsigned threads : {0U, 2U}) {
    EventLoop loop({.poller = backend});
    TcpServer server(loop, Address::loopback(0),
                     {.on_connect =
                          [](const TcpConnectionPtr& connection) {
                            connection->send(std::string(8 << 20, 'x'));
                          }},
                     {.threads = threads});
    server.start();
    std::vector<Descriptor> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(connect_to(server.address()));
    std::vector<TcpServerThread> told;
    run_until(loop, [&] {
      told = server.threads();
      std::size_t holding = 0;
      for (const TcpServerThread& thread : told) holding += thread.buffer_memory;
      return server.connection_count() == 4 && holding > std::size_t{4} << 20U;
    });
    BOOST_TEST(told.size() == std::max(threads, 1U));
    std::size_t open = 0;
    for (const TcpServerThread& thread : told) {
      open += thread.open;
      BOOST_TEST(thread.poller == backend);
      BOOST_TEST(thread.loop.iterations > 0U);
    }
    BOOST_TEST(open == 4U);
    server.stop();
    BOOST_TEST(server.threads().size() == 1U, "the server's own loop is left");
  }
}

POLLARD_EACH_BACKEND(a_server_that_stops_listening_leaves_its_connections_alone) {
  for (const unsigned threads : {0U, 2U}) {
    EventLoop loop({.poller = backend});
    TcpServer server(loop, Address::loopback(0),
                     {.on_message = [](const TcpConnectionPtr& connection,
                                       Buffer& input) { connection->send(input); }},
                     {.threads = threads});
    server.start();
    const Address address = server.address();
    const Descriptor client = connect_to(address);
    run_until(loop, [&] { return server.connection_count() == 1; });
    server.stop_listening();
    server.stop_listening();
    const Descriptor late = start_connecting(address.endpoint());
    wait_writable(late.get());
    BOOST_TEST(read_error(late.get()) == std::errc::connection_refused);
    write_text(client.get(), "still here");
    run_until(loop, [&] { return peek(client.get()) == Meets::kData; });
    BOOST_TEST(read_text(client.get()) == "still here");
    BOOST_TEST(server.stats().accepted == 1U);
    server.stop();
    server.start();
    const Descriptor again = connect_to(address);
    run_until(loop, [&] { return server.connection_count() == 1; });
  }
}

}  // namespace
}  // namespace pollard::testing
