// Every order in which loops, servers, clients and connections may end, from wherever.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/loop/loop_thread.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

constexpr const char* kPlaces[] = {"connect",    "message",   "peer end", "disconnect",
                                   "high water", "low water", "complete", "callback"};

// Handlers that call `deed` in one place, and provoke that place.
ConnectionHandlers handlers_that(const std::string& place, std::function<void()> deed) {
  const auto act = [place, deed = std::move(deed)](std::string_view here) {
    if (here == place) deed();
  };
  const std::size_t much = place.ends_with("water") ? 1'000'000 : 4;
  return {
      .on_connect =
          [=](const TcpConnectionPtr& it) {
            it->add_close_callback([=] { act("callback"); });
            act("connect");
            static_cast<void>(it->send(std::string(much, 'x')));
          },
      .on_message =
          [=](const TcpConnectionPtr& it, Buffer& input) {
            act("message");
            static_cast<void>(it->send(input));
          },
      .on_peer_end =
          [=](const TcpConnectionPtr& it) {
            act("peer end");
            it->shutdown();
          },
      .on_disconnect = [=](const TcpConnectionPtr&, const DisconnectReason&) { act("disconnect"); },
      .on_write_complete = [=](const TcpConnectionPtr&) { act("complete"); },
      .on_high_water = [=](const TcpConnectionPtr&) { act("high water"); },
      .on_low_water = [=](const TcpConnectionPtr&) { act("low water"); },
  };
}

// Marks and buffers that `much` passes on every kernel.
ConnectionOptions with_low_marks(const BackendCase& backend) {
  return {.trigger = choice_of(backend),
          .high_water = 50'000,
          .low_water = 1000,
          .send_buffer_bytes = 20'000};
}

// A peer that talks, hears it all, ends, and so leads through every place.
template <class Done>
void play_peer(EventLoop& loop, Descriptor& peer, Done done) {
  say_unless_reset(peer.get(), "hello");  // what it talks to may be gone already
  bool ended = false;
  std::size_t heard = 0;
  run_until(loop, [&] {
    heard += read_text(peer.get()).size();
    if (!ended && !done() && heard > 4) {
      end_sending(peer.get());
      ended = true;
    }
    return done();
  });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_may_be_destroyed_in_each_handler_of_its_connections) {
  for (const char* place : kPlaces) {
    BOOST_TEST_CONTEXT(place) {
      EventLoop loop({.poller = backend.poller});
      std::unique_ptr<TcpServer> server;
      std::size_t destroyed = 0;
      TcpServerOptions options;
      options.connection = with_low_marks(backend);
      server = std::make_unique<TcpServer>(loop, Address::loopback(0),
                                           handlers_that(place,
                                                         [&] {
                                                           if (server == nullptr) return;
                                                           ++destroyed;
                                                           server.reset();
                                                         }),
                                           std::move(options));
      server->start();
      Descriptor other = connect_to(server->address());
      Descriptor peer = connect_to(server->address());
      play_peer(loop, peer, [&] { return server == nullptr; });
      run_until_idle(loop);
      BOOST_TEST(destroyed == 1U);
      BOOST_TEST(loop.stats().watched == 1U);
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_may_be_destroyed_in_each_handler_of_its_connection) {
  for (const bool reconnect : {false, true}) {
    for (const char* place : kPlaces) {
      BOOST_TEST_CONTEXT(place) {
        EventLoop loop({.poller = backend.poller});
        const Listener listener = listen_on_loopback();
        std::unique_ptr<TcpClient> client;
        std::size_t destroyed = 0;
        TcpClientOptions options{.reconnect = reconnect, .backoff_reset_after = 0s};
        options.connection = with_low_marks(backend);
        options.connector.backoff.initial = 0s;
        client = std::make_unique<TcpClient>(loop, Address(listener.endpoint),
                                             handlers_that(place,
                                                           [&] {
                                                             if (client == nullptr) return;
                                                             ++destroyed;
                                                             client.reset();
                                                           }),
                                             options);
        BOOST_TEST(!client->connect());
        run_until(loop, [&] { return has_newcomer(listener); });
        Descriptor peer = accept_from(listener);
        play_peer(loop, peer, [&] { return client == nullptr; });
        run_until_idle(loop);
        BOOST_TEST(destroyed == 1U);
        BOOST_TEST(loop.stats().watched == 1U);
        BOOST_TEST(!has_newcomer(listener), "nobody comes back");
      }
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_may_be_destroyed_in_its_handlers_of_failures) {
  for (const std::string place : {"failed", "give up"}) {
    EventLoop loop({.poller = backend.poller});
    std::unique_ptr<TcpClient> client;
    std::size_t calls = 0;
    const auto destroy_in = [&](const std::string& here) {
      ++calls;
      if (here == place) client.reset();
    };
    TcpClientOptions options{.reconnect = true};
    options.connector = {.backoff = {.initial = 1ms, .maximum = 1ms}, .max_attempts = 2};
    client = std::make_unique<TcpClient>(
        loop, Address(refusing_endpoint()),
        ConnectionHandlers{
            .on_attempt_failed = [&](const FailedAttempt&) { destroy_in("failed"); },
            .on_give_up = [&](std::error_code) { destroy_in("give up"); },
        },
        options);
    BOOST_TEST(!client->connect());
    run_until(loop, [&] { return client == nullptr; });
    run_until_idle(loop);
    BOOST_TEST(calls == (place == "failed" ? 1U : 3U));
  }
}

// A client in the state that it has after connecting to a listener which may or may not answer.
struct Client {
  explicit Client(const BackendCase& backend) : loop(std::in_place, options_of(backend)) {
    TcpClientOptions options{.reconnect = true};
    options.connection.trigger = choice_of(backend);
    client.emplace(*loop, Address(listener.endpoint), journal.handlers(), options);
    BOOST_TEST(!client->connect());
  }
  static EventLoopOptions options_of(const BackendCase& backend) {
    return {.poller = backend.poller};
  }
  void until_connected() {
    run_until(*loop, [&] { return client->state() == TcpClient::State::kConnected; });
  }

  Journal journal;
  Listener listener = listen_on_loopback();
  std::optional<EventLoop> loop;
  std::optional<TcpClient> client;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_may_be_destroyed_while_it_waits_connects_or_talks) {
  {
    Client waiting(backend);
    waiting.client.reset();
    run_until_idle(*waiting.loop);
    BOOST_TEST(waiting.journal.text() == "");
  }
  {
    Client connecting(backend);
    static_cast<void>(connecting.loop->run_once(0s));
    connecting.client.reset();
    run_until_idle(*connecting.loop);
    BOOST_TEST(connecting.journal.text() == "");
  }
  {
    Client talking(backend);
    talking.until_connected();
    const TcpConnectionPtr kept = talking.client->connection();
    talking.client.reset();
    BOOST_TEST(talking.journal.text() == "connect, disconnect local", "before it returned");
    BOOST_TEST(!kept->connected());
    run_until_idle(*talking.loop);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_may_be_destroyed_in_another_thread) {
  for (const bool connected : {false, true}) {
    Client one(backend);
    if (connected) one.until_connected();
    std::thread([&] { one.client.reset(); }).join();
    run_until(*one.loop, [&] { return one.loop->stats().watched == 1; });
    run_until_idle(*one.loop);
    BOOST_TEST(one.journal.text() == (connected ? "connect, disconnect local" : ""));
  }
}

// The loop ends with the client's end still in its mailbox.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_may_end_before_it_hears_of_its_clients_end) {
  for (const bool connected : {false, true}) {
    Client one(backend);
    if (connected) {
      one.until_connected();
    } else {
      static_cast<void>(one.loop->run_once(0s));
    }
    std::thread([&] { one.client.reset(); }).join();
    one.loop.reset();
    const std::string told = one.journal.text();
    BOOST_TEST((!connected || told.starts_with("connect, disconnect ")), told);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_may_end_before_its_client) {
  for (const bool connected : {false, true}) {
    Client one(backend);
    if (connected) one.until_connected();
    one.loop.reset();
    BOOST_TEST(one.journal.text() == (connected ? "connect, disconnect error: " +
                                                      make_error_code(Error::kLoopClosed).message()
                                                : ""));
    BOOST_TEST((one.client->state() == TcpClient::State::kIdle || !connected));
    BOOST_TEST(one.client->connection() == nullptr);
    one.client->disconnect();
    one.client.reset();
  }
}

// A server in a loop of its own, and raw clients.
struct Server {
  Server(const BackendCase& backend, ConnectionHandlers handlers, unsigned threads = 0)
      : loop(std::in_place, EventLoopOptions{.poller = backend.poller}) {
    TcpServerOptions options;
    options.threads = threads;
    options.connection.trigger = choice_of(backend);
    server.emplace(*loop, Address::loopback(0), std::move(handlers), std::move(options));
    server->start();
    while (clients.size() < 5) clients.push_back(connect_to(server->address()));
    run_until(*loop, [&] { return server->connection_count() == clients.size(); });
  }
  std::optional<EventLoop> loop;
  std::optional<TcpServer> server;
  std::vector<Descriptor> clients;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_ends_all_its_connections_before_it_is_gone) {
  for (const unsigned threads : {0U, 3U}) {
    std::atomic<int> connects{0};
    std::atomic<int> ends{0};
    Server one(backend,
               {.on_connect = [&](const TcpConnectionPtr&) { ++connects; },
                .on_disconnect =
                    [&](const TcpConnectionPtr&, const DisconnectReason& reason) {
                      if (reason.kind == DisconnectReason::Kind::kLocal) ++ends;
                    }},
               threads);
    one.server.reset();
    BOOST_TEST(connects == 5);
    BOOST_TEST(ends == 5);
    for (const Descriptor& client : one.clients) {
      wait_readable(client.get());
      BOOST_TEST(peek(client.get()) == Meets::kEnd);
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_may_be_destroyed_in_the_middle_of_traffic) {
  for (const unsigned threads : {0U, 3U}) {
    for (int round = 0; round < 5; ++round) {
      Server one(backend,
                 {.on_message = [](const TcpConnectionPtr& it,
                                   Buffer& input) { static_cast<void>(it->send(input)); }},
                 threads);
      const std::string text = pattern(200'000);
      for (const Descriptor& client : one.clients) write_some(client.get(), text);
      static_cast<void>(one.loop->run_once(0s));
      one.server.reset();
      run_until_idle(*one.loop);
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_may_end_before_its_server) {
  for (const unsigned threads : {0U, 3U}) {
    std::atomic<int> ends{0};
    Server one(backend,
               {.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) { ++ends; }},
               threads);
    one.loop.reset();
    if (threads == 0) BOOST_TEST(ends == 5);
    one.server.reset();
    BOOST_TEST(ends == 5);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_end_of_a_loop_may_end_the_server_and_its_connections) {
  std::optional<Server> one;
  std::vector<TcpConnectionPtr> kept;
  int ends = 0;
  one.emplace(backend, ConnectionHandlers{
                           .on_connect = [&](const TcpConnectionPtr& it) { kept.push_back(it); },
                           .on_disconnect =
                               [&](const TcpConnectionPtr& it, const DisconnectReason&) {
                                 ++ends;
                                 for (const TcpConnectionPtr& other : kept) {
                                   static_cast<void>(other->send("text"));
                                   other->force_close();
                                   other->force_close_after(1ms);
                                   other->pause_reading();
                                   other->resume_reading();
                                   other->shutdown();
                                 }
                                 it->add_close_callback([] {});
                                 one->server.reset();
                               },
                       });
  one->loop.reset();
  BOOST_TEST(ends == 5);
  BOOST_TEST(!one->server.has_value());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_end_of_a_loop_may_end_its_client) {
  Journal journal;
  const Listener listener = listen_on_loopback();
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend.poller});
  std::optional<TcpClient> client;
  TcpClientOptions options{.reconnect = true};
  options.connection.trigger = choice_of(backend);
  client.emplace(*loop, Address(listener.endpoint),
                 ConnectionHandlers{
                     .on_connect = [&](const TcpConnectionPtr&) { journal.note("connect"); },
                     .on_disconnect =
                         [&](const TcpConnectionPtr&, const DisconnectReason&) {
                           journal.note("disconnect");
                           client.reset();
                         },
                 },
                 options);
  BOOST_TEST(!client->connect());
  run_until(*loop, [&] { return journal.has("connect"); });
  loop.reset();
  BOOST_TEST(journal.text() == "connect, disconnect");
  BOOST_TEST(!client.has_value());
}

// A user who keeps connections for longer than anything, and goes on using them in threads.
POLLARD_EACH_BACKEND_AND_TRIGGER(connections_that_are_kept_outlive_everything) {
  std::vector<TcpConnectionPtr> kept;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  {
    std::mutex mutex;
    Server one(backend,
               {.on_connect =
                    [&](const TcpConnectionPtr& it) {
                      const std::lock_guard lock(mutex);
                      kept.push_back(it);
                    }},
               2);
    run_until(*one.loop, [&] {
      const std::lock_guard lock(mutex);
      return kept.size() == 5;
    });
    for (int who = 0; who < 2; ++who) {
      threads.emplace_back([&stop, mine = kept] {
        while (!stop) {
          for (const TcpConnectionPtr& it : mine) {
            static_cast<void>(it->send("text"));
            it->pause_reading();
            it->resume_reading();
            static_cast<void>(it->connected());
            static_cast<void>(it->loop_handle().alive());
          }
        }
      });
    }
    for (int turn = 0; turn < 5; ++turn) static_cast<void>(one.loop->run_once(1ms));
  }
  for (const TcpConnectionPtr& it : kept) {
    it->force_close();
    it->shutdown(1ms);
    BOOST_TEST(it->send("text") == Error::kNotConnected);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const TcpConnectionPtr& it : kept) BOOST_TEST(it.use_count() == 1, "nobody else keeps it");
}

// Server and client in loops of their own threads, ended in every order.
POLLARD_EACH_BACKEND_AND_TRIGGER(loops_in_threads_end_in_any_order) {
  for (const bool client_first : {false, true}) {
    for (const bool loop_first : {false, true}) {
      std::optional<LoopThread> thread;
      thread.emplace(EventLoopOptions{.poller = backend.poller});
      Server server(backend, {}, 1);
      std::unique_ptr<TcpClient> client;
      std::atomic<int> connects{0};
      thread->run_and_wait([&](EventLoop& loop) {
        TcpClientOptions options{.reconnect = true};
        options.connection.trigger = choice_of(backend);
        client = std::make_unique<TcpClient>(
            loop, server.server->address(),
            ConnectionHandlers{.on_connect = [&](const TcpConnectionPtr&) { ++connects; }},
            options);
        static_cast<void>(client->connect());
      });
      run_until(*server.loop, [&] { return connects == 1; });
      if (!client_first) server.server.reset();
      if (loop_first) thread.reset();
      client.reset();
      if (client_first) server.server.reset();
      thread.reset();
    }
  }
}

}  // namespace
}  // namespace pollard::testing
