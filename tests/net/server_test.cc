// Servers: one loop or several, how connections are spread, limits, starting, stopping, counts.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/quiet.h"

namespace pollard::testing {
namespace {

using Kind = DisconnectReason::Kind;

ConnectionHandlers echo() {
  return {.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    static_cast<void>(it->send(input));
  }};
}

TcpServerOptions options_for(const BackendCase& backend, unsigned threads = 0,
                             LoadBalancing balance = LoadBalancing::kRoundRobin) {
  TcpServerOptions options;
  options.threads = threads;
  options.balance = balance;
  options.connection.trigger = choice_of(backend);
  return options;
}

// A server of this backend, and its clients, which are raw sockets.
struct Serving {
  explicit Serving(const BackendCase& backend, ConnectionHandlers handlers = echo(),
                   TcpServerOptions options = {})
      : loop({.poller = backend.poller}),
        server(std::in_place, loop, Address::loopback(0), std::move(handlers),
               with_trigger(backend, std::move(options))) {
    server->start();
  }

  static TcpServerOptions with_trigger(const BackendCase& backend, TcpServerOptions options) {
    options.connection.trigger = choice_of(backend);
    return options;
  }

  Descriptor come() const { return connect_to(server->address()); }

  std::vector<Descriptor> come(std::size_t count) {
    std::vector<Descriptor> clients;
    while (clients.size() < count) clients.push_back(come());
    until_open(count);
    return clients;
  }
  void until_open(std::size_t count) {
    run_until(loop, [&] { return server->connection_count() == count; });
  }
  bool echoes(const Descriptor& client) {
    write_text(client.get(), "ping");
    run_until(loop, [&] { return peek(client.get()) != Meets::kNothing; });
    return read_text(client.get()) == "ping";
  }
  bool is_closed(const Descriptor& client) {
    run_until(loop, [&] { return peek(client.get()) != Meets::kNothing; });
    return peek(client.get()) != Meets::kData;
  }

  EventLoop loop;
  std::optional<TcpServer> server;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_serves_in_its_loop_or_in_threads) {
  for (const unsigned threads : {0U, 1U, 4U}) {
    Serving serving(backend, echo(), options_for(backend, threads));
    const auto clients = serving.come(8);
    for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
    BOOST_TEST(serving.server->started());
    BOOST_TEST(serving.server->address().port() != 0U);
    serving.server->stop();
    BOOST_TEST(!serving.server->started());
    for (const Descriptor& client : clients) BOOST_TEST(serving.is_closed(client));
    BOOST_TEST(serving.server->connection_count() == 0U);
  }
}

POLLARD_EACH_BACKEND(edges_that_a_backend_lacks_are_refused_by_name) {
  EventLoop loop({.poller = backend});
  TcpServerOptions options;
  options.connection.trigger = TriggerChoice::kEdge;
  if (loop.poller_capabilities().edge_triggered) {
    TcpServer server(loop, Address::loopback(0), echo(), std::move(options));
    return;
  }
  BOOST_CHECK_EXCEPTION(TcpServer(loop, Address::loopback(0), echo(), std::move(options)),
                        std::system_error, [&](const std::system_error& error) {
                          return error.code() == std::errc::operation_not_supported &&
                                 std::string(error.what()).find(backend) != std::string::npos;
                        });
}

POLLARD_EACH_BACKEND(without_a_choice_connections_take_the_edges_that_there_are) {
  EventLoop loop({.poller = backend});
  std::optional<bool> edge;
  TcpServer server(loop, Address::loopback(0), {.on_connect = [&](const TcpConnectionPtr& it) {
                     edge = it->edge_triggered();
                   }});
  server.start();
  const Descriptor client = connect_to(server.address());
  run_until(loop, [&] { return edge.has_value(); });
  BOOST_TEST(*edge == loop.poller_capabilities().edge_triggered);
}

// ---- Spreading ----

// Which thread each connection was served in.
struct Spread {
  ConnectionHandlers handlers() {
    ConnectionHandlers handlers = echo();
    handlers.on_connect = [this](const TcpConnectionPtr& it) {
      it->loop().assert_in_loop_thread();
      const std::lock_guard lock(mutex);
      ++served[std::this_thread::get_id()];
    };
    return handlers;
  }
  std::vector<std::size_t> counts() {
    const std::lock_guard lock(mutex);
    std::vector<std::size_t> all;
    for (const auto& [thread, count] : served) all.push_back(count);
    return all;
  }
  std::mutex mutex;
  std::map<std::thread::id, std::size_t> served;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(round_robin_gives_each_thread_the_same) {
  Spread spread;
  Serving serving(backend, spread.handlers(), options_for(backend, 4));
  const auto clients = serving.come(20);
  for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
  BOOST_TEST(spread.counts() == std::vector<std::size_t>(4, 5), boost::test_tools::per_element());
  BOOST_TEST(!spread.served.contains(std::this_thread::get_id()));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(least_connections_fills_up_whoever_has_fewest) {
  Spread spread;
  Serving serving(backend, spread.handlers(),
                  options_for(backend, 2, LoadBalancing::kLeastConnections));
  auto clients = serving.come(6);
  for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
  BOOST_TEST(spread.counts() == std::vector<std::size_t>(2, 3), boost::test_tools::per_element());
  // All of one thread's go: who comes next takes their places.
  clients.erase(clients.begin(), clients.begin() + 1);
  clients.erase(clients.begin() + 1, clients.begin() + 2);
  serving.until_open(4);
  for (int i = 0; i < 2; ++i) {
    clients.push_back(serving.come());
    BOOST_TEST(serving.echoes(clients.back()));
  }
  serving.until_open(6);
  auto counts = spread.counts();
  std::ranges::sort(counts);
  BOOST_TEST(counts == (std::vector<std::size_t>{3, 5}), boost::test_tools::per_element());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_kernel_balances_where_it_can) {
  Spread spread;
  try {
    Serving serving(backend, spread.handlers(), options_for(backend, 4, LoadBalancing::kKernel));
    const auto clients = serving.come(60);
    for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
    BOOST_TEST(spread.counts().size() >= 2U, "more than one thread got some");
    BOOST_TEST(!spread.served.contains(std::this_thread::get_id()));
    BOOST_TEST(serving.server->stats().accepted == 60U);
    const Address address = serving.server->address();
    serving.server->stop();
    serving.server->start();
    BOOST_TEST((serving.server->address() == address));
    const auto more = serving.come(3);
    BOOST_TEST(serving.echoes(more[2]));
  } catch (const std::system_error& error) {
    BOOST_TEST(error.code() == std::errc::operation_not_supported);
  }
}

POLLARD_EACH_BACKEND(the_kernel_balances_no_unix_path) {
  EventLoop loop({.poller = backend});
  const auto path = std::filesystem::temp_directory_path() / "pollard-balanced";
  BOOST_CHECK_EXCEPTION(
      {
        TcpServer server(loop, Address::unix_path(path.string()), echo(),
                         options_for({.poller = backend}, 2, LoadBalancing::kKernel));
        server.start();
      },
      std::system_error,
      [](const std::system_error& error) {
        return error.code() == std::errc::operation_not_supported;
      });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_shared_port_alone_takes_no_balance_from_the_server) {
  Spread spread;
  TcpServerOptions options = options_for(backend, 2);
  options.listen.reuse_port_balanced = true;
  try {
    Serving serving(backend, spread.handlers(), std::move(options));
    const auto clients = serving.come(10);
    for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
    BOOST_TEST(spread.counts() == std::vector<std::size_t>(2, 5), boost::test_tools::per_element());
  } catch (const std::system_error& error) {
    BOOST_TEST(error.code() == std::errc::operation_not_supported);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(each_thread_is_started_before_it_serves) {
  std::mutex mutex;
  std::set<std::thread::id> started;
  std::atomic<bool> unstarted{false};
  ConnectionHandlers handlers = echo();
  handlers.on_connect = [&](const TcpConnectionPtr&) {
    const std::lock_guard lock(mutex);
    if (!started.contains(std::this_thread::get_id())) unstarted = true;
  };
  TcpServerOptions options = options_for(backend, 3);
  options.on_thread_start = [&](EventLoop& loop) {
    loop.assert_in_loop_thread();
    const std::lock_guard lock(mutex);
    started.insert(std::this_thread::get_id());
  };
  Serving serving(backend, std::move(handlers), std::move(options));
  BOOST_TEST(started.size() == 3U);
  const auto clients = serving.come(9);
  for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
  BOOST_TEST(!unstarted);
}

POLLARD_EACH_BACKEND(each_thread_has_the_options_that_it_is_given) {
  std::mutex mutex;
  std::vector<std::string> pollers;
  std::promise<void> thrown;
  ConnectionHandlers handlers = echo();
  handlers.on_disconnect = [](const TcpConnectionPtr&, const DisconnectReason&) {
    throw std::runtime_error("thrown");
  };
  TcpServerOptions options;
  options.threads = 2;
  options.thread_options = [&](unsigned thread) {
    EventLoopOptions own{.receive_buffer_bytes = 8192};
    if (thread == 0) own.poller = "poll";
    own.on_exception = [&](const std::exception_ptr&) { thrown.set_value(); };
    return own;
  };
  options.on_thread_start = [&](EventLoop& loop) {
    const std::lock_guard lock(mutex);
    pollers.emplace_back(loop.poller_name());
  };
  EventLoop loop({.poller = backend});
  TcpServer server(loop, Address::loopback(0), std::move(handlers), std::move(options));
  server.start();
  BOOST_TEST((pollers == std::vector<std::string>{"poll", backend}));
  { const Descriptor client = connect_to(server.address()); }
  run_until(loop, [&, done = thrown.get_future()] {
    return done.wait_for(0s) != std::future_status::timeout;
  });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_thread_that_cant_start_is_an_error_of_start) {
  EventLoop loop({.poller = backend.poller});
  TcpServerOptions options = options_for(backend, 3);
  int starts = 0;
  options.on_thread_start = [&](EventLoop&) {
    if (++starts == 2) throw std::runtime_error("no more threads");
  };
  TcpServer server(loop, Address::loopback(0), echo(), std::move(options));
  BOOST_CHECK_THROW(server.start(), std::runtime_error);
  BOOST_TEST(!server.started());
  server.start();
  BOOST_TEST(server.started());
  const Descriptor client = connect_to(server.address());
  run_until(loop, [&] { return server.connection_count() == 1; });
}

// ---- Counts ----

// What befalls a newcomer's accept, and how often its server has counted that in the end.
void expect_counted(const BackendCase& backend, unsigned threads, LoadBalancing balance,
                    std::errc befalls, std::size_t times, std::uint64_t TcpServerStats::*counter) {
  Faults faults;
  Serving serving(backend, echo(), options_for(backend, threads, balance));
  faults.fail(Call::kAnyAccept, befalls, {.times = times});
  const Descriptor client = serving.come();
  run_until(serving.loop, [&] { return serving.server->stats().*counter == times; });
  BOOST_TEST(serving.echoes(serving.come()));
  const TcpServerStats stats = serving.server->stats();
  BOOST_TEST((stats.*counter) == times);
  for (const auto other : {&TcpServerStats::rejected_no_descriptors, &TcpServerStats::aborted,
                           &TcpServerStats::accept_pauses, &TcpServerStats::sends_dropped}) {
    if (other != counter) BOOST_TEST((stats.*other) == 0U);
  }
}

void expect_all_counted(const BackendCase& backend, unsigned threads, LoadBalancing balance) {
  const auto expect = [&](std::errc befalls, std::size_t times, auto counter) {
    expect_counted(backend, threads, balance, befalls, times, counter);
  };
  expect(std::errc::connection_aborted, 3, &TcpServerStats::aborted);
  expect(std::errc::no_buffer_space, 2, &TcpServerStats::accept_pauses);
  expect(std::errc::too_many_files_open, 1, &TcpServerStats::rejected_no_descriptors);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(newcomers_that_were_not_served_are_counted_in_every_loop) {
  const Quiet quiet;
  expect_all_counted(backend, 0, LoadBalancing::kRoundRobin);
  expect_all_counted(backend, 2, LoadBalancing::kRoundRobin);
  try {
    expect_all_counted(backend, 2, LoadBalancing::kKernel);
  } catch (const std::system_error& error) {
    BOOST_TEST(error.code() == std::errc::operation_not_supported);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(sends_that_came_too_late_are_counted_in_every_loop) {
  for (const unsigned threads : {0U, 2U}) {
    ConnectionHandlers handlers = echo();
    handlers.on_disconnect = [](const TcpConnectionPtr& it, const DisconnectReason&) {
      static_cast<void>(it->send("too late"));
    };
    Serving serving(backend, std::move(handlers), options_for(backend, threads));
    serving.come(3).clear();
    run_until(serving.loop, [&] { return serving.server->stats().sends_dropped == 3; });
    serving.until_open(0);
  }
}

// ---- Limits ----

constexpr LoadBalancing kBalances[] = {LoadBalancing::kRoundRobin, LoadBalancing::kLeastConnections,
                                       LoadBalancing::kKernel};

POLLARD_EACH_BACKEND_AND_TRIGGER(above_the_maximum_newcomers_are_refused) {
  for (const unsigned threads : {0U, 2U}) {
    TcpServerOptions options = options_for(backend, threads);
    options.max_connections = 3;
    Serving serving(backend, echo(), std::move(options));
    auto clients = serving.come(3);
    for (int i = 0; i < 4; ++i) BOOST_TEST(serving.is_closed(serving.come()));
    BOOST_TEST(serving.server->stats().refused == 4U);
    BOOST_TEST(serving.server->stats().accepted == 7U);
    for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
    clients.pop_back();
    serving.until_open(2);
    BOOST_TEST(serving.echoes(serving.come()));
  }
}

// Nobody is refused, whoever accepts, and nobody waits for ever.
POLLARD_EACH_BACKEND_AND_TRIGGER(at_the_maximum_newcomers_wait_for_room) {
  for (const LoadBalancing balance : kBalances) {
    if (balance == LoadBalancing::kKernel && !why_no_balancing().empty()) continue;
    for (const unsigned threads : {0U, 3U}) {
      TcpServerOptions options = options_for(backend, threads, balance);
      options.max_connections = 3;
      options.when_full = WhenFull::kWait;
      Serving serving(backend, echo(), std::move(options));
      std::vector<Descriptor> clients;
      while (clients.size() < 30) clients.push_back(serving.come());
      for (const Descriptor& client : clients) write_text(client.get(), "ping");
      // Whoever was served makes room.
      std::size_t served = 0;
      run_until(serving.loop, [&] {
        BOOST_TEST_REQUIRE(serving.server->connection_count() <= 3U);
        for (Descriptor& client : clients) {
          if (!client || peek(client.get()) == Meets::kNothing) continue;
          BOOST_TEST_REQUIRE(read_text(client.get()) == "ping");
          client.reset();
          ++served;
        }
        return served == clients.size();
      });
      BOOST_TEST(serving.server->stats().refused == 0U);
      BOOST_TEST(serving.echoes(serving.come()));
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_full_server_sleeps_while_newcomers_wait) {
  TcpServerOptions options;
  options.max_connections = 1;
  options.when_full = WhenFull::kWait;
  Serving serving(backend, echo(), std::move(options));
  const auto clients = serving.come(1);
  const Descriptor waiting = serving.come();
  run_until_idle(serving.loop);
  expect_no_spin(serving.loop);
  BOOST_TEST(serving.server->connection_count() == 1U);
}

// ---- Starting and stopping ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_starts_and_stops_any_number_of_times_in_one_place) {
  for (const unsigned threads : {0U, 2U}) {
    Serving serving(backend, echo(), options_for(backend, threads));
    const Address address = serving.server->address();
    for (int round = 0; round < 3; ++round) {
      serving.server->start();  // no effect: it has started
      const auto clients = serving.come(2);
      BOOST_TEST(serving.echoes(clients[1]));
      serving.server->stop();
      serving.server->stop();
      BOOST_TEST(serving.is_closed(clients[0]));
      Descriptor late = start_connecting(address.endpoint());
      wait_writable(late.get());
      BOOST_TEST(platform::take_socket_error(late.get()) == std::errc::connection_refused);
      serving.server->start();
      BOOST_TEST((serving.server->address() == address));
    }
    BOOST_TEST(serving.server->stats().accepted == 6U);
    BOOST_TEST(serving.server->stats().closed[static_cast<std::size_t>(Kind::kLocal)] == 6U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_port_that_somebody_took_meanwhile_is_an_error_of_start) {
  Serving serving(backend);
  const Address address = serving.server->address();
  serving.server->stop();
  {
    TcpServer thief(serving.loop, address, echo());
    thief.start();
    BOOST_CHECK_THROW(serving.server->start(), std::system_error);
    BOOST_TEST(!serving.server->started());
  }
  serving.server->start();
  const auto clients = serving.come(1);
  BOOST_TEST(serving.echoes(clients[0]));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_graceful_stop_ends_when_the_last_has_gone) {
  for (const unsigned threads : {0U, 2U}) {
    Serving serving(backend, echo(), options_for(backend, threads));
    auto clients = serving.come(3);
    for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
    bool done = false;
    serving.server->stop_gracefully(10s, [&] { done = true; });
    for (const Descriptor& client : clients) BOOST_TEST(serving.is_closed(client));
    BOOST_TEST(!done);
    Descriptor late = start_connecting(serving.server->address().endpoint());
    wait_writable(late.get());
    BOOST_TEST(platform::take_socket_error(late.get()) == std::errc::connection_refused);
    clients.clear();
    run_until(serving.loop, [&] { return done; });
    BOOST_TEST(!serving.server->started());
    BOOST_TEST(serving.server->stats().closed[static_cast<std::size_t>(Kind::kLocal)] == 3U);
    serving.server->start();
    BOOST_TEST(serving.echoes(serving.come()));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_graceful_stop_loses_no_answer) {
  const std::string answer = pattern(8U << 20U);
  for (const unsigned threads : {0U, 2U}) {
    ConnectionHandlers handlers{.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
      input.clear();
      static_cast<void>(it->send(std::string_view(answer)));
    }};
    std::atomic<bool> asked{false};
    handlers.on_high_water = [&](const TcpConnectionPtr&) { asked = true; };
    Serving serving(backend, std::move(handlers), options_for(backend, threads));
    auto clients = serving.come(1);
    write_text(clients[0].get(), "question");
    run_until(serving.loop, [&] { return asked.load(); });
    bool done = false;
    serving.server->stop_gracefully(1h, [&] { done = true; });
    std::string heard;
    run_until(serving.loop, [&] {
      heard += read_text(clients[0].get());
      return peek(clients[0].get()) == Meets::kEnd;
    });
    BOOST_TEST((heard == answer));
    clients.clear();
    run_until(serving.loop, [&] { return done; });
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_graceful_stop_has_a_limit) {
  for (const unsigned threads : {0U, 2U}) {
    Serving serving(backend, echo(), options_for(backend, threads));
    const auto clients = serving.come(3);
    bool done = false;
    serving.server->stop_gracefully(10ms, [&] { done = true; });
    run_until(serving.loop, [&] { return done; });
    BOOST_TEST(serving.server->stats().closed[static_cast<std::size_t>(Kind::kTimeout)] == 3U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_graceful_stop_of_an_idle_server_is_done_soon_and_not_inside) {
  for (const unsigned threads : {0U, 2U}) {
    Serving serving(backend, echo(), options_for(backend, threads));
    bool done = false;
    serving.server->stop_gracefully(1h, [&] {
      done = true;
      serving.server.reset();
    });
    BOOST_TEST(!done);
    run_until(serving.loop, [&] { return done; });
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_stop_ends_a_graceful_stop_without_its_done) {
  Serving serving(backend);
  const auto clients = serving.come(1);
  bool done = false;
  serving.server->stop_gracefully(1h, [&] { done = true; });
  serving.server->stop();
  run_until_idle(serving.loop);
  BOOST_TEST(!done);
  BOOST_TEST(serving.is_closed(clients[0]));
  serving.server->start();
  BOOST_TEST(serving.echoes(serving.come()));
  BOOST_TEST(!done);
}

// ---- Counts and exceptions ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_counts_what_it_does) {
  for (const unsigned threads : {0U, 2U}) {
    Serving serving(backend, echo(), options_for(backend, threads));
    auto clients = serving.come(3);
    for (const Descriptor& client : clients) BOOST_TEST(serving.echoes(client));
    TcpServerStats stats = serving.server->stats();
    BOOST_TEST(stats.accepted == 3U);
    BOOST_TEST(stats.open == 3U);
    reset_connection(clients[0]);
    clients.pop_back();
    serving.until_open(1);
    for (const bool stopped : {false, true}) {
      stats = serving.server->stats();
      BOOST_TEST(stats.open == (stopped ? 0U : 1U));
      BOOST_TEST(stats.bytes_received == 12U);
      BOOST_TEST(stats.bytes_sent == 12U);
      BOOST_TEST(stats.closed[static_cast<std::size_t>(Kind::kPeer)] == 1U);
      BOOST_TEST(stats.closed[static_cast<std::size_t>(Kind::kError)] == 1U);
      BOOST_TEST(stats.closed[static_cast<std::size_t>(Kind::kLocal)] == (stopped ? 1U : 0U));
      serving.server->stop();
    }
  }
}

struct FromThread {};

POLLARD_EACH_BACKEND_AND_TRIGGER(what_a_task_in_a_thread_throws_reaches_the_servers_loop) {
  ConnectionHandlers handlers = echo();
  handlers.on_disconnect = [](const TcpConnectionPtr&, const DisconnectReason&) {
    throw FromThread();
  };
  Serving serving(backend, std::move(handlers), options_for(backend, 2));
  auto clients = serving.come(2);
  BOOST_TEST(serving.echoes(clients[1]));
  clients.erase(clients.begin());
  BOOST_CHECK_THROW(run_until(serving.loop, [] { return false; }), FromThread);
  BOOST_TEST(serving.echoes(clients[0]));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_throws_in_a_thread_ends_its_connection_alone) {
  ConnectionHandlers handlers = echo();
  std::atomic<int> first{0};
  handlers.on_connect = [&](const TcpConnectionPtr&) {
    if (first++ == 0) throw std::runtime_error("enough");
  };
  Serving serving(backend, std::move(handlers), options_for(backend, 2));
  const Descriptor bad = serving.come();
  BOOST_TEST(serving.is_closed(bad));
  const Descriptor good = serving.come();
  BOOST_TEST(serving.echoes(good));
  BOOST_TEST(serving.server->stats().closed[static_cast<std::size_t>(Kind::kException)] == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_stops_its_threads_loop_ends_what_lives_there) {
  const Quiet quiet;
  for (const LoadBalancing balance :
       {LoadBalancing::kRoundRobin, LoadBalancing::kLeastConnections}) {
    std::atomic<int> ends{0};
    Serving serving(backend,
                    {.on_message = [](const TcpConnectionPtr& it, Buffer&) { it->loop().stop(); },
                     .on_disconnect =
                         [&](const TcpConnectionPtr&, const DisconnectReason& reason) {
                           if (reason.error == Error::kLoopClosed) ++ends;
                         }},
                    options_for(backend, 2, balance));
    const auto clients = serving.come(2);
    write_text(clients[0].get(), "stop");
    BOOST_TEST(serving.is_closed(clients[0]));
    run_until(serving.loop, [&] { return ends == 1; });
    // Whoever comes is served by the thread that is left.
    std::vector<Descriptor> others;
    while (others.size() < 4) others.push_back(serving.come());
    serving.until_open(5);
    write_text(others.front().get(), "stop");
    for (const Descriptor& client : others) BOOST_TEST(serving.is_closed(client));
    run_until(serving.loop, [&] { return ends == 6; });
    // Without any thread connections are refused, and the loop of the server reports that once.
    const Descriptor refused = serving.come();
    BOOST_CHECK_EXCEPTION(serving.is_closed(refused), std::system_error,
                          [](const auto& error) { return error.code() == Error::kLoopClosed; });
    BOOST_TEST(serving.is_closed(refused));
    BOOST_TEST(serving.server->stats().refused == 1U);
    serving.until_open(0);
    serving.server->stop();
    BOOST_TEST(serving.server->connection_count() == 0U);
    serving.server->start();
    static_cast<void>(serving.come(2));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_is_accepted_and_cant_be_watched_is_counted_and_closed) {
  if (backend.poller != "epoll") return;  // the others have no call that could refuse
  Faults faults;
  set_log_sink({[](LogLevel, std::string_view) {}});
  for (const unsigned threads : {0U, 2U}) {
    Serving serving(backend, echo(), options_for(backend, threads));
    faults.fail(Call::kEpollCtl, std::errc::no_space_on_device, {.times = 2});
    BOOST_TEST(serving.is_closed(serving.come()));
    BOOST_TEST(serving.is_closed(serving.come()));
    BOOST_TEST(serving.echoes(serving.come()));
    BOOST_TEST(serving.server->stats().failed == 2U);
    serving.until_open(0);
  }
  set_log_sink({});
}

}  // namespace
}  // namespace pollard::testing
