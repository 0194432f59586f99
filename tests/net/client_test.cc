// Clients: connecting, the wrong moment to, failing, coming back, and stopping all that.
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

using State = TcpClient::State;

// A client, and the raw listener that is its server.
struct Calling {
  explicit Calling(const BackendCase& backend) : loop({.poller = backend.poller}) {
    options.connection.trigger = choice_of(backend);
    options.connector.backoff = {.initial = 2ms, .maximum = 8ms};
    BOOST_TEST_REQUIRE(platform::set_reuse_address(listener.fd.get(), true).ok());
  }

  void make() { make(Address(listener.endpoint)); }
  void make(const Address& server) {
    client.emplace(loop, server, std::move(handlers), std::move(options));
  }
  void connect() { BOOST_TEST(!client->connect()); }

  // The next connection of the client's, as its server sees it.
  Descriptor answer() {
    run_until(loop, [&] { return peek_accept(); });
    return std::move(accepted);
  }
  bool peek_accept() {
    platform::Endpoint peer;
    const platform::Result made = platform::accept_socket(listener.fd.get(), peer);
    if (made.ok()) accepted.reset(made.descriptor());
    return made.ok();
  }
  void until_state(State state) {
    run_until(loop, [&] { return client->state() == state; });
  }

  Journal journal;
  ConnectionHandlers handlers = journal.handlers();
  TcpClientOptions options;
  Listener listener = listen_on_loopback();
  Descriptor accepted;
  EventLoop loop;
  std::optional<TcpClient> client;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_connects_talks_and_disconnects) {
  Calling one(backend);
  one.make();
  BOOST_TEST((one.client->state() == State::kIdle));
  BOOST_TEST(one.client->connection() == nullptr);
  one.connect();
  BOOST_TEST((one.client->state() == State::kConnecting));
  const Descriptor server = one.answer();
  one.until_state(State::kConnected);
  BOOST_TEST((one.client->connection()->peer_address() == Address(one.listener.endpoint)));
  BOOST_TEST(!one.client->connection()->send("question"));
  run_until(one.loop, [&] { return peek(server.get()) == Meets::kData; });
  BOOST_TEST(read_text(server.get()) == "question");
  write_text(server.get(), "answer");
  run_until(one.loop, [&] { return one.journal.received == "answer"; });
  one.client->disconnect();
  BOOST_TEST((one.client->state() == State::kDisconnecting));
  run_until(one.loop, [&] { return peek(server.get()) == Meets::kEnd; });
  end_sending(server.get());
  one.until_state(State::kIdle);
  BOOST_TEST(one.journal.text() == "connect, message, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(connect_at_the_wrong_moment_says_so_and_changes_nothing) {
  Calling one(backend);
  one.make();
  one.connect();
  BOOST_TEST(one.client->connect() == std::errc::connection_already_in_progress);
  const Descriptor server = one.answer();
  one.until_state(State::kConnected);
  BOOST_TEST(one.client->connect() == std::errc::already_connected);
  one.client->disconnect();
  BOOST_TEST(one.client->connect() == std::errc::already_connected);
  end_sending(server.get());
  one.until_state(State::kIdle);
  one.connect();
  const Descriptor again = one.answer();
  one.until_state(State::kConnected);
  BOOST_TEST(one.journal.text() == "connect, disconnect local, connect");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connect_that_fails_is_told_to_the_user) {
  Calling one(backend);
  one.options.connector.max_attempts = 2;
  one.make(Address(refusing_endpoint()));
  one.connect();
  one.until_state(State::kIdle);
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() ==
             "failed Connection refused, failed Connection refused, give up Connection refused");
  one.connect();
  one.until_state(State::kIdle);
  BOOST_TEST(one.journal.count("give up Connection refused") == 2U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(without_reconnect_an_end_is_the_end) {
  Calling one(backend);
  one.make();
  one.connect();
  one.answer().reset();
  one.until_state(State::kIdle);
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() == "connect, disconnect peer");
  BOOST_TEST(!one.peek_accept());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(with_reconnect_a_client_comes_back_whatever_ended_it) {
  Calling one(backend);
  one.options.reconnect = true;
  one.make();
  one.connect();
  one.answer().reset();
  Descriptor server = one.answer();
  run_until(one.loop, [&] { return one.journal.count("connect") == 2; });
  reset_connection(server);
  server = one.answer();
  run_until(one.loop, [&] { return one.journal.count("connect") == 3; });
  BOOST_TEST(one.journal.text() ==
             "connect, disconnect peer, connect, disconnect error: Connection reset by peer, "
             "connect");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_that_comes_back_waits_until_its_server_has_too) {
  Calling one(backend);
  one.options.reconnect = true;
  one.make();
  one.connect();
  Descriptor server = one.answer();
  one.until_state(State::kConnected);
  one.listener.fd.reset();
  server.reset();
  run_until(one.loop, [&] { return one.journal.count("failed Connection refused") == 3; });
  BOOST_TEST((one.client->state() == State::kConnecting));
  const platform::Result made = platform::open_stream_socket(platform::Family::kIpv4);
  one.listener.fd.reset(made.descriptor());
  BOOST_TEST_REQUIRE(platform::set_reuse_address(one.listener.fd.get(), true).ok());
  BOOST_TEST_REQUIRE(platform::bind_socket(one.listener.fd.get(), one.listener.endpoint).ok());
  BOOST_TEST_REQUIRE(platform::listen_socket(one.listener.fd.get(), 8).ok());
  server = one.answer();
  one.until_state(State::kConnected);
  BOOST_TEST(one.journal.count("connect") == 2U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(disconnecting_ends_all_coming_back) {
  Calling one(backend);
  one.options.reconnect = true;
  one.options.connector.backoff = {.initial = 1h, .maximum = 1h};
  one.make();
  one.connect();
  one.answer().reset();
  run_until(one.loop, [&] { return one.journal.has("disconnect peer"); });
  BOOST_TEST((one.client->state() == State::kConnecting));
  BOOST_TEST(one.client->connect() == std::errc::connection_already_in_progress);
  one.client->disconnect();
  BOOST_TEST((one.client->state() == State::kIdle));
  one.connect();
  const Descriptor server = one.answer();
  one.until_state(State::kConnected);
  one.client->disconnect();
  end_sending(server.get());
  one.until_state(State::kIdle);
  run_until_idle(one.loop);
  BOOST_TEST((one.client->state() == State::kIdle));
}

// How long a client waits after its second connection, which is of the schedule's first step when
// the backoff has begun anew.
Duration second_wait(const BackendCase& backend, Duration backoff_reset_after) {
  Calling one(backend);
  one.options.reconnect = true;
  one.options.backoff_reset_after = backoff_reset_after;
  one.options.connector.backoff = {.initial = 16ms, .maximum = 4s};
  one.make();
  one.connect();
  one.answer().reset();
  Descriptor server = one.answer();
  run_until(one.loop, [&] { return one.journal.count("connect") == 2; });
  server.reset();
  run_until(one.loop, [&] { return one.journal.count("disconnect peer") == 2; });
  const MonotonicTime ended = platform::monotonic_now();
  one.answer();
  return platform::monotonic_now() - ended;
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_backoff_begins_anew_after_a_connection_that_lasted) {
  BOOST_TEST((second_wait(backend, 0s) >= 7ms));
  BOOST_TEST((second_wait(backend, 1h) >= 15ms), "a server that closes at once is spared");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_may_connect_again) {
  Calling one(backend);
  one.handlers.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) {
    one.journal.note("disconnect");
    if (one.journal.count("disconnect") == 1) BOOST_TEST(!one.client->connect());
  };
  one.make();
  one.connect();
  one.answer().reset();
  const Descriptor server = one.answer();
  run_until(one.loop, [&] { return one.journal.count("connect") == 2; });
  BOOST_TEST(one.journal.text() == "connect, disconnect, connect");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_throws_ends_the_connection_and_not_the_client) {
  Calling one(backend);
  one.options.reconnect = true;
  int connects = 0;
  one.handlers.on_connect = [&](const TcpConnectionPtr&) {
    if (++connects == 1) throw std::runtime_error("the first");
  };
  one.make();
  one.connect();
  const Descriptor first = one.answer();
  const Descriptor second = one.answer();
  run_until(one.loop, [&] { return connects == 2; });
  BOOST_TEST(one.journal.text() == "disconnect exception: the first");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_of_failures_may_throw_and_the_client_goes_on) {
  Calling one(backend);
  one.options.connector.max_attempts = 3;
  std::size_t failures = 0;
  one.handlers.on_attempt_failed = [&](const FailedAttempt&) {
    ++failures;
    throw std::runtime_error("annoyed");
  };
  one.make(Address(refusing_endpoint()));
  one.connect();
  for (std::size_t i = 1; i <= 3; ++i) {
    BOOST_CHECK_THROW(run_until(one.loop, [] { return false; }), std::runtime_error);
    BOOST_TEST(failures == i);
  }
  BOOST_TEST((one.client->state() == State::kIdle));
}

// Connected, and the poller has no room for it: the user hears of it as of any failure.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_that_cant_be_watched_is_told_to_the_user) {
  if (backend.poller != "epoll") return;  // the others have no call that could refuse
  set_log_sink({[](LogLevel, std::string_view) {}});
  for (const bool reconnect : {false, true}) {
    Faults faults;
    Calling one(backend);
    one.options.reconnect = reconnect;
    one.make();
    // Of the changes that an attempt makes, the third is the connection's own.
    faults.fail(Call::kEpollCtl, std::errc::no_space_on_device, {.after = 2});
    one.connect();
    const Descriptor first = one.answer();
    run_until(one.loop, [&] { return one.journal.text().starts_with("failed No space"); });
    if (reconnect) {
      const Descriptor second = one.answer();
      one.until_state(State::kConnected);
    } else {
      BOOST_TEST(one.journal.has("give up No space left on device"));
      BOOST_TEST((one.client->state() == State::kIdle));
    }
  }
  set_log_sink({});
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_whose_loop_is_gone_says_so) {
  EventLoop* loop = new EventLoop({.poller = backend.poller});
  TcpClient client(*loop, Address::loopback(1), {});
  delete loop;
  BOOST_TEST(client.connect() == Error::kLoopClosed);
  client.disconnect();
  BOOST_TEST((client.state() == State::kIdle));
}

}  // namespace
}  // namespace pollard::testing
