// What belongs to a loop (a connection's context, the handlers' captures) is destroyed in the
// loop's thread when the connection or its owner ends, whichever thread keeps the connection.
#include <any>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// Notes where and when it is destroyed.
struct Ending {
  bool ended = false;
  std::thread::id thread;
  std::uint64_t turn = 0;

  [[nodiscard]] std::shared_ptr<void> witness(EventLoop* loop = nullptr) {
    return {nullptr, [this, loop](const void*) {
              BOOST_TEST(!ended, "destroyed twice");
              ended = true;
              thread = std::this_thread::get_id();
              if (loop != nullptr) turn = loop->stats().iterations;
            }};
  }
};

// As a server does that a connection's context owns.
struct Owner {
  std::shared_ptr<ConnectionGroup> group;
  explicit Owner(std::shared_ptr<ConnectionGroup> owned) : group(std::move(owned)) {}
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() {
    group->close_all({});
    group->abandon();
  }
};

POLLARD_EACH_BACKEND_AND_TRIGGER(context_owning_its_server_ends_the_other_connections) {
  Connected one(backend);
  std::vector<TcpConnectionPtr> open;
  one.handlers.on_connect = [&](const TcpConnectionPtr& it) { open.push_back(it); };
  one.open();
  Pair second = tcp_pair();
  one.loop.post(
      [&] { BOOST_TEST(!one.group->open(std::move(second.near), Address::loopback(1))); });
  one.until([&] { return open.size() == 2; });
  Ending first_context;
  Ending second_context;
  open[0]->context() =
      std::make_pair(std::make_shared<Owner>(one.group), first_context.witness(&one.loop));
  open[1]->context() = second_context.witness(&one.loop);
  open.clear();
  one.connection.reset();
  one.group.reset();
  one.peer.reset();
  one.until([&] { return first_context.ended; });
  BOOST_TEST(one.journal.count("disconnect peer") == 1U);
  BOOST_TEST(one.journal.count("disconnect local") == 1U);
  BOOST_TEST(second_context.ended);
  BOOST_TEST(second_context.turn == first_context.turn);
  run_until_idle(one.loop);
}

// Three groups, each owned by the context of a connection of the one before.
POLLARD_EACH_BACKEND_AND_TRIGGER(chain_of_contexts_that_own_servers_ends_in_one_iteration) {
  Connected one(backend);
  one.open();
  Ending last;
  std::vector<Descriptor> peers;
  std::shared_ptr<ConnectionGroup> owner = one.group;
  TcpConnectionPtr connection = std::move(one.connection);
  bool opened = false;
  one.loop.post([&] {
    for (int i = 0; i < 3; ++i) {
      auto next = std::make_shared<ConnectionGroup>(one.loop, share_handlers({}), one.options);
      Pair pair = tcp_pair();
      BOOST_TEST_REQUIRE(!next->open(std::move(pair.near), Address::loopback(1)));
      peers.push_back(std::move(pair.far));
      connection->context() = std::make_shared<Owner>(next);
      connection = next->any();
    }
    connection->context() = last.witness(&one.loop);
    connection.reset();
    opened = true;
  });
  one.until([&] { return opened; });
  std::uint64_t ended_in = 0;
  one.loop.post([&] {
    ended_in = one.loop.stats().iterations;
    one.group->close_all({});
  });
  one.until([&] { return last.ended; });
  BOOST_TEST(last.turn == ended_in);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(context_is_destroyed_in_loop_thread_when_worker_keeps_connection) {
  Connected one(backend);
  one.open();
  Ending context;
  std::uint64_t closed_in = 0;
  one.connection->context() = context.witness(&one.loop);
  one.connection->add_close_callback([&] { closed_in = one.loop.stats().iterations; });
  one.end_peer();
  one.until_closed();
  BOOST_TEST(context.ended);
  BOOST_TEST(context.turn == closed_in);
  BOOST_TEST(!one.connection->context().has_value());
  std::thread([last = std::move(one.connection)]() mutable { last.reset(); }).join();
  BOOST_TEST((context.thread == std::this_thread::get_id()));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(context_is_there_until_the_last_callback_has_run) {
  Connected one(backend);
  int seen = 0;
  one.handlers.on_disconnect = [&](const TcpConnectionPtr& it, const DisconnectReason&) {
    seen += std::any_cast<int>(it->context());
  };
  one.open();
  one.connection->context() = 1;
  one.connection->add_close_callback(
      [&, it = one.connection.get()] { seen += std::any_cast<int>(it->context()); });
  one.end_peer();
  one.until_closed();
  BOOST_TEST(seen == 2);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(context_holding_its_own_connection_is_destroyed) {
  struct Session {
    TcpConnectionPtr connection;
    std::shared_ptr<void> witness;
  };
  Connected one(backend);
  one.open();
  Ending context;
  const std::weak_ptr<TcpConnection> weak = one.connection;
  std::any& place = one.connection->context();
  place = std::make_shared<Session>(Session{std::move(one.connection), context.witness()});
  one.end_peer();
  one.until_closed();
  BOOST_TEST(context.ended);
  BOOST_TEST(weak.expired());
}

// A session whose destructor asks its connection for the context finds none, and no second end.
POLLARD_EACH_BACKEND_AND_TRIGGER(context_may_be_asked_for_while_it_is_destroyed) {
  Connected one(backend);
  one.open();
  bool empty = false;
  one.connection->context() = std::shared_ptr<void>(
      nullptr,
      [&empty, it = one.connection.get()](const void*) { empty = !it->context().has_value(); });
  one.end_peer();
  one.until_closed();
  BOOST_TEST(empty);
}

POLLARD_EACH_BACKEND(handlers_are_destroyed_in_loop_thread_when_connection_outlives_server) {
  EventLoop loop({.poller = backend});
  Ending captures;
  TcpConnectionPtr kept;
  std::optional<TcpServer> server;
  server.emplace(loop, Address::loopback(0),
                 ConnectionHandlers{.on_connect = [&kept, held = captures.witness()](
                                                      const TcpConnectionPtr& it) { kept = it; }});
  server->start();
  const Descriptor peer = connect_to(server->address());
  run_until(loop, [&] { return kept != nullptr; });
  loop.post([&] { server.reset(); });
  run_until(loop, [&] { return !server.has_value(); });
  BOOST_TEST(captures.ended);
  std::thread([last = std::move(kept)]() mutable { last.reset(); }).join();
  BOOST_TEST((captures.thread == std::this_thread::get_id()));
}

POLLARD_EACH_BACKEND(handlers_that_destroy_their_server_outlive_their_own_call) {
  EventLoop loop({.poller = backend});
  Ending captures;
  bool alive_at_the_end = false;
  std::optional<TcpServer> server;
  server.emplace(loop, Address::loopback(0),
                 ConnectionHandlers{.on_message = [&, held = captures.witness()](
                                                      const TcpConnectionPtr&, Buffer& input) {
                   input.clear();
                   server.reset();
                   alive_at_the_end = !captures.ended;
                 }});
  server->start();
  const Descriptor peer = connect_to(server->address());
  write_text(peer.get(), "end");
  run_until(loop, [&] { return captures.ended; });
  BOOST_TEST(alive_at_the_end);
}

POLLARD_EACH_BACKEND(handlers_are_destroyed_in_loop_thread_when_connection_outlives_client) {
  EventLoop loop({.poller = backend});
  Ending captures;
  TcpConnectionPtr kept;
  TcpServer server(loop, Address::loopback(0), {});
  server.start();
  std::optional<TcpClient> client;
  client.emplace(loop, server.address(),
                 ConnectionHandlers{.on_connect = [&kept, held = captures.witness()](
                                                      const TcpConnectionPtr& it) { kept = it; }});
  BOOST_TEST(!client->connect());
  run_until(loop, [&] { return kept != nullptr; });
  loop.post([&] { client.reset(); });
  run_until(loop, [&] { return !client.has_value(); });
  BOOST_TEST(captures.ended);
  std::thread([last = std::move(kept)]() mutable { last.reset(); }).join();
  BOOST_TEST((captures.thread == std::this_thread::get_id()));
}

POLLARD_EACH_BACKEND(handlers_of_server_with_threads_are_destroyed_where_server_is) {
  EventLoop loop({.poller = backend});
  Ending captures;
  std::atomic<bool> connected{false};
  TcpConnectionPtr kept;
  std::optional<TcpServer> server;
  server.emplace(loop, Address::loopback(0),
                 ConnectionHandlers{.on_connect =
                                        [&, held = captures.witness()](const TcpConnectionPtr& it) {
                                          kept = it;
                                          connected = true;
                                        }},
                 TcpServerOptions{.threads = 1});
  server->start();
  const Descriptor peer = connect_to(server->address());
  run_until(loop, [&] { return connected.load(); });
  server.reset();
  BOOST_TEST(captures.ended);
  std::thread([last = std::move(kept)]() mutable { last.reset(); }).join();
  BOOST_TEST((captures.thread == std::this_thread::get_id()));
}

}  // namespace
}  // namespace pollard::testing
