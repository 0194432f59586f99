// One run of a server, from start() to stop(): what is counted in is counted out once, nothing of a
// run disturbs the next one, and nothing runs after the end.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/quiet.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

// A server whose handlers and options a test chooses before start().
struct Run {
  explicit Run(const BackendCase& backend) : loop({.poller = backend.poller}) {
    options.connection.trigger = choice_of(backend);
    handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
      static_cast<void>(it->send(input));
    };
  }

  void start() {
    server = std::make_unique<TcpServer>(loop, Address::loopback(0), std::move(handlers),
                                         std::move(options));
    server->start();
  }
  [[nodiscard]] std::vector<Descriptor> connect(std::size_t count) const {
    std::vector<Descriptor> clients;
    while (clients.size() < count) clients.push_back(connect_to(server->address()));
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

  ConnectionHandlers handlers;
  TcpServerOptions options;
  EventLoop loop;
  std::unique_ptr<TcpServer> server;
};

// ---- Counts ----

POLLARD_EACH_BACKEND_AND_TRIGGER(stop_in_on_disconnect_counts_out_the_connection_that_ends) {
  Run run(backend);
  run.options.max_connections = 2;
  run.handlers.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) {
    run.server->stop();
  };
  run.start();
  for (int round = 0; round < 3; ++round) {
    auto clients = run.connect(2);
    run.until_open(2);
    clients.pop_back();
    run_until(run.loop, [&] { return !run.server->started(); });
    BOOST_TEST(run.is_closed(clients[0]));
    BOOST_TEST(run.server->connection_count() == 0U);
    BOOST_TEST(run.server->stats().open == 0U);
    run.server->start();
  }
  const auto clients = run.connect(2);
  for (const Descriptor& client : clients) BOOST_TEST(run.echoes(client));
  BOOST_TEST(run.server->stats().refused == 0U);
  bool done = false;
  run.server->stop_gracefully(10ms, [&] { done = true; });
  run_until(run.loop, [&] { return !run.server->started(); });
}

// on_connect stops the loop of the server's thread while the next connection is in its mailbox.
POLLARD_EACH_BACKEND_AND_TRIGGER(connection_in_mailbox_of_stopped_loop_is_counted_out_and_refused) {
  const Quiet quiet;
  Gate stop;
  Run run(backend);
  run.options.threads = 1;
  run.handlers.on_connect = [&](const TcpConnectionPtr& connection) {
    stop.pass();
    connection->loop().stop();
  };
  run.start();
  const auto clients = run.connect(3);
  run_until(run.loop, [&] { return run.server->stats().accepted == 3; });
  stop.open();
  for (const Descriptor& client : clients) BOOST_TEST(run.is_closed(client));
  run.until_open(0);
  BOOST_TEST(!stop.waited_in_vain());
  bool done = false;
  run.server->stop_gracefully(1h, [&] { done = true; });
  run_until(run.loop, [&] { return done; });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(connection_that_ends_in_on_connect_is_counted_out_once) {
  for (const unsigned threads : {0U, 2U}) {
    Run run(backend);
    run.options.threads = threads;
    run.options.max_connections = 1;
    std::atomic<int> connects{0};
    run.handlers.on_connect = [&](const TcpConnectionPtr& connection) {
      if (++connects > 2) return;
      if (connects == 1) throw std::runtime_error("on_connect");
      connection->force_close();
    };
    run.start();
    for (int i = 0; i < 2; ++i) {
      const auto clients = run.connect(1);
      BOOST_TEST(run.is_closed(clients[0]));
      run.until_open(0);
    }
    const auto clients = run.connect(1);
    BOOST_TEST(run.echoes(clients[0]));
    BOOST_TEST(run.server->connection_count() == 1U);
  }
}

// ---- Calls of an earlier run ----

POLLARD_EACH_BACKEND_AND_TRIGGER(room_of_an_earlier_run_admits_nobody_to_a_full_server) {
  std::atomic<bool> ended{false};  // outlives the server, whose end calls the handlers
  Run run(backend);
  run.options.max_connections = 1;
  run.options.when_full = WhenFull::kWait;
  run.handlers.on_disconnect = [&](const TcpConnectionPtr& connection, const DisconnectReason&) {
    connection->add_close_callback([&] { ended = true; });
  };
  run.start();
  {
    const auto clients = run.connect(1);
    run.until_open(1);
    // Ends inside stop(): the call that makes room is posted, and still there after start().
    run.server->stop();
    BOOST_TEST(ended);
  }
  run.server->start();
  auto clients = run.connect(2);
  run.until_open(1);
  run_until_idle(run.loop);
  BOOST_TEST(run.server->stats().refused == 0U);
  clients.erase(clients.begin());
  BOOST_TEST(run.echoes(clients[0]));
  BOOST_TEST(run.server->stats().refused == 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(graceful_stop_of_an_earlier_run_ends_no_later_run) {
  Run run(backend);
  run.start();
  bool done = false;
  run.server->stop_gracefully(1h, [&] { done = true; });  // posts its end
  run.server->stop();
  run.server->start();
  const auto clients = run.connect(1);
  BOOST_TEST(run.echoes(clients[0]));
  BOOST_TEST(run.server->started());
  BOOST_TEST(!done);
}

// ---- The end ----

POLLARD_EACH_BACKEND_AND_TRIGGER(no_handler_runs_after_a_destructor_that_on_disconnect_calls) {
  bool gone = false;
  int before = 0;
  int after = 0;
  Run run(backend);
  run.handlers.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) {
    ++(gone ? after : before);
    if (before != 2) return;
    run.server.reset();
    gone = true;
  };
  run.start();
  const auto clients = run.connect(4);
  run.until_open(4);
  run.server->stop();
  run_until_idle(run.loop);
  BOOST_TEST(before == 4);
  BOOST_TEST(after == 0);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_stop_inside_of_a_stop_ends_all_and_start_works_after_it) {
  int ends = 0;
  int ends_after_start = 0;
  bool started_again = false;
  Run run(backend);
  run.handlers.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) {
    ++ends;
    if (started_again) ++ends_after_start;
    if (ends != 1) return;
    run.server->stop();
    BOOST_TEST(ends == 3, "all others have ended by now");
    BOOST_TEST(run.server->connection_count() == 0U);
    run.server->start();
    started_again = true;
  };
  run.start();
  {
    const auto clients = run.connect(3);
    run.until_open(3);
    run.server->stop();
    BOOST_TEST(ends == 3);
    BOOST_TEST(ends_after_start == 0);
    BOOST_TEST(run.server->started(), "the run that began inside goes on");
  }
  const auto clients = run.connect(1);
  BOOST_TEST(run.echoes(clients[0]));
}

// A session that keeps its server alive, and holds the last reference to it.
POLLARD_EACH_BACKEND_AND_TRIGGER(context_of_a_connection_may_own_the_server) {
  int opened = 0;
  int ended = 0;
  Run run(backend);
  std::shared_ptr<TcpServer> owner;
  run.handlers.on_connect = [&](const TcpConnectionPtr& connection) {
    if (++opened == 1) connection->context() = std::exchange(owner, nullptr);
  };
  run.handlers.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) { ++ended; };
  run.start();
  const Address address = run.server->address();
  owner = std::move(run.server);
  owner->start();
  std::vector<Descriptor> clients;
  clients.push_back(connect_to(address));
  run_until(run.loop, [&] { return opened == 1; });
  while (clients.size() < 4) clients.push_back(connect_to(address));
  run_until(run.loop, [&] { return opened == 4; });
  clients.erase(clients.begin());  // with the connection ends its context, and with that the server
  run_until(run.loop, [&] { return ended == 4; });
  for (const Descriptor& client : clients) BOOST_TEST(run.is_closed(client));
  run_until_idle(run.loop);
  BOOST_TEST(run.loop.stats().watched == 1U);
}

// ---- Threads that have ended ----

POLLARD_EACH_BACKEND_AND_TRIGGER(thread_whose_wait_fails_is_reported_and_gets_no_connection) {
  const Quiet quiet;
  Faults faults;
  std::vector<LoopHandle> threads;
  Run run(backend);
  run.options.threads = 2;
  run.options.on_thread_start = [&](EventLoop& loop) { threads.push_back(loop.handle()); };
  run.start();
  const auto alive = [&] { return std::ranges::count_if(threads, &LoopHandle::alive); };
  const auto end_a_thread = [&] {
    const auto left = alive() - 1;
    faults.fail(Call::kWait, std::errc::bad_file_descriptor, {.times = 1});
    for (const LoopHandle& thread : threads) thread.post([] {});  // ends its sleep
    while (alive() > left) std::this_thread::yield();
    BOOST_CHECK_EXCEPTION(
        run_until(run.loop, [] { return false; }), std::system_error,
        [](const auto& error) { return error.code() == std::errc::bad_file_descriptor; });
  };
  end_a_thread();
  const auto clients = run.connect(4);
  for (const Descriptor& client : clients) BOOST_TEST(run.echoes(client));
  end_a_thread();
  const auto refused = run.connect(1);
  BOOST_CHECK_EXCEPTION(run.is_closed(refused[0]), std::system_error,
                        [](const auto& error) { return error.code() == Error::kLoopClosed; });
  BOOST_TEST(run.is_closed(refused[0]));
  BOOST_TEST(run.server->stats().refused == 1U);
  run.until_open(0);
}

}  // namespace
}  // namespace pollard::testing
