// What a connector does with each error, with handlers that throw, with memory that is short, with
// extreme options, and with calls from other threads.
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/tcp/connector.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/fake_names.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

using State = Connector::State;

constexpr BackoffOptions kQuick{.initial = 2ms, .maximum = 8ms};
constexpr BackoffOptions kSlow{.initial = 1h, .maximum = 1h};

// A connector, and all that it reports.
struct Attempts {
  explicit Attempts(const std::string& backend) : loop({.poller = backend}) {}

  void start(const HostPort& target, const ConnectorOptions& options) {
    connector.emplace(
        loop, target,
        ConnectorHandlers{
            .on_connected = [this](Descriptor made, const Address&) { socket = std::move(made); },
            .on_attempt_failed = [this](const FailedAttempt& it) { failures.push_back(it); },
            .on_give_up = [this](std::error_code error) { gave_up = error; },
            .on_socket =
                [this](int fd, const Address&) {
                  if (on_socket) on_socket(fd);
                },
        },
        options);
    BOOST_TEST(!connector->start());
  }
  void until_failed(std::size_t times = 1) {
    run_until(loop, [&] { return failures.size() >= times; });
  }
  void until_connected() {
    run_until(loop, [&] { return static_cast<bool>(socket); });
  }

  EventLoop loop;
  std::function<void(int fd)> on_socket;
  Descriptor socket;
  std::vector<FailedAttempt> failures;
  std::error_code gave_up;
  std::optional<Connector> connector;
};

Address refusing() { return Address(refusing_endpoint()); }

// ---- Errors ----

// The address or the call is wrong, whatever the network does.
const std::vector<int> kNeverMended = {EBADF,           EFAULT,          ENOTSOCK,     EAFNOSUPPORT,
                                       EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPFNOSUPPORT, EISCONN,
                                       EPROTOTYPE,      ENAMETOOLONG,    EDESTADDRREQ};

POLLARD_EACH_BACKEND(connector_retries_every_error_of_connect_that_time_may_mend) {
  const Address target = refusing();
  for (int number = 1; number <= 133; ++number) {
    if (number == EINPROGRESS || number == EALREADY || number == EINTR)
      continue;  // goes on by itself
    Faults faults;
    faults.fail(Call::kConnect, static_cast<std::errc>(number));
    Attempts one(backend);
    one.start(target, {.backoff = kSlow});
    one.until_failed();
    BOOST_TEST(one.failures.front().error.value() == number);
    const bool permanent = std::ranges::count(kNeverMended, number) > 0;
    BOOST_TEST(one.failures.front().next_delay.has_value() != permanent, number);
    BOOST_TEST(static_cast<bool>(one.gave_up) == permanent, number);
  }
}

POLLARD_EACH_BACKEND(connector_retries_what_the_network_reports_after_connect) {
  const SilentListener silent;
  for (const int number :
       {EHOSTDOWN, ENOPROTOOPT, ENETRESET, EPROTO, EACCES, EPERM, EINVAL, EHOSTUNREACH}) {
    const Listener listener = listen_on_loopback();
    Faults faults;
    faults.replace<&platform::SystemCalls::getsockopt>(
        [&](int fd, int level, int name, void* value, socklen_t* size) {
          if (name != SO_ERROR) return faults.underlying().getsockopt(fd, level, name, value, size);
          *static_cast<int*>(value) = number;
          return 0;
        });
    Attempts one(backend);
    one.start(Address(listener.endpoint), {.backoff = kSlow});
    one.until_failed();
    BOOST_TEST(one.failures.front().error.value() == number);
    BOOST_TEST(one.failures.front().next_delay.has_value(), number);
  }
}

POLLARD_EACH_BACKEND(connector_retries_when_poller_has_no_room_for_the_socket) {
  if (backend != "epoll") return;  // the others have no call that could refuse
  for (const std::errc error : {std::errc::no_space_on_device, std::errc::not_enough_memory,
                                std::errc::operation_not_permitted}) {
    const Listener listener = listen_on_loopback();
    Attempts one(backend);
    Faults faults;
    faults.fail(Call::kEpollCtl, error);
    one.start(Address(listener.endpoint), {.backoff = kQuick});
    one.until_connected();
    BOOST_TEST_REQUIRE(one.failures.size() == 1U);
    BOOST_TEST(one.failures.front().error == error);
  }
}

POLLARD_EACH_BACKEND(connector_retries_every_lookup_but_those_of_bad_names) {
  Faults faults;
  FakeNames names(faults);
  const auto is_retried = [&](int answer) {
    names.fail("server.example", answer);
    Attempts one(backend);
    one.start("server.example:80", {.backoff = kSlow});
    one.until_failed();
    BOOST_TEST(one.failures.front().next_delay.has_value() != static_cast<bool>(one.gave_up));
    return one.failures.front().next_delay.has_value();
  };
  for (const int error : {EINTR, EMFILE, ENOMEM, ENOENT, EAFNOSUPPORT, ECONNREFUSED}) {
    BOOST_TEST(is_retried(-error), error);
  }
  for (const int answer : {EAI_AGAIN, EAI_FAIL, EAI_NONAME, EAI_MEMORY}) {
    BOOST_TEST(is_retried(std::abs(answer)), answer);
  }
  BOOST_TEST(!is_retried(std::abs(EAI_SERVICE)));
  BOOST_TEST(!is_retried(-ENAMETOOLONG));
  BOOST_TEST(!is_worth_a_retry({}));
  BOOST_TEST(!is_worth_a_retry(Error::kForked));
}

POLLARD_EACH_BACKEND(source_address_of_another_family_fails_without_a_socket) {
  Faults faults;
  Attempts one(backend);
  const std::size_t before = faults.count(Call::kSocket);
  one.start(Address::loopback(1), {.local = Address::loopback_ipv6(0)});
  run_until(one.loop, [&] { return static_cast<bool>(one.gave_up); });
  BOOST_TEST(one.gave_up == std::errc::address_family_not_supported);
  BOOST_TEST(faults.count(Call::kSocket) == before);
}

// ---- Sockets that met themselves ----

// Binds each connecting socket to the very port that it is to connect to.
void make_all_meet_themselves(Faults& faults) {
  faults.replace<&platform::SystemCalls::connect>(
      [&](int fd, const sockaddr* address, socklen_t size) {
        static_cast<void>(faults.underlying().bind(fd, address, size));
        return faults.underlying().connect(fd, address, size);
      });
}

POLLARD_EACH_BACKEND(cancelled_connector_releases_sockets_that_met_themselves) {
  for (const bool destroyed : {false, true}) {
    const Address target = refusing();
    Faults faults;
    make_all_meet_themselves(faults);
    Attempts one(backend);
    const std::size_t before = open_descriptors();
    one.start(target, {.backoff = kSlow});
    one.until_failed();
    BOOST_TEST(one.failures.front().error == Error::kSelfConnect);
    BOOST_TEST(open_descriptors() == before + 1, "it is held, so that its port is taken");
    if (destroyed) {
      one.connector.reset();
    } else {
      one.connector->cancel();
    }
    BOOST_TEST(open_descriptors() == before);
  }
}

POLLARD_EACH_BACKEND(connector_that_gives_up_releases_sockets_that_met_themselves) {
  const Address target = refusing();
  Faults faults;
  make_all_meet_themselves(faults);
  Attempts one(backend);
  const std::size_t before = open_descriptors();
  one.start(target, {.max_attempts = 1});
  run_until(one.loop, [&] { return static_cast<bool>(one.gave_up); });
  BOOST_TEST(open_descriptors() == before);
}

POLLARD_EACH_BACKEND(connector_with_a_source_port_waits_before_it_may_meet_itself_again) {
  const Address target = refusing();
  Attempts one(backend);
  const std::size_t before = open_descriptors();
  one.start(target, {.backoff = kSlow, .local = target});
  one.until_failed();
  BOOST_TEST(one.failures.front().error == Error::kSelfConnect);
  BOOST_TEST((one.failures.front().next_delay >= 30min));
  BOOST_TEST(open_descriptors() == before, "the next attempt needs the port");
}

// ---- Handlers that throw, or end the connector ----

POLLARD_EACH_BACKEND(socket_handler_that_throws_fails_its_address_and_connector_goes_on) {
  const Listener listener = listen_on_loopback();
  Attempts one(backend);
  int calls = 0;
  one.on_socket = [&](int) {
    if (++calls == 1) throw std::runtime_error("the first");
  };
  const std::size_t before = open_descriptors();
  one.start(Address(listener.endpoint), {.backoff = kQuick});
  BOOST_CHECK_THROW(run_until(one.loop, [] { return false; }), std::runtime_error);
  BOOST_TEST_REQUIRE(one.failures.size() == 1U);
  BOOST_TEST(one.failures.front().error == std::errc::operation_canceled);
  BOOST_TEST(open_descriptors() == before);
  one.until_connected();
}

POLLARD_EACH_BACKEND(socket_handler_may_cancel_or_destroy_the_connector) {
  const Listener listener = listen_on_loopback();
  for (const bool destroys : {false, true}) {
    Attempts one(backend);
    bool called = false;
    one.on_socket = [&](int) {
      called = true;
      if (destroys) {
        one.connector.reset();
      } else {
        one.connector->cancel();
      }
    };
    const std::size_t before = open_descriptors();
    one.start(Address(listener.endpoint), {.backoff = kQuick});
    run_until(one.loop, [&] { return called; });
    run_until_idle(one.loop);
    BOOST_TEST(one.failures.empty());
    BOOST_TEST(!one.socket);
    BOOST_TEST(open_descriptors() == before);
    if (destroys) continue;
    one.on_socket = nullptr;
    BOOST_TEST(!one.connector->start());
    one.until_connected();
  }
}

POLLARD_EACH_BACKEND(connector_gives_up_although_its_failure_handler_throws) {
  EventLoop loop({.poller = backend});
  std::error_code gave_up;
  Connector connector(
      loop, refusing(),
      {.on_connected = [](Descriptor, const Address&) {},
       .on_attempt_failed = [](const FailedAttempt&) { throw std::runtime_error("annoyed"); },
       .on_give_up = [&](std::error_code error) { gave_up = error; }},
      {.max_attempts = 1});
  BOOST_TEST(!connector.start());
  BOOST_CHECK_THROW(run_until(loop, [] { return false; }), std::runtime_error);
  BOOST_TEST(gave_up == std::errc::connection_refused);
}

// ---- Short of memory ----

// Nothing may be reported but failed attempts, and each start ends in a connection.
POLLARD_EACH_REAL_BACKEND(connector_that_was_short_of_memory_connects_all_the_same,
                          "memory of its own: its calls take this thread's") {
  Faults faults;
  FakeNames names(faults);
  const Listener listener = listen_on_loopback();
  const Address refused = refusing();
  const SilentListener silent;
  for (const std::vector<Address>& addresses :
       {std::vector{refused, Address(listener.endpoint)},
        std::vector{Address(silent.listener.endpoint), Address(listener.endpoint)}}) {
    names.know("server.example", addresses);
    with_each_allocation_failing([&](std::uint64_t which) {
      EventLoop loop({.poller = backend});
      Descriptor socket;
      bool short_of_memory = true;
      Connector connector(
          loop, "server.example:80",
          {.on_connected = [&](Descriptor made, const Address&) { socket = std::move(made); },
           .on_attempt_failed =
               [&](const FailedAttempt& failure) {
                 short_of_memory &= failure.error == std::errc::not_enough_memory ||
                                    failure.error == std::errc::timed_out;  // of the silent one
               },
           .on_give_up = [&](std::error_code) { short_of_memory = false; }},
          {.connect_timeout = 20ms,
           .connection_attempt_delay = 1ms,
           .backoff = {.initial = 1ms, .maximum = 1ms}});
      BOOST_TEST(!connector.start());
      const FailingAllocation failing(which);
      run_until(loop, [&] { return static_cast<bool>(socket); });
      BOOST_TEST(short_of_memory);
      return failing.has_failed();
    });
  }
}

// ---- Extreme options ----

const std::vector<Duration> kExtremes = {Duration::min(), Duration(-1), Duration::zero(),
                                         Duration(1), Duration::max()};

POLLARD_EACH_BACKEND(connector_takes_extreme_delays) {
  const Listener listener = listen_on_loopback();
  for (const Duration extreme : kExtremes) {
    Attempts one(backend);
    one.start(Address(listener.endpoint), {});
    one.connector->cancel();
    BOOST_TEST(!one.connector->start(extreme));
    if (extreme == Duration::max()) {
      run_until_idle(one.loop);
      BOOST_TEST((one.connector->state() == State::kWaiting));
    } else {
      one.until_connected();
    }
  }
}

POLLARD_EACH_BACKEND(connector_takes_extreme_times_to_give_up) {
  const Address target = refusing();
  for (const Duration extreme : kExtremes) {
    Attempts one(backend);
    one.start(target, {.backoff = kQuick, .total_timeout = extreme});
    if (extreme == Duration::max()) {
      one.until_failed(3);
    } else {
      run_until(one.loop, [&] { return static_cast<bool>(one.gave_up); });
      BOOST_TEST(one.failures.size() == 1U, "the first attempt is made in any case");
    }
  }
}

POLLARD_EACH_BACKEND(connector_takes_extreme_backoffs) {
  const Address target = refusing();
  for (const Duration initial : kExtremes) {
    for (const Duration maximum : kExtremes) {
      Attempts one(backend);
      one.start(target, {.backoff = {.initial = initial, .maximum = maximum}});
      one.until_failed();
      BOOST_TEST((one.failures.front().next_delay >= Duration::zero()));
    }
  }
}

POLLARD_EACH_BACKEND(connector_takes_extreme_limits_of_an_attempt) {
  Faults faults;
  FakeNames names(faults);
  const SilentListener silent;
  const SilentListener silent_too;
  names.know("server.example",
             {Address(silent.listener.endpoint), Address(silent_too.listener.endpoint)});
  for (const Duration extreme : kExtremes) {
    Attempts one(backend);
    one.start("server.example:80", {.connect_timeout = extreme,
                                    .resolve_timeout = Duration::max(),
                                    .connection_attempt_delay = extreme,
                                    .backoff = kSlow});
    if (extreme == Duration::max()) {
      run_until(one.loop, [&] { return one.connector->state() == State::kConnecting; });
      run_until_idle(one.loop);
      continue;
    }
    one.until_failed();
    BOOST_TEST(one.failures.front().error == std::errc::timed_out);
  }
  for (const Duration extreme : kExtremes) {
    if (extreme == Duration::max()) continue;
    names.hold();
    Attempts one(backend);
    one.start("server.example:80", {.resolve_timeout = extreme, .backoff = kSlow});
    one.until_failed();
    BOOST_TEST(one.failures.front().error == std::errc::timed_out);
    names.release();
  }
}

// ---- Threads ----

POLLARD_EACH_BACKEND(connector_asserts_the_thread_of_its_loop) {
  Attempts one(backend);
  one.start(refusing(), {.backoff = kSlow});
  const auto aborts_elsewhere = [](const std::function<void()>& call) {
    return aborts([&] { std::thread(call).join(); });
  };
  BOOST_TEST(aborts_elsewhere([&] { one.connector->cancel(); }));
  BOOST_TEST(aborts_elsewhere([&] { static_cast<void>(one.connector->start()); }));
  BOOST_TEST(aborts_elsewhere([&] { static_cast<void>(one.connector->state()); }));
  BOOST_TEST(aborts_elsewhere([&] { static_cast<void>(one.connector->next_delay()); }));
  BOOST_TEST(aborts_elsewhere([&] { one.connector->reset_backoff(); }));
  BOOST_TEST(aborts_elsewhere([&] { one.connector.reset(); }));
  BOOST_TEST(aborts_elsewhere([&] {
    const Connector made(one.loop, Address::loopback(1),
                         {.on_connected = [](Descriptor, const Address&) {}});
  }));
}

POLLARD_EACH_BACKEND(connector_of_a_loop_that_is_gone_may_end_in_another_thread) {
  auto loop = std::make_unique<EventLoop>(EventLoopOptions{.poller = backend});
  auto connector = std::make_unique<Connector>(
      *loop, refusing(), ConnectorHandlers{.on_connected = [](Descriptor, const Address&) {}});
  BOOST_TEST(!connector->start());
  loop.reset();
  std::thread([&] {
    connector->cancel();
    connector.reset();
  }).join();
}

}  // namespace
}  // namespace pollard::testing
