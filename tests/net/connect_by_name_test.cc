// Connectors and clients that are given a name: each attempt looks it up anew and races what it
// finds, failures say what failed, and everything may end at any time.
#include <netdb.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/tcp/connector.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/fake_names.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

constexpr BackoffOptions kQuick{.initial = 2ms, .maximum = 8ms};
const HostPort kServer("server.example:7007");

// A connector that is told a name, and all that it says.
struct Calling {
  explicit Calling(const std::string& backend) : loop({.poller = backend}) {}

  void start(ConnectorOptions options = {.backoff = kQuick}) {
    connector.emplace(loop, kServer,
                      ConnectorHandlers{
                          .on_connected =
                              [this](Descriptor made, const Address& address) {
                                socket = std::move(made);
                                peer = address;
                              },
                          .on_attempt_failed =
                              [this](const FailedAttempt& failure) { failures.push_back(failure); },
                          .on_give_up = [this](std::error_code error) { gave_up = error; },
                      },
                      options);
    BOOST_TEST(!connector->start());
  }
  void until_connected() {
    run_until(loop, [this] { return static_cast<bool>(socket); });
  }
  void until_failed(std::size_t times) {
    run_until(loop, [&] { return failures.size() >= times; });
  }

  Faults faults;
  FakeNames names{faults};
  EventLoop loop;
  std::optional<Connector> connector;
  Descriptor socket;
  Address peer;
  std::vector<FailedAttempt> failures;
  std::error_code gave_up;
};

POLLARD_EACH_BACKEND(a_name_is_looked_up_and_the_address_that_answers_is_told) {
  const Listener listener = listen_on_loopback();
  Calling one(backend);
  const Address refused(refusing_endpoint());
  one.names.know(kServer.host(), {refused, Address(listener.endpoint)});
  one.start();
  one.until_connected();
  BOOST_TEST((one.peer == Address(listener.endpoint)));
  BOOST_TEST(one.failures.empty(), "one address that fails is no failed attempt");
  BOOST_TEST((one.connector->target() == kServer));
}

POLLARD_EACH_BACKEND(a_name_that_nobody_knows_is_tried_again_until_somebody_does) {
  const Listener listener = listen_on_loopback();
  Calling one(backend);
  one.start();
  one.until_failed(1);
  one.names.fail(kServer.host(), std::abs(EAI_AGAIN));
  const std::size_t unknown = one.failures.size();
  one.until_failed(unknown + 2);
  one.names.know(kServer.host(), {Address(listener.endpoint)});
  one.until_connected();
  BOOST_TEST(one.failures.front().error == Error::kHostNotFound);
  BOOST_TEST(one.failures.front().addresses.empty());
  BOOST_TEST(one.failures.front().next_delay.has_value());
  BOOST_TEST(one.failures.back().error == Error::kNameServiceBusy);
}

POLLARD_EACH_BACKEND(connector_gives_up_when_the_service_has_no_such_name) {
  Calling one(backend);
  one.names.fail(kServer.host(), std::abs(EAI_SERVICE));
  one.start();
  run_until(one.loop, [&] { return static_cast<bool>(one.gave_up); });
  BOOST_TEST(one.gave_up == Error::kServiceNotFound);
  BOOST_TEST(one.failures.size() == 1U);
}

POLLARD_EACH_BACKEND(each_attempt_looks_up_anew_and_uses_what_is_true_by_then) {
  const Listener listener = listen_on_loopback();
  Calling one(backend);
  one.names.know(kServer.host(), {Address(refusing_endpoint())});
  one.start();
  one.until_failed(3);
  BOOST_TEST(one.names.asked(kServer.host()) >= 3U);
  one.names.know(kServer.host(), {Address(listener.endpoint)});
  one.until_connected();
  BOOST_TEST((one.peer == Address(listener.endpoint)));
}

POLLARD_EACH_BACKEND(a_failed_attempt_tells_each_address_with_its_error) {
  Calling one(backend);
  const Address first(refusing_endpoint());
  const Address second(refusing_endpoint());
  one.names.know(kServer.host(), {first, second});
  one.faults.fail(Call::kConnect, std::errc::address_family_not_supported);
  one.start({.backoff = kQuick, .max_attempts = 2});
  one.until_failed(1);
  const FailedAttempt& failure = one.failures.front();
  BOOST_TEST_REQUIRE(failure.addresses.size() == 2U);
  BOOST_TEST((failure.addresses[0].address == first));
  BOOST_TEST(failure.addresses[0].error == std::errc::address_family_not_supported);
  BOOST_TEST((failure.addresses[1].address == second));
  BOOST_TEST(failure.addresses[1].error == std::errc::connection_refused);
  BOOST_TEST(failure.error == std::errc::connection_refused, "what may pass decides");
  BOOST_TEST(failure.next_delay.has_value());
  run_until(one.loop, [&] { return static_cast<bool>(one.gave_up); });
  BOOST_TEST(one.failures.back().attempt == 2U);
}

POLLARD_EACH_BACKEND(the_families_of_a_name_take_turns) {
  Calling one(backend);
  const Address first = Address::parse("[::1]:1");
  const Address second = Address::parse("[::1]:2");
  const Address other_family = Address::parse("127.0.0.1:3");
  one.names.know(kServer.host(), {first, second, other_family});
  one.faults.fail(Call::kConnect, std::errc::network_unreachable, {.times = kForever});
  one.start({.backoff = kQuick, .max_attempts = 1});
  run_until(one.loop, [&] { return static_cast<bool>(one.gave_up); });
  BOOST_TEST_REQUIRE(one.failures.size() == 1U);
  std::vector<Address> tried;
  for (const FailedAddress& it : one.failures.front().addresses) tried.push_back(it.address);
  BOOST_TEST((tried == std::vector{first, other_family, second}));
}

POLLARD_EACH_BACKEND(an_address_has_the_head_start_that_the_connector_was_given) {
  const SilentListener silent;
  const Listener listener = listen_on_loopback();
  Calling one(backend);
  StoppedClock clock(one.faults);
  one.names.know(kServer.host(), {Address(silent.listener.endpoint), Address(listener.endpoint)});
  one.start({.connection_attempt_delay = 7s, .backoff = kQuick});
  run_until(one.loop, [&] { return one.faults.count(Call::kConnect) == 1; });
  clock.advance(7s - 1ns);
  run_until_idle(one.loop);
  BOOST_TEST(one.faults.count(Call::kConnect) == 1U);
  clock.advance(1ns);
  one.until_connected();
  BOOST_TEST((one.peer == Address(listener.endpoint)));
}

POLLARD_EACH_BACKEND(a_lookup_has_its_time_too) {
  Calling one(backend);
  StoppedClock clock(one.faults);
  one.names.hold();
  one.start({.resolve_timeout = 5s, .backoff = kQuick, .max_attempts = 2});
  run_until(one.loop, [&] { return one.names.held() == 1; });
  clock.advance(5s - 1ns);
  run_until_idle(one.loop);
  BOOST_TEST(one.failures.empty());
  clock.advance(1ns);
  one.until_failed(1);
  clock.advance(*one.failures.front().next_delay);
  run_until(one.loop, [&] { return one.connector->state() == Connector::State::kConnecting; });
  clock.advance(5s);
  run_until(one.loop, [&] { return static_cast<bool>(one.gave_up); });
  BOOST_TEST(one.gave_up == std::errc::timed_out);
  BOOST_TEST(one.failures.size() == 2U);
  BOOST_TEST(one.names.asked(kServer.host()) == 1U, "the lookup that hangs is shared");
}

POLLARD_EACH_BACKEND(who_met_himself_and_then_finds_no_name_waits_before_the_next_attempt) {
  Calling one(backend);
  const Address nobody(refusing_endpoint());
  one.names.know(kServer.host(), {nobody});
  one.faults.replace<&platform::SystemCalls::connect>(
      [&](int fd, const sockaddr* address, socklen_t size) {
        BOOST_TEST(one.faults.underlying().bind(fd, address, size) == 0);
        one.names.fail(kServer.host(), std::abs(EAI_NONAME));
        return one.faults.underlying().connect(fd, address, size);
      });
  one.start({.backoff = {.initial = 1h, .maximum = 1h}});
  one.until_failed(2);
  BOOST_TEST(one.failures[0].error == Error::kSelfConnect);
  BOOST_TEST((one.failures[0].next_delay == Duration::zero()));
  BOOST_TEST(one.failures[1].error == Error::kHostNotFound);
  BOOST_TEST((one.failures[1].next_delay >= 30min));
}

POLLARD_EACH_BACKEND(a_connector_may_be_ended_while_its_name_is_looked_up) {
  for (const bool destroyed : {false, true}) {
    Calling one(backend);
    one.names.know(kServer.host(), {Address(refusing_endpoint())});
    one.names.hold();
    one.start();
    run_until(one.loop, [&] { return one.names.held() == 1; });
    BOOST_TEST((one.connector->state() == Connector::State::kConnecting));
    if (destroyed) {
      one.connector.reset();
    } else {
      one.connector->cancel();
      BOOST_TEST((one.connector->state() == Connector::State::kIdle));
    }
    one.names.release();
    run_until_idle(one.loop);
    BOOST_TEST(one.failures.empty());
    BOOST_TEST(one.faults.count(Call::kConnect) == 0U);
    if (destroyed) continue;
    BOOST_TEST(!one.connector->start());
    one.until_failed(1);
  }
}

POLLARD_EACH_BACKEND(a_connector_may_outlive_its_loop_while_its_name_is_looked_up) {
  Faults faults;
  FakeNames names(faults);
  names.hold();
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  Connector connector(*loop, kServer, {.on_connected = [](Descriptor, const Address&) {}});
  BOOST_TEST(!connector.start());
  run_until(*loop, [&] { return names.held() == 1; });
  loop.reset();
  names.release();
  BOOST_TEST((connector.state() == Connector::State::kIdle));
  BOOST_TEST(connector.start() == Error::kLoopClosed);
}

POLLARD_EACH_BACKEND(connectors_of_the_same_name_share_a_lookup) {
  const Listener listener = listen_on_loopback();
  Calling one(backend);
  one.names.know(kServer.host(), {Address(listener.endpoint)});
  one.names.hold();
  one.start();
  bool connected = false;
  Connector other(one.loop, kServer,
                  {.on_connected = [&](Descriptor, const Address&) { connected = true; }});
  BOOST_TEST(!other.start());
  run_until(one.loop, [&] { return one.names.held() == 1; });
  run_until_idle(one.loop);
  one.names.release();
  one.until_connected();
  run_until(one.loop, [&] { return connected; });
  BOOST_TEST(one.names.asked(kServer.host()) == 1U);
}

// ---- Clients ----

// A client that is told a name, on top of the raw sockets of its servers.
struct Client {
  explicit Client(const BackendCase& backend) : loop({.poller = backend.poller}) {
    options.connection.trigger = choice_of(backend);
    options.connector.backoff = kQuick;
  }

  void connect() {
    client.emplace(loop, "server.example:7007", std::move(handlers), options);
    BOOST_TEST(!client->connect());
  }
  Descriptor answer(const Listener& listener) {
    run_until(loop, [&] { return has_newcomer(listener); });
    return accept_from(listener);
  }

  Faults faults;
  FakeNames names{faults};
  Journal journal;
  ConnectionHandlers handlers = journal.handlers();
  TcpClientOptions options;
  EventLoop loop;
  std::optional<TcpClient> client;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_that_comes_back_asks_where_its_server_is_now) {
  const Listener before = listen_on_loopback();
  const Listener after = listen_on_loopback();
  Client one(backend);
  one.options.reconnect = true;
  one.names.know("server.example", {Address(before.endpoint)});
  one.connect();
  Descriptor server = one.answer(before);
  run_until(one.loop, [&] { return one.journal.has("connect"); });
  BOOST_TEST((one.client->connection()->peer_address() == Address(before.endpoint)));
  one.names.know("server.example", {Address(after.endpoint)});
  server.reset();
  const Descriptor moved = one.answer(after);
  run_until(one.loop, [&] { return one.journal.count("connect") == 2; });
  BOOST_TEST((one.client->connection()->peer_address() == Address(after.endpoint)));
  BOOST_TEST(!has_newcomer(before));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_talks_to_the_winner) {
  const SilentListener silent;
  const Listener listener = listen_on_loopback();
  Client one(backend);
  one.options.connector.connection_attempt_delay = 1ms;
  one.names.know("server.example", {Address(silent.listener.endpoint), Address(listener.endpoint)});
  one.connect();
  const Descriptor server = one.answer(listener);
  write_text(server.get(), "hello");
  run_until(one.loop, [&] { return one.journal.received == "hello"; });
  BOOST_TEST(one.journal.text() == "connect, message");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_may_be_destroyed_while_its_name_is_looked_up) {
  Client one(backend);
  one.names.hold();
  one.connect();
  run_until(one.loop, [&] { return one.names.held() == 1; });
  BOOST_TEST((one.client->state() == TcpClient::State::kConnecting));
  one.client.reset();
  run_until_idle(one.loop);
  one.names.release();
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text().empty());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(each_failure_of_a_name_may_destroy_the_client) {
  for (const bool in_give_up : {false, true}) {
    Client one(backend);
    one.options.connector.max_attempts = 1;
    if (in_give_up) {
      one.handlers.on_give_up = [&](std::error_code) { one.client.reset(); };
    } else {
      one.handlers.on_attempt_failed = [&](const FailedAttempt&) { one.client.reset(); };
    }
    one.connect();
    run_until(one.loop, [&] { return !one.client.has_value(); });
    run_until_idle(one.loop);
    BOOST_TEST(!one.journal.has("give up no host of that name is known"));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_client_refuses_what_is_no_host_and_port) {
  EventLoop loop({.poller = backend.poller});
  BOOST_CHECK_THROW(TcpClient(loop, "example.org", {}), std::system_error);
}

// The window scale of the handshake comes of the buffer that the socket has by then (RFC 7323 2.2).
POLLARD_EACH_BACKEND_AND_TRIGGER(the_sizes_of_the_buffers_are_set_before_the_handshake) {
  const Listener listener = listen_on_loopback();
  Client one(backend);
  one.options.connection.receive_buffer_bytes = 40000;
  one.options.connection.send_buffer_bytes = 50000;
  one.names.know("server.example", {Address(listener.endpoint)});
  int receive = 0;
  int send = 0;
  one.faults.replace<&platform::SystemCalls::connect>(
      [&](int fd, const sockaddr* address, socklen_t size) {
        socklen_t length = sizeof receive;
        BOOST_TEST(kernel_calls().getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, &length) == 0);
        BOOST_TEST(kernel_calls().getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, &length) == 0);
        return one.faults.underlying().connect(fd, address, size);
      });
  one.connect();
  const Descriptor server = one.answer(listener);
  // Linux answers twice of what was asked (socket(7)).
  BOOST_TEST((receive == 40000 || receive == 80000), receive);
  BOOST_TEST((send == 50000 || send == 100000), send);
}

}  // namespace
}  // namespace pollard::testing
