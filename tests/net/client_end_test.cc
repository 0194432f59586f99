// The end of a client: in each of its handlers, by other threads, and what a new beginning forgets.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "pollard/net/loop/loop_thread.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

using State = TcpClient::State;

constexpr BackoffOptions kQuick{.initial = 2ms, .maximum = 8ms};

// A client that is destroyed in the handler of this name; no handler may run afterwards.
struct Ending {
  Ending(const BackendCase& backend, std::string_view name)
      : where(name), loop({.poller = backend.poller}) {
    options.connection.trigger = choice_of(backend);
    options.connection.high_water = 50'000;
    options.connection.low_water = 1000;
    options.connection.send_buffer_bytes = 20'000;
    options.connector.backoff = kQuick;
  }

  void note(std::string_view name) {
    BOOST_TEST(!gone, name);
    if (name != where || client == nullptr) return;
    client.reset();
    gone = true;
  }

  ConnectionHandlers handlers() {
    return {.on_connect =
                [this](const TcpConnectionPtr& connection) {
                  note("connect");
                  static_cast<void>(connection->send(std::string(1'000'000, 'x')));
                },
            .on_message =
                [this](const TcpConnectionPtr&, Buffer& input) {
                  input.clear();
                  note("message");
                },
            .on_peer_end = [this](const TcpConnectionPtr&) { note("peer end"); },
            .on_disconnect = [this](const TcpConnectionPtr&,
                                    const DisconnectReason&) { note("disconnect"); },
            .on_write_complete = [this](const TcpConnectionPtr&) { note("write complete"); },
            .on_high_water = [this](const TcpConnectionPtr&) { note("high water"); },
            .on_low_water = [this](const TcpConnectionPtr&) { note("low water"); },
            .on_attempt_failed = [this](const FailedAttempt&) { note("failed"); },
            .on_give_up = [this](std::error_code) { note("give up"); }};
  }

  void connect(const Address& server) {
    client = std::make_unique<TcpClient>(loop, server, handlers(), options);
    BOOST_TEST(!client->connect());
  }

  std::string_view where;
  bool gone = false;
  TcpClientOptions options;
  EventLoop loop;
  std::unique_ptr<TcpClient> client;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(no_handler_runs_after_one_has_destroyed_the_client) {
  for (const std::string_view where : {"connect", "high water", "message", "low water",
                                       "write complete", "peer end", "disconnect"}) {
    for (const bool reconnect : {false, true}) {
      const Listener listener = listen_on_loopback();
      Ending one(backend, where);
      one.options.reconnect = reconnect;
      one.connect(Address(listener.endpoint));
      run_until(one.loop, [&] { return has_newcomer(listener); });
      Descriptor server = accept_from(listener);
      say_unless_reset(server.get(), "hello");  // its client may be gone already
      std::size_t heard = 0;
      run_until(one.loop, [&] {
        heard += read_text(server.get()).size();
        return one.gone || heard == 1'000'000;
      });
      run_until_idle(one.loop);
      if (where == "peer end") {
        end_sending(server.get());
      } else {
        reset_connection(server);
      }
      run_until(one.loop, [&] { return one.gone; });
      run_until_idle(one.loop);
      BOOST_TEST(one.loop.stats().watched == 1U);
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(no_handler_runs_after_a_failure_has_destroyed_the_client) {
  for (const std::string_view where : {"failed", "give up"}) {
    for (const bool reconnect : {false, true}) {
      Ending one(backend, where);
      one.options.reconnect = reconnect;
      if (where == "give up") one.options.connector.max_attempts = 2;
      one.connect(Address(refusing_endpoint()));
      run_until(one.loop, [&] { return one.gone; });
      run_until_idle(one.loop);
      BOOST_TEST(one.loop.stats().watched == 1U);
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(client_refuses_to_connect_inside_its_destructor) {
  const Listener listener = listen_on_loopback();
  EventLoop loop({.poller = backend.poller});
  TcpClient* client = nullptr;
  std::error_code refused;
  bool connected = false;
  client = new TcpClient(loop, Address(listener.endpoint),
                         {.on_connect = [&](const TcpConnectionPtr&) { connected = true; },
                          .on_disconnect =
                              [&](const TcpConnectionPtr&, const DisconnectReason&) {
                                refused = client->connect();
                                client->disconnect();
                              }},
                         {.connection = {.trigger = choice_of(backend)}});
  BOOST_TEST(!client->connect());
  run_until(loop, [&] { return connected; });
  delete client;
  BOOST_TEST(refused == std::errc::operation_canceled);
  run_until_idle(loop);
  BOOST_TEST(loop.stats().watched == 1U);
}

// ---- A new beginning ----

POLLARD_EACH_BACKEND_AND_TRIGGER(connect_of_the_user_begins_with_the_shortest_delay) {
  Faults faults;
  StoppedClock clock(faults);
  EventLoop loop({.poller = backend.poller});
  std::vector<Duration> delays;
  TcpClient client(loop, Address(refusing_endpoint()),
                   {.on_attempt_failed =
                        [&](const FailedAttempt& failure) {
                          delays.push_back(failure.next_delay.value_or(Duration(-1)));
                        }},
                   {.connector = {.backoff = {.initial = 1min, .maximum = 8min}}});
  for (int round = 0; round < 2; ++round) {
    delays.clear();
    BOOST_TEST(!client.connect());
    while (delays.size() < 4) {
      const std::size_t before = delays.size();
      run_until(loop, [&] { return delays.size() > before; });
      if (delays.size() < 4) clock.advance(delays.back());
    }
    BOOST_TEST((delays.front() >= 30s && delays.front() <= 1min));
    BOOST_TEST((delays.back() >= 4min));
    client.disconnect();
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(client_takes_extreme_times_of_lasting) {
  for (const Duration extreme :
       {Duration::min(), Duration(-1), Duration::zero(), Duration(1), Duration::max()}) {
    const Listener listener = listen_on_loopback();
    EventLoop loop({.poller = backend.poller});
    std::size_t connects = 0;
    TcpClient client(
        loop, Address(listener.endpoint),
        {.on_connect =
             [&](const TcpConnectionPtr& connection) {
               if (++connects == 1) connection->force_close();
             }},
        {.reconnect = true, .backoff_reset_after = extreme, .connector = {.backoff = kQuick}});
    BOOST_TEST(!client.connect());
    run_until(loop, [&] { return connects == 2; });
  }
}

// ---- Threads ----

POLLARD_EACH_BACKEND_AND_TRIGGER(disconnect_in_another_thread_ends_connection_and_attempts) {
  const Listener listener = listen_on_loopback();
  const Address refused(refusing_endpoint());
  for (const Address& server : {Address(listener.endpoint), refused}) {
    EventLoop loop({.poller = backend.poller});
    int changes = 0;
    TcpClient client(loop, server,
                     {.on_connect = [&](const TcpConnectionPtr&) { ++changes; },
                      .on_attempt_failed = [&](const FailedAttempt&) { ++changes; }},
                     {.reconnect = true, .connector = {.backoff = kQuick}});
    BOOST_TEST(!client.connect());
    run_until(loop, [&] { return changes > 0; });
    std::thread([&] { client.disconnect(); }).join();
    run_until(loop, [&] { return client.state() != State::kConnected; });
    if (server == refused) {
      run_until(loop, [&] { return client.state() == State::kIdle; });
    } else {
      BOOST_TEST((client.state() == State::kDisconnecting));
      const Descriptor accepted = accept_from(listener);
      wait_for_end(accepted.get());
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(disconnect_in_another_thread_may_meet_anything) {
  const Address server(refusing_endpoint());
  LoopThread thread({.poller = backend.poller});
  for (int round = 0; round < 50; ++round) {
    std::unique_ptr<TcpClient> client;
    thread.run_and_wait([&](EventLoop& loop) {
      client = std::make_unique<TcpClient>(
          loop, server, ConnectionHandlers{},
          TcpClientOptions{.connector = {.backoff = {.initial = 20us, .maximum = 50us}}});
      BOOST_TEST(!client->connect());
    });
    client->disconnect();
    thread.run_and_wait([&](EventLoop&) { client.reset(); });
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(disconnect_in_another_thread_may_come_after_the_loop) {
  auto loop = std::make_unique<EventLoop>(EventLoopOptions{.poller = backend.poller});
  TcpClient client(*loop, Address::loopback(1), {});
  BOOST_TEST(!client.connect());
  loop.reset();
  std::thread([&] { client.disconnect(); }).join();
  BOOST_TEST((client.state() == State::kIdle));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(client_asserts_the_thread_of_its_loop) {
  EventLoop loop({.poller = backend.poller});
  TcpClient client(loop, Address::loopback(1), {});
  const auto aborts_elsewhere = [](const std::function<void()>& call) {
    return aborts([&] { std::thread(call).join(); });
  };
  BOOST_TEST(aborts_elsewhere([&] { static_cast<void>(client.connect()); }));
  BOOST_TEST(aborts_elsewhere([&] { static_cast<void>(client.state()); }));
  BOOST_TEST(aborts_elsewhere([&] { static_cast<void>(client.connection()); }));
  BOOST_TEST(aborts_elsewhere([&] { const TcpClient made(loop, Address::loopback(1), {}); }));
}

}  // namespace
}  // namespace pollard::testing
