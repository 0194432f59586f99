// Connecting on good days and on bad ones: refusals, silence, retries, giving up, meeting oneself.
#include "pollard/net/tcp/connector.h"

#include <sys/socket.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/platform/socket.h"
#include "pollard/platform/socket_address.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

using State = Connector::State;

constexpr BackoffOptions kQuick{.initial = 2ms, .maximum = 8ms};

// A connector, and all that it says.
struct Connecting {
  Connecting(const std::string& backend, const Address& target, ConnectorOptions options = {})
      : loop({.poller = backend}),
        connector(std::in_place, loop, target,
                  ConnectorHandlers{
                      .on_connected =
                          [this](Descriptor made, const Address& peer) {
                            connected = std::move(made);
                            BOOST_TEST((peer == connector->target()));
                          },
                      .on_attempt_failed =
                          [this](const FailedAttempt& failure) { failures.push_back(failure); },
                      .on_give_up = [this](std::error_code error) { gave_up = error; },
                  },
                  options) {}

  void start() { BOOST_TEST(!connector->start()); }
  void until_connected() {
    run_until(loop, [this] { return static_cast<bool>(connected); });
  }
  void until_given_up() {
    run_until(loop, [this] { return static_cast<bool>(gave_up); });
  }

  EventLoop loop;
  std::optional<Connector> connector;
  Descriptor connected;
  std::vector<FailedAttempt> failures;
  std::error_code gave_up;
};

Address refusing() { return Address(refusing_endpoint()); }

POLLARD_EACH_BACKEND(a_connect_that_succeeds_is_told_once_and_not_inside_start) {
  const Listener listener = listen_on_loopback();
  Connecting one(backend, Address(listener.endpoint));
  one.start();
  BOOST_TEST(!one.connected);
  BOOST_TEST((one.connector->state() == State::kWaiting));
  one.until_connected();
  BOOST_TEST((one.connector->state() == State::kIdle));
  BOOST_TEST(one.failures.empty());
  BOOST_TEST(one.loop.stats().watched == 1U);
  const Descriptor accepted = accept_from(listener);
  write_text(one.connected.get(), "hello");
  wait_readable(accepted.get());
  BOOST_TEST(read_text(accepted.get()) == "hello");
}

POLLARD_EACH_BACKEND(start_is_refused_unless_idle) {
  const Listener listener = listen_on_loopback();
  Connecting one(backend, Address(listener.endpoint));
  one.start();
  BOOST_TEST(one.connector->start() == std::errc::connection_already_in_progress);
  one.until_connected();
  one.start();
  one.connector->cancel();
  one.start();
}

POLLARD_EACH_BACKEND(a_refusal_is_told_with_what_comes_next) {
  Connecting one(backend, refusing(), {.backoff = kQuick, .max_attempts = 3});
  one.start();
  one.until_given_up();
  BOOST_TEST(one.gave_up == std::errc::connection_refused);
  BOOST_TEST_REQUIRE(one.failures.size() == 3U);
  for (unsigned i = 0; i < 3; ++i) {
    BOOST_TEST(one.failures[i].error == std::errc::connection_refused);
    BOOST_TEST(one.failures[i].attempt == i + 1);
    BOOST_TEST(one.failures[i].next_delay.has_value() == (i < 2));
  }
  BOOST_TEST((one.failures[0].next_delay >= 1ms && one.failures[0].next_delay <= 2ms));
  BOOST_TEST((one.failures[1].next_delay >= 2ms && one.failures[1].next_delay <= 4ms));
  BOOST_TEST((one.connector->state() == State::kIdle));
  expect_no_spin(one.loop);
}

POLLARD_EACH_BACKEND(a_connector_waits_for_its_server_to_appear) {
  const Address address = refusing();
  Connecting one(backend, address, {.backoff = kQuick});
  one.start();
  run_until(one.loop, [&] { return one.failures.size() == 5; });
  const Descriptor server(platform::open_stream_socket(platform::Family::kIpv4).descriptor());
  BOOST_TEST_REQUIRE(platform::set_reuse_address(server.get(), true).ok());
  BOOST_TEST_REQUIRE(platform::bind_socket(server.get(), address.endpoint()).ok());
  BOOST_TEST_REQUIRE(platform::listen_socket(server.get(), 8).ok());
  one.until_connected();
  BOOST_TEST(!one.gave_up);
}

POLLARD_EACH_BACKEND(silence_is_a_failure_after_a_time) {
  const SilentListener silent;
  Connecting one(backend, Address(silent.listener.endpoint),
                 {.connect_timeout = 20ms, .backoff = kQuick, .max_attempts = 2});
  const MonotonicTime start = platform::monotonic_now();
  one.start();
  one.until_given_up();
  BOOST_TEST(one.gave_up == std::errc::timed_out);
  BOOST_TEST(one.failures.size() == 2U);
  BOOST_TEST((platform::monotonic_now() - start >= 40ms));
  BOOST_TEST(one.loop.stats().waits < 100U);
}

POLLARD_EACH_BACKEND(no_attempt_begins_after_the_time_to_give_up) {
  Faults faults;
  StoppedClock clock(faults);
  Connecting one(backend, refusing(), {.backoff = kQuick, .total_timeout = 30ms});
  one.start();
  Duration passed{};
  for (std::size_t attempts = 1; !one.gave_up; ++attempts) {
    run_until(one.loop, [&] { return one.failures.size() == attempts; });
    const std::optional<Duration> delay = one.failures.back().next_delay;
    if (!delay.has_value()) continue;
    passed += *delay;
    BOOST_TEST((passed <= 30ms));
    clock.advance(*delay);
  }
  BOOST_TEST(one.gave_up == std::errc::connection_refused);
  BOOST_TEST((passed + kQuick.maximum > 30ms), "one more would have been too late");
}

POLLARD_EACH_BACKEND(an_error_that_time_doesnt_mend_isnt_tried_again) {
  Faults faults;
  Connecting one(backend, refusing(), {.backoff = kQuick});
  faults.fail(Call::kConnect, std::errc::address_family_not_supported);
  one.start();
  one.until_given_up();
  BOOST_TEST(one.gave_up == std::errc::address_family_not_supported);
  BOOST_TEST(one.failures.size() == 1U);
  BOOST_TEST(faults.count(Call::kConnect) == 1U);
}

POLLARD_EACH_BACKEND(what_fails_at_once_is_tried_again_all_the_same) {
  const Listener listener = listen_on_loopback();
  for (const Call call : {Call::kConnect, Call::kSocket}) {
    for (const std::errc error :
         {std::errc::no_buffer_space, std::errc::network_unreachable,
          std::errc::address_not_available, std::errc::too_many_files_open}) {
      Faults faults;
      Connecting one(backend, Address(listener.endpoint), {.backoff = kQuick});
      faults.fail(call, error, {.times = 2});
      one.start();
      one.until_connected();
      BOOST_TEST(one.failures.size() == 2U);
      BOOST_TEST(one.failures[0].error == error);
    }
  }
}

POLLARD_EACH_BACKEND(an_interrupted_connect_goes_on_by_itself) {
  const Listener listener = listen_on_loopback();
  Faults faults;
  faults.replace<&platform::SystemCalls::connect>(
      [&](int fd, const sockaddr* address, socklen_t size) {
        static_cast<void>(faults.underlying().connect(fd, address, size));
        return -static_cast<int>(std::errc::interrupted);
      });
  Connecting one(backend, Address(listener.endpoint));
  one.start();
  one.until_connected();
  BOOST_TEST(one.failures.empty());
  BOOST_TEST(faults.count(Call::kConnect) == 1U);
}

POLLARD_EACH_BACKEND(a_socket_that_cant_be_watched_is_a_failed_attempt) {
  Faults faults;
  Connecting one(backend, refusing(), {.max_attempts = 1});
  const Call changes = backend == "epoll" ? Call::kEpollCtl : Call::kSocket;
  faults.fail(changes, std::errc::not_enough_memory);
  one.start();
  one.until_given_up();
  BOOST_TEST(one.gave_up == std::errc::not_enough_memory);
}

// ---- Meeting oneself ----

// Binds a connecting socket to the very port that it is to connect to, `times` times.
void make_it_meet_itself(Faults& faults, int& times) {
  faults.replace<&platform::SystemCalls::connect>(
      [&](int fd, const sockaddr* address, socklen_t size) {
        if (times > 0) {
          --times;
          BOOST_TEST_REQUIRE(faults.underlying().bind(fd, address, size) == 0);
        }
        return faults.underlying().connect(fd, address, size);
      });
}

POLLARD_EACH_BACKEND(who_meets_himself_tries_again_from_another_port) {
  const Address nobody = refusing();
  Faults faults;
  int times = 1;
  make_it_meet_itself(faults, times);
  Connecting one(backend, nobody, {.max_attempts = 2});
  one.start();
  one.until_given_up();
  BOOST_TEST_REQUIRE(one.failures.size() == 2U);
  BOOST_TEST(one.failures[0].error == Error::kSelfConnect);
  BOOST_TEST((one.failures[0].next_delay == Duration::zero()));
  BOOST_TEST(one.failures[1].error == std::errc::connection_refused);
  BOOST_TEST(!one.connected);
}

POLLARD_EACH_BACKEND(who_only_ever_meets_himself_gives_up) {
  const Address nobody = refusing();
  Faults faults;
  int times = 1;
  make_it_meet_itself(faults, times);
  Connecting one(backend, nobody, {.max_attempts = 1});
  one.start();
  one.until_given_up();
  BOOST_TEST(one.gave_up == Error::kSelfConnect);
  BOOST_TEST(is_worth_a_retry(one.gave_up));
}

// ---- Ends ----

POLLARD_EACH_BACKEND(a_connector_may_be_destroyed_in_any_state) {
  const SilentListener silent;
  const Listener listener = listen_on_loopback();
  { Connecting idle(backend, Address(silent.listener.endpoint)); }
  {
    Connecting waiting(backend, Address(silent.listener.endpoint));
    waiting.start();
    waiting.connector.reset();
    run_until_idle(waiting.loop);
  }
  {
    Connecting connecting(backend, Address(silent.listener.endpoint));
    connecting.start();
    run_until(connecting.loop, [&] { return connecting.connector->state() == State::kConnecting; });
    connecting.connector.reset();
    run_until_idle(connecting.loop);
    BOOST_TEST(connecting.loop.stats().watched == 1U);
    BOOST_TEST(connecting.failures.empty());
  }
  {
    Connecting retrying(backend, refusing(), {.backoff = {.initial = 1h, .maximum = 1h}});
    retrying.start();
    run_until(retrying.loop, [&] { return retrying.failures.size() == 1; });
    BOOST_TEST((retrying.connector->state() == State::kWaiting));
    retrying.connector.reset();
    run_until_idle(retrying.loop);
    BOOST_TEST(!retrying.gave_up);
  }
}

POLLARD_EACH_BACKEND(a_connector_may_outlive_its_loop_in_any_state) {
  const SilentListener silent;
  for (const bool connecting : {false, true}) {
    std::optional<EventLoop> loop;
    loop.emplace(EventLoopOptions{.poller = backend});
    Connector connector(*loop, Address(silent.listener.endpoint),
                        {.on_connected = [](Descriptor, const Address&) {}});
    BOOST_TEST(!connector.start());
    if (connecting) {
      run_until(*loop, [&] { return connector.state() == State::kConnecting; });
    }
    loop.reset();
    connector.cancel();
    BOOST_TEST(connector.start() == Error::kLoopClosed);
  }
}

POLLARD_EACH_BACKEND(each_of_its_handlers_may_destroy_a_connector) {
  EventLoop loop({.poller = backend});
  const Listener listener = listen_on_loopback();
  for (const char* where : {"connected", "failed", "give up"}) {
    std::unique_ptr<Connector> connector;
    std::size_t calls = 0;
    const auto destroy_in = [&](std::string_view here) {
      if (here != where) return;
      ++calls;
      connector.reset();
    };
    const bool refused = std::string_view(where) != "connected";
    connector = std::make_unique<Connector>(
        loop, refused ? refusing() : Address(listener.endpoint),
        ConnectorHandlers{
            .on_connected = [&](Descriptor, const Address&) { destroy_in("connected"); },
            .on_attempt_failed = [&](const FailedAttempt&) { destroy_in("failed"); },
            .on_give_up = [&](std::error_code) { destroy_in("give up"); },
        },
        ConnectorOptions{.max_attempts = 1});
    BOOST_TEST(!connector->start());
    run_until(loop, [&] { return connector == nullptr; });
    run_until_idle(loop);
    BOOST_TEST(calls == 1U);
    BOOST_TEST(loop.stats().watched == 1U);
  }
}

POLLARD_EACH_BACKEND(a_handler_may_begin_anew_or_end_it_all) {
  EventLoop loop({.poller = backend});
  std::optional<Connector> connector;
  std::size_t failures = 0;
  std::size_t ends = 0;
  connector.emplace(loop, refusing(),
                    ConnectorHandlers{
                        .on_connected = [](Descriptor, const Address&) {},
                        .on_attempt_failed =
                            [&](const FailedAttempt& failure) {
                              BOOST_TEST(failure.attempt == 1U);
                              if (++failures < 5) BOOST_TEST(!connector->start());
                              if (failures == 7) connector->cancel();
                            },
                        .on_give_up =
                            [&](std::error_code) {
                              ++ends;
                              BOOST_TEST(!connector->start());
                            },
                    },
                    ConnectorOptions{.max_attempts = 1});
  BOOST_TEST(!connector->start());
  run_until(loop, [&] { return failures == 7; });
  run_until_idle(loop);
  BOOST_TEST(failures == 7U);
  BOOST_TEST(ends == 2U);
  BOOST_TEST((connector->state() == State::kIdle));
}

// ---- Unix-domain sockets, and a place to connect from ----

POLLARD_EACH_BACKEND(a_unix_path_that_isnt_there_yet_is_tried_again) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("pollard-connector-" + std::to_string(listen_on_loopback().endpoint.port));
  const Address address = Address::unix_path(path.string());
  Connecting one(backend, address, {.backoff = kQuick});
  one.start();
  run_until(one.loop, [&] { return one.failures.size() == 2; });
  BOOST_TEST(one.failures[0].error == std::errc::no_such_file_or_directory);
  const Descriptor server(platform::open_stream_socket(platform::Family::kUnix).descriptor());
  BOOST_TEST_REQUIRE(platform::bind_socket(server.get(), address.endpoint()).ok());
  const std::size_t before = one.failures.size();
  run_until(one.loop, [&] { return one.failures.size() > before; });
  BOOST_TEST(one.failures.back().error == std::errc::connection_refused);
  BOOST_TEST_REQUIRE(platform::listen_socket(server.get(), 8).ok());
  one.until_connected();
  std::filesystem::remove(path);
}

POLLARD_EACH_BACKEND(a_connector_connects_from_where_it_is_told) {
  const Listener listener = listen_on_loopback();
  const std::uint16_t port = refusing().port();
  Connecting one(backend, Address(listener.endpoint), {.local = Address::loopback(port)});
  one.start();
  one.until_connected();
  platform::Endpoint local;
  BOOST_TEST_REQUIRE(platform::local_endpoint(one.connected.get(), local).ok());
  BOOST_TEST(local.port == port);
}

POLLARD_EACH_BACKEND(a_server_that_resets_at_once_was_connected_or_failed_but_never_both) {
  for (int round = 0; round < 10; ++round) {
    const Listener listener = listen_on_loopback();
    Connecting one(backend, Address(listener.endpoint), {.max_attempts = 1});
    one.start();
    run_until(one.loop, [&] { return one.connector->state() != State::kWaiting; });
    Descriptor accepted = accept_from(listener);
    reset_connection(accepted);
    run_until(one.loop, [&] { return one.connected || one.gave_up; });
    BOOST_TEST((static_cast<bool>(one.connected) != static_cast<bool>(one.gave_up)));
  }
}

}  // namespace
}  // namespace pollard::testing
