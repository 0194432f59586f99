// Graceful ends: answers that are under way come to their end, idle connections end at once, and
// everything ends at the limit. And visits to all connections of a server.
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

using Kind = DisconnectReason::Kind;

// A server that answers with parts, each when the one before has left; after the second it waits
// until the test lets it go on.
struct Parts {
  explicit Parts(const BackendCase& backend, unsigned threads) : loop({.poller = backend.poller}) {
    options.threads = threads;
    options.connection.trigger = choice_of(backend);
    handlers.on_message = [this](const TcpConnectionPtr& connection, Buffer& input) {
      input.clear();
      connection->set_busy(true);
      connection->context() = 0;
      send_next(connection);
    };
    handlers.on_write_complete = [this](const TcpConnectionPtr& connection) {
      if (part_of(connection) == kWaits) {
        const std::lock_guard lock(mutex);
        waiting = connection;
        return;
      }
      send_next(connection);
    };
    handlers.on_drain = [this](const TcpConnectionPtr&) { ++drains; };
  }

  static int& part_of(const TcpConnectionPtr& connection) {
    return std::any_cast<int&>(connection->context());
  }
  void send_next(const TcpConnectionPtr& connection) const {
    if (!connection->busy()) return;
    int& part = part_of(connection);
    static_cast<void>(connection->send("part " + std::to_string(++part) + "\n"));
    if (part == kParts) connection->set_busy(false);
  }
  static std::string whole() {
    std::string all;
    for (int part = 1; part <= kParts; ++part) all += "part " + std::to_string(part) + "\n";
    return all;
  }

  void start() {
    server = std::make_unique<TcpServer>(loop, Address::loopback(0), std::move(handlers),
                                         std::move(options));
    server->start();
  }
  Descriptor connect() const { return connect_to(server->address()); }
  void until_waiting() {
    run_until(loop, [&] {
      const std::lock_guard lock(mutex);
      return waiting != nullptr;
    });
  }
  void go_on() {
    const std::lock_guard lock(mutex);
    waiting->loop_handle().post(
        [this, connection = std::exchange(waiting, nullptr)] { send_next(connection); });
  }
  std::string hear_to_the_end(const Descriptor& peer) {
    std::string heard;
    run_until(loop, [&] {
      heard += read_text(peer.get());
      const Meets next = peek(peer.get());
      return next == Meets::kEnd || next == Meets::kError;
    });
    return heard;
  }

  static constexpr int kParts = 10;
  static constexpr int kWaits = 2;

  ConnectionHandlers handlers;
  TcpServerOptions options;
  std::atomic<int> drains{0};
  std::mutex mutex;
  TcpConnectionPtr waiting;
  bool done = false;
  EventLoop loop;
  std::unique_ptr<TcpServer> server;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(graceful_stop_lets_busy_connection_send_all_and_ends_idle_one) {
  for (const unsigned threads : {0U, 2U}) {
    for (const bool half_closes : {false, true}) {  // as curl does, and nc -N
      Parts parts(backend, threads);
      parts.handlers.on_peer_end = [](const TcpConnectionPtr&) {};
      parts.start();
      const Descriptor idle = parts.connect();
      Descriptor asking = parts.connect();
      write_text(asking.get(), "ten parts, please");
      if (half_closes) end_sending(asking.get());
      parts.until_waiting();
      parts.server->stop_gracefully(1h, [&] { parts.done = true; });
      BOOST_TEST((threads > 0 || parts.drains == 0), "no handler runs inside");
      BOOST_TEST(parts.hear_to_the_end(idle).empty());
      run_until(parts.loop, [&] { return parts.drains == 2; });
      BOOST_TEST(!parts.done);
      parts.go_on();
      BOOST_TEST(parts.hear_to_the_end(asking) == Parts::whole());
      end_sending(idle.get());
      if (!half_closes) end_sending(asking.get());
      run_until(parts.loop, [&] { return parts.done; });
      BOOST_TEST(!parts.server->started());
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(graceful_stop_ends_busy_connection_at_its_limit) {
  for (const unsigned threads : {0U, 2U}) {
    Parts parts(backend, threads);
    parts.start();
    const Descriptor asking = parts.connect();
    write_text(asking.get(), "ten parts, please");
    parts.until_waiting();
    parts.server->stop_gracefully(10ms, [&] { parts.done = true; });
    run_until(parts.loop, [&] { return parts.done; });
    BOOST_TEST(parts.server->stats().closed[static_cast<std::size_t>(Kind::kTimeout)] == 1U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_drain_has_a_last_word_and_may_mark_as_busy) {
  for (const unsigned threads : {0U, 2U}) {
    Parts parts(backend, threads);
    std::atomic<bool> stay{false};
    std::atomic<bool> told_too_early{false};  // Boost's macros are for one thread alone
    parts.handlers.on_write_complete = {};
    parts.handlers.on_drain = [&](const TcpConnectionPtr& connection) {
      if (!connection->draining()) told_too_early = true;
      static_cast<void>(connection->send("going away\n"));
      if (!stay) return;
      connection->set_busy(true);
      const std::lock_guard lock(parts.mutex);
      parts.waiting = connection;
    };
    for (const bool stays : {false, true}) {
      stay = stays;
      if (parts.server == nullptr) parts.start();
      parts.server->start();
      const Descriptor peer = parts.connect();
      run_until(parts.loop, [&] { return parts.server->connection_count() == 1; });
      parts.done = false;
      parts.server->stop_gracefully(1h, [&] { parts.done = true; });
      if (stays) {
        parts.until_waiting();
        run_until(parts.loop, [&] { return peek(peer.get()) == Meets::kData; });
        // From another thread, as a worker would.
        std::thread worker([&] {
          const std::lock_guard lock(parts.mutex);
          static_cast<void>(parts.waiting->send("the answer\n"));
          parts.waiting->set_busy(false);
          parts.waiting = nullptr;
        });
        worker.join();
      }
      const std::string expected = stays ? "going away\nthe answer\n" : "going away\n";
      BOOST_TEST(parts.hear_to_the_end(peer) == expected);
      BOOST_TEST(!told_too_early);
      end_sending(peer.get());
      run_until(parts.loop, [&] { return parts.done; });
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(second_graceful_stop_calls_on_drain_once_and_shortens_the_limit) {
  Parts parts(backend, 0);
  parts.start();
  const Descriptor asking = parts.connect();
  write_text(asking.get(), "ten parts, please");
  parts.until_waiting();
  bool first = false;
  parts.server->stop_gracefully(1h, [&] { first = true; });
  run_until(parts.loop, [&] { return parts.drains == 1; });
  parts.server->stop_gracefully(10ms, [&] { parts.done = true; });
  run_until(parts.loop, [&] { return parts.done; });
  BOOST_TEST(!first);
  BOOST_TEST(parts.drains == 1);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_drain_that_throws_ends_its_connection_alone) {
  Parts parts(backend, 0);
  int drains = 0;
  parts.handlers.on_drain = [&](const TcpConnectionPtr&) {
    if (++drains == 1) throw std::runtime_error("on_drain");
  };
  parts.start();
  const Descriptor one = parts.connect();
  const Descriptor other = parts.connect();
  run_until(parts.loop, [&] { return parts.server->connection_count() == 2; });
  parts.server->stop_gracefully(1h, [&] { parts.done = true; });
  static_cast<void>(parts.hear_to_the_end(one));
  static_cast<void>(parts.hear_to_the_end(other));
  end_sending(one.get());
  end_sending(other.get());
  run_until(parts.loop, [&] { return parts.done; });
  BOOST_TEST(drains == 2);
  BOOST_TEST(parts.server->stats().closed[static_cast<std::size_t>(Kind::kException)] == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_drain_may_destroy_the_server) {
  Parts parts(backend, 0);
  int drains = 0;
  int ends = 0;
  parts.handlers.on_drain = [&](const TcpConnectionPtr&) {
    ++drains;
    parts.server.reset();
  };
  parts.handlers.on_disconnect = [&](const auto&, const DisconnectReason&) { ++ends; };
  parts.start();
  const Descriptor one = parts.connect();
  const Descriptor other = parts.connect();
  run_until(parts.loop, [&] { return parts.server->connection_count() == 2; });
  parts.server->stop_gracefully(1h, [&] { parts.done = true; });
  run_until(parts.loop, [&] { return parts.server == nullptr; });
  run_until_idle(parts.loop);
  BOOST_TEST(drains == 1);
  BOOST_TEST(ends == 2);
  BOOST_TEST(!parts.done);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(connection_that_comes_during_a_graceful_stop_is_drained_too) {
  Parts parts(backend, 2);
  std::atomic<int> opened{0};
  parts.handlers.on_connect = [&](const TcpConnectionPtr&) { ++opened; };
  parts.start();
  const Descriptor one = parts.connect();
  run_until(parts.loop, [&] { return parts.server->stats().accepted == 1; });
  parts.server->stop_gracefully(1h, [&] { parts.done = true; });  // it may still be in a mailbox
  BOOST_TEST(parts.hear_to_the_end(one).empty());
  end_sending(one.get());
  run_until(parts.loop, [&] { return parts.done; });
  BOOST_TEST(opened == 1);
  BOOST_TEST(parts.drains == 1);
}

// ---- Visits ----

POLLARD_EACH_BACKEND_AND_TRIGGER(visitor_sees_each_connection_once_in_the_thread_of_its_loop) {
  for (const unsigned threads : {0U, 3U}) {
    for (const bool from_elsewhere : {false, true}) {
      Parts parts(backend, threads);
      parts.start();
      std::vector<Descriptor> clients;
      while (clients.size() < 6) clients.push_back(parts.connect());
      run_until(parts.loop, [&] { return parts.server->connection_count() == 6; });
      std::mutex mutex;
      std::multiset<TcpConnection*> visited;
      std::set<std::thread::id> seen_in;
      const auto visit = [&] {
        parts.server->for_each_connection([&](const TcpConnectionPtr& connection) {
          connection->loop().assert_in_loop_thread();
          static_cast<void>(connection->send("hello"));
          const std::lock_guard lock(mutex);
          visited.insert(connection.get());
          seen_in.insert(std::this_thread::get_id());
        });
      };
      if (from_elsewhere) {
        std::thread(visit).join();
      } else {
        visit();
        BOOST_TEST((threads > 0 || visited.empty()), "never inside of the call");
      }
      for (const Descriptor& client : clients) {
        run_until(parts.loop, [&] { return peek(client.get()) == Meets::kData; });
        BOOST_TEST(read_text(client.get()) == "hello");
      }
      parts.server->stop();
      BOOST_TEST(visited.size() == 6U);
      BOOST_TEST(std::set(visited.begin(), visited.end()).size() == 6U);
      BOOST_TEST(seen_in.size() == std::max(threads, 1U));
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(visitor_may_end_connections_throw_and_stop_the_server) {
  Parts parts(backend, 0);
  parts.start();
  std::vector<Descriptor> clients;
  while (clients.size() < 4) clients.push_back(parts.connect());
  run_until(parts.loop, [&] { return parts.server->connection_count() == 4; });
  int visits = 0;
  parts.server->for_each_connection([&](const TcpConnectionPtr& connection) {
    switch (++visits) {
      case 1: throw std::runtime_error("visitor");
      case 2: return connection->force_close();
      default: parts.server->stop();
    }
  });
  run_until(parts.loop, [&] { return !parts.server->started(); });
  run_until_idle(parts.loop);
  BOOST_TEST(visits == 3);
  BOOST_TEST(parts.server->stats().closed[static_cast<std::size_t>(Kind::kException)] == 1U);
  parts.server->for_each_connection([&](const TcpConnectionPtr&) { ++visits; });
  run_until_idle(parts.loop);
  BOOST_TEST(visits == 3);
}

}  // namespace
}  // namespace pollard::testing
