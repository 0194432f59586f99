// What accept(2) may fail with, one by one, and listening sockets that end: the connection that has
// failed is counted, a shortage pauses, and what can't pass is reported and mended.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/tcp/internal/acceptor_group.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/quiet.h"

namespace pollard::testing {
namespace {

using platform::FailureKind;

// An acceptor that keeps what it accepts and what it reports.
struct Listening {
  explicit Listening(const std::string& backend, const Address& address = Address::loopback(0),
                     const ListenOptions& options = {})
      : loop({.poller = backend}) {
    acceptor = std::make_unique<Acceptor>(loop, address, options,
                                          std::make_shared<const AcceptHandlers>(handlers()));
    acceptor->listen();
  }

  AcceptHandlers handlers() {
    return {.on_accept = [this](Descriptor socket,
                                const Address&) { accepted.push_back(std::move(socket)); },
            .on_failure = [this](const ListenFailure& failure) { failures.push_back(failure); },
            .on_bound = [this](int, const Address&) { ++bound; }};
  }
  void until_accepted(std::size_t count) {
    run_until(loop, [&] { return accepted.size() == count; });
  }

  std::vector<Descriptor> accepted;
  std::vector<ListenFailure> failures;
  int bound = 0;
  EventLoop loop;
  std::unique_ptr<Acceptor> acceptor;
};

// ---- Failures of accept ----

struct Outcome {
  std::uint64_t aborted = 0;
  std::uint64_t pauses = 0;
  std::uint64_t rejected_no_descriptors = 0;
  std::uint64_t listen_failures = 0;

  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Outcome& it) {
    return out << "aborted " << it.aborted << ", pauses " << it.pauses << ", turned away "
               << it.rejected_no_descriptors << ", listen failures " << it.listen_failures;
  }
};

Outcome outcome_of(const AcceptCounts& counts) {
  return {counts.aborted.get(), counts.pauses.get(), counts.rejected_no_descriptors.get(),
          counts.listen_failures.get()};
}

Outcome outcome_of_one(const std::string& backend, std::errc error) {
  Faults faults;
  Listening listening(backend);
  faults.fail(Call::kAnyAccept, error, {.times = 1});
  const Descriptor first = connect_to(listening.acceptor->address());
  run_until(listening.loop, [&] {
    return !listening.accepted.empty() || peek(first.get()) == Meets::kEnd ||
           peek(first.get()) == Meets::kError;
  });
  const Descriptor second = connect_to(listening.acceptor->address());
  const std::size_t before = listening.accepted.size();
  listening.until_accepted(before + 1);
  return outcome_of(listening.acceptor->counts());
}

POLLARD_EACH_BACKEND(accept_counts_failed_connections_as_aborted_and_goes_on) {
  const Quiet quiet;
  for (const int error : {ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOPROTOOPT,
                          EPROTO, ETIMEDOUT, ENOTCONN, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EOPNOTSUPP,
                          ECONNRESET, ECONNREFUSED, EIO}) {
    BOOST_TEST_CONTEXT(std::generic_category().message(error)) {
      const Outcome expected{.aborted = 1};
      BOOST_TEST(outcome_of_one(backend, static_cast<std::errc>(error)) == expected);
    }
  }
}

// Every error that there is, as the table classifies it.
POLLARD_EACH_BACKEND(accept_survives_each_error_as_the_table_says) {
  const Quiet quiet;
  constexpr int kErrors = 140;
  for (int number = 1; number < kErrors; ++number) {
    const auto error = static_cast<std::errc>(number);
    const std::error_code code(number, std::system_category());
    // Another call takes the place of accept4(2) after these; would_block is not a failure.
    if (error == std::errc::function_not_supported || error == std::errc::operation_not_permitted ||
        error == std::errc::permission_denied || error == std::errc::operation_would_block) {
      continue;
    }
    // These say that the descriptor is another's: another test has them.
    if (error == std::errc::bad_file_descriptor || error == std::errc::not_a_socket) continue;
    Outcome expected;
    switch (platform::classify(platform::Operation::kAccept, code)) {
      case FailureKind::kTransient: break;
      case FailureKind::kPeer: expected.aborted = 1; break;
      case FailureKind::kShortage:
        (error == std::errc::too_many_files_open ? expected.rejected_no_descriptors
                                                 : expected.pauses) = 1;
        break;
      case FailureKind::kUnavailable: expected.pauses = 1; break;
      case FailureKind::kPermanent: expected.listen_failures = 1; break;
    }
    BOOST_TEST_CONTEXT(code.message()) { BOOST_TEST(outcome_of_one(backend, error) == expected); }
  }
}

POLLARD_EACH_BACKEND(accept_that_fails_for_ever_costs_no_spin_whatever_the_error) {
  const Quiet quiet;
  for (const std::errc error : {std::errc::invalid_argument, std::errc::host_unreachable,
                                std::errc::too_many_files_open_in_system}) {
    Faults faults;
    Listening listening(backend);
    faults.fail(Call::kAnyAccept, error, {.times = kForever});
    const Descriptor client = connect_to(listening.acceptor->address());
    expect_no_spin(listening.loop, 50ms, 40);
    faults.restore(Call::kAnyAccept);
    const Descriptor other = connect_to(listening.acceptor->address());
    run_until(listening.loop, [&] { return !listening.accepted.empty(); });
  }
}

// ---- Events that were collected before a pause ----

POLLARD_EACH_BACKEND(event_that_was_collected_before_a_pause_accepts_nothing) {
  EventLoop loop({.poller = backend});
  std::unique_ptr<AcceptorGroup> group;
  std::vector<Descriptor> accepted;
  group = std::make_unique<AcceptorGroup>(
      loop, std::vector{Address::loopback(0), Address::loopback_ipv6(0)}, ListenOptions{},
      AcceptHandlers{.on_accept = [&](Descriptor socket, const Address&) {
        accepted.push_back(std::move(socket));
        group->pause();
      }});
  group->listen();
  std::vector<Descriptor> clients;
  for (const Address& address : group->addresses()) clients.push_back(connect_to(address));
  run_until(loop, [&] { return !accepted.empty(); });
  run_until_idle(loop);
  BOOST_TEST(accepted.size() == 1U);
  group->resume();
  run_until(loop, [&] { return accepted.size() == 2; });
}

// ---- Listening sockets that end ----

// As another process may do that has inherited it. False on the systems of kqueue, which refuse it.
bool shut_down(const Listening& listening, const std::string& backend) {
  if (backend == "kqueue") return false;
  return kernel_calls().shutdown(listening.acceptor->fd(), SHUT_RD) == 0;
}

POLLARD_EACH_BACKEND(listener_that_another_process_shut_down_is_reported_and_listens_again) {
  Listening listening(backend);
  const Address address = listening.acceptor->address();
  const Descriptor before = connect_to(address);
  listening.until_accepted(1);
  if (!shut_down(listening, backend)) return;
  run_until(listening.loop, [&] { return !listening.failures.empty(); });
  BOOST_TEST(listening.failures[0].error == std::errc::invalid_argument);
  BOOST_TEST((listening.failures[0].address == address));
  BOOST_TEST(listening.failures[0].next_attempt.has_value());
  BOOST_TEST(listening.failures[0].to_string().starts_with("listening on " + address.to_string()));
  run_until(listening.loop, [&] { return listening.bound == 2; });
  BOOST_TEST((listening.acceptor->address() == address));
  const Descriptor after = connect_to(address);
  listening.until_accepted(2);
  BOOST_TEST(listening.failures.size() == 1U);
  expect_no_spin(listening.loop);
}

POLLARD_EACH_REAL_BACKEND(listener_with_a_unix_path_that_was_shut_down_listens_again,
                          "simulated listeners have no end that another process brings") {
  for (const bool replace : {true, false}) {
    const auto path = std::filesystem::temp_directory_path() /
                      ("pollard-deaf-" + std::to_string(listen_on_loopback().endpoint.port));
    const Address address = Address::unix_path(path.string());
    {
      Listening listening(backend, address, {.replace_unix_path = replace});
      if (kernel_calls().shutdown(listening.acceptor->fd(), SHUT_RDWR) != 0) return;
      run_until(listening.loop, [&] { return listening.bound == 2; });
      BOOST_TEST(listening.failures.size() == 1U);
      const Descriptor after = connect_to(address);
      listening.until_accepted(1);
    }
    struct stat status {};
    const bool exists = kernel_calls().lstat(path.c_str(), &status) == 0;
    BOOST_TEST(exists != replace, "it is removed at the end, or left, as the option says");
    if (exists) BOOST_TEST(kernel_calls().unlink(path.c_str()) == 0);
  }
}

POLLARD_EACH_BACKEND(listener_tries_again_until_its_address_is_free) {
  Faults faults;
  Listening listening(backend);
  faults.fail(Call::kBind, std::errc::address_in_use, {.times = 2});
  faults.fail(Call::kAnyAccept, std::errc::invalid_argument, {.times = 1});
  const Descriptor lost = connect_to(listening.acceptor->address());
  run_until(listening.loop, [&] { return listening.bound == 2; });
  const std::errc expected[] = {std::errc::invalid_argument, std::errc::address_in_use,
                                std::errc::address_in_use};
  BOOST_TEST_REQUIRE(listening.failures.size() == std::size(expected));
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    BOOST_TEST(listening.failures[i].error == expected[i]);
    BOOST_TEST(listening.failures[i].next_attempt.has_value());
  }
  const Descriptor client = connect_to(listening.acceptor->address());
  listening.until_accepted(1);
  BOOST_TEST(listening.acceptor->counts().listen_failures.get() == 3U);
}

POLLARD_EACH_REAL_BACKEND(listener_leaves_a_descriptor_alone_that_is_another_file_by_now,
                          "simulated files have numbers of their own") {
  for (const std::errc error : {std::errc::bad_file_descriptor, std::errc::not_a_socket}) {
    Faults faults;
    Listening listening(backend);
    const int number = listening.acceptor->fd();
    bool taken = false;
    faults.replace<&platform::SystemCalls::accept4>(
        [&](int fd, sockaddr* address, socklen_t* size, int flags) {
          const auto& kernel = faults.underlying();
          if (std::exchange(taken, true)) return kernel.accept4(fd, address, size, flags);
          BOOST_TEST(kernel.close(fd) == 0);
          BOOST_TEST(kernel.open("/dev/null", O_RDONLY) == fd, "the number is free");
          return -static_cast<int>(error);
        });
    const Descriptor lost = connect_to(listening.acceptor->address());
    run_until(listening.loop, [&] { return listening.bound == 2; });
    BOOST_TEST(platform::is_open(number));
    platform::close_descriptor(number);
    const Descriptor client = connect_to(listening.acceptor->address());
    listening.until_accepted(1);
  }
}

POLLARD_EACH_BACKEND(on_failure_may_destroy_the_acceptor_at_each_attempt) {
  for (const std::size_t attempt : {1U, 2U}) {
    Faults faults;
    EventLoop loop({.poller = backend});
    std::unique_ptr<Acceptor> acceptor;
    std::size_t failures = 0;
    AcceptHandlers handlers;
    handlers.on_accept = [](const Descriptor&, const Address&) {};
    handlers.on_failure = [&](const ListenFailure&) {
      if (++failures == attempt) acceptor.reset();
    };
    acceptor =
        std::make_unique<Acceptor>(loop, Address::loopback(0), ListenOptions{},
                                   std::make_shared<const AcceptHandlers>(std::move(handlers)));
    acceptor->listen();
    faults.fail(Call::kBind, std::errc::address_in_use, {.times = kForever});
    faults.fail(Call::kAnyAccept, std::errc::invalid_argument, {.times = 1});
    const Descriptor lost = connect_to(acceptor->address());
    run_until(loop, [&] { return acceptor == nullptr; });
    run_until_idle(loop);
    BOOST_TEST(failures == attempt);
    BOOST_TEST(loop.stats().watched == 1U);
  }
}

POLLARD_EACH_BACKEND(paused_listener_that_was_shut_down_costs_no_spin_and_stays_paused) {
  Listening listening(backend);
  listening.acceptor->pause();
  run_until_idle(listening.loop);
  if (!shut_down(listening, backend)) return;
  expect_no_spin(listening.loop, 50ms, 40);
  listening.acceptor->resume();
  run_until(listening.loop, [&] { return listening.bound == 2; });
  const Descriptor client = connect_to(listening.acceptor->address());
  listening.until_accepted(1);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(server_reports_a_listener_that_ended_and_serves_again) {
  for (const unsigned threads : {0U, 2U}) {
    for (const LoadBalancing balance : {LoadBalancing::kRoundRobin, LoadBalancing::kKernel}) {
      Faults faults;
      EventLoop loop({.poller = backend.poller});
      std::atomic<int> failures{0};
      TcpServerOptions options;
      options.threads = threads;
      options.balance = balance;
      options.connection.trigger = choice_of(backend);
      options.on_listen_failure = [&](const ListenFailure& failure) {
        if (failure.error == std::errc::invalid_argument) ++failures;
      };
      std::optional<TcpServer> server;
      try {
        server.emplace(loop, Address::loopback(0), ConnectionHandlers{}, std::move(options));
        server->start();
      } catch (const std::system_error& error) {
        BOOST_TEST(error.code() == std::errc::operation_not_supported);
        continue;
      }
      faults.fail(Call::kAnyAccept, std::errc::invalid_argument, {.times = 1});
      const Descriptor lost = connect_to(server->address());
      run_until(loop, [&] { return failures == 1; });
      BOOST_TEST(server->stats().listen_failures == 1U);
      // With LoadBalancing::kKernel the other threads still listen.
      std::vector<Descriptor> clients;
      run_until(loop, [&] {
        clients.push_back(start_connecting(server->address().endpoint()));
        wait_writable(clients.back().get());
        return server->stats().accepted > 0;
      });
    }
  }
}

// ---- Options that a system refuses ----

POLLARD_EACH_BACKEND(listener_ignores_a_refusal_to_take_ipv4_too_but_not_one_of_ipv6_alone) {
  Faults faults;
  std::optional<int> refused;
  faults.replace<&platform::SystemCalls::setsockopt>(
      [&](int fd, int level, int name, const void* value, socklen_t size) {
        const bool asked = level == IPPROTO_IPV6 && name == IPV6_V6ONLY;
        if (asked && *static_cast<const int*>(value) == refused) {
          return -static_cast<int>(std::errc::invalid_argument);
        }
        return faults.underlying().setsockopt(fd, level, name, value, size);
      });
  refused = 0;  // as OpenBSD does
  for (const Address& address : {Address::loopback_ipv6(0), Address::parse("[::]:0")}) {
    Listening listening(backend, address);
    const std::uint16_t port = listening.acceptor->address().port();
    const Descriptor client = connect_to(Address::loopback_ipv6(port));
    listening.until_accepted(1);
  }
  refused = 1;
  BOOST_CHECK_EXCEPTION(
      Listening(backend, Address::loopback_ipv6(0), {.ipv6_only = true}), std::system_error,
      [](const auto& error) { return error.code() == std::errc::invalid_argument; });
}

// ---- Forks ----

POLLARD_EACH_REAL_BACKEND(forked_child_leaves_the_socket_path_of_its_parent_alone,
                          "a fork copies no simulated kernel") {
  const auto path = std::filesystem::temp_directory_path() /
                    ("pollard-fork-" + std::to_string(listen_on_loopback().endpoint.port));
  const Address address = Address::unix_path(path.string());
  Listening listening(backend, address);
  BOOST_TEST(true_in_child([&] {
    listening.acceptor.reset();
    return true;
  }));
  const Descriptor client = connect_to(address);
  listening.until_accepted(1);
}

}  // namespace
}  // namespace pollard::testing
