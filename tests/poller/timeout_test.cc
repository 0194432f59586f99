// Timeouts: never early, whatever the mechanism can count in; never endless by overflow; zero is
// zero. And the waits that end otherwise: by a signal, by a failure.
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <string>
#include <thread>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

void expect_never_early(Watch& watch) {
  const Pair idle = socket_pair();
  watch.add(idle.near, Interest::kRead);
  for (const Duration timeout :
       {Duration(1), Duration(1us), Duration(50us), Duration(200us), Duration(999us), Duration(1ms),
        Duration(1001us), Duration(2500us)}) {
    for (int i = 0; i < 3; ++i) {
      const MonotonicTime start = platform::monotonic_now();
      BOOST_TEST(watch.collect(timeout).empty());
      const Duration taken = platform::monotonic_now() - start;
      BOOST_TEST((taken >= timeout), taken.count() << " ns are less than " << timeout.count());
    }
  }
  watch.remove(idle.near);
}

POLLARD_EACH_BACKEND(a_timeout_is_never_early) {
  Watch watch(backend);
  expect_never_early(watch);
}

POLLARD_EACH_BACKEND(a_timeout_is_never_early_without_calls_that_count_nanoseconds) {
  for (const std::errc error :
       {std::errc::function_not_supported, std::errc::operation_not_permitted}) {
    Faults faults;
    faults.fail(Call::kEpollPwait2, error, {.times = kForever});
    faults.fail(Call::kPpoll, error, {.times = kForever});
    Watch watch(backend);
    const bool asked = faults.count(Call::kEpollPwait2) + faults.count(Call::kPpoll) > 0;
    const std::size_t tries = faults.count(Call::kEpollPwait2) + faults.count(Call::kPpoll);
    BOOST_TEST((watch->resolution() == (asked ? Duration(1ms) : Duration(1))));
    expect_never_early(watch);
    BOOST_TEST((faults.count(Call::kEpollPwait2) + faults.count(Call::kPpoll) == tries),
               "what is missing is asked for once");
  }
}

POLLARD_EACH_BACKEND(a_zero_or_negative_timeout_never_blocks) {
  Watch watch(backend);
  const Pair idle = socket_pair();
  watch.add(idle.near, Interest::kRead);
  for (const Duration timeout : {Duration::zero(), Duration(-1), Duration(-1s), Duration::min()}) {
    BOOST_TEST(watch.collect(timeout).empty());
  }
}

// The wait must still be asleep when the byte arrives, so a timeout that wrapped around is seen.
void expect_sleep_until_byte(const std::string& backend, Duration timeout, const Faults& faults) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  const std::size_t before = faults.count(Call::kWait);
  std::thread writer([&] {
    while (faults.count(Call::kWait) == before) std::this_thread::yield();
    write_text(pair.far.get(), "data");
  });
  const auto events = watch.collect(timeout);
  writer.join();
  BOOST_TEST(events.size() == 1U);
}

constexpr Duration kHugeTimeouts[] = {Duration(std::chrono::hours(24 * 25)),
                                      Duration(std::chrono::seconds(1U << 31U)),
                                      Duration(std::chrono::milliseconds(1LL << 32U)),
                                      Duration::max() - Duration(1), Duration::max()};

POLLARD_EACH_BACKEND(a_huge_timeout_does_not_wrap_around) {
  for (const Duration timeout : kHugeTimeouts) {
    const Faults faults;
    BOOST_TEST_CONTEXT(timeout.count()) { expect_sleep_until_byte(backend, timeout, faults); }
  }
}

POLLARD_EACH_BACKEND(a_huge_timeout_does_not_wrap_around_in_milliseconds) {
  for (const Duration timeout : kHugeTimeouts) {
    Faults faults;
    faults.fail(Call::kEpollPwait2, std::errc::function_not_supported, {.times = kForever});
    faults.fail(Call::kPpoll, std::errc::function_not_supported, {.times = kForever});
    BOOST_TEST_CONTEXT(timeout.count()) { expect_sleep_until_byte(backend, timeout, faults); }
  }
}

POLLARD_EACH_BACKEND(an_interrupted_wait_is_a_wait_that_found_nothing) {
  Faults faults;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  for (const std::optional<Duration> timeout : {std::optional<Duration>(), {0ns}, {kPatience}}) {
    faults.fail(Call::kWait, std::errc::interrupted);
    BOOST_TEST(watch.collect(timeout).empty());
    BOOST_TEST(watch.ready(pair.near) == kReadable);
  }
}

POLLARD_EACH_BACKEND(an_interrupted_wait_loses_no_change) {
  Faults faults;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.modify(pair.near, Interest::kWrite);
  // The kernel takes the changes before it sleeps, and is interrupted then.
  faults.replace<&platform::SystemCalls::kevent>(
      [&](int queue, const platform::KernelEvent* changes, int count, platform::KernelEvent*, int,
          const timespec*) {
        const timespec zero{};
        faults.underlying().kevent(queue, changes, count, nullptr, 0, &zero);
        return -static_cast<int>(std::errc::interrupted);
      });
  constexpr Call kOthers[] = {Call::kEpollWait, Call::kEpollPwait2, Call::kPoll, Call::kPpoll,
                              Call::kPselect};
  for (const Call call : kOthers) faults.fail(call, std::errc::interrupted);
  BOOST_TEST(watch.collect(1ms).empty());
  for (const Call call : kOthers) faults.restore(call);
  faults.replace<&platform::SystemCalls::kevent>(faults.underlying().kevent);
  BOOST_TEST(watch.ready(pair.near) == kWritable);
}

void ignore_signal(int) {}

POLLARD_EACH_BACKEND(a_signal_ends_a_wait_without_an_error) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = ignore_signal;  // without SA_RESTART, which no mechanism heeds anyway
  BOOST_TEST_REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  Watch watch(backend);
  const pthread_t waiting = ::pthread_self();
  std::atomic<bool> woken = false;
  std::thread signaller([&] {
    while (!woken) {
      ::pthread_kill(waiting, SIGUSR1);
      std::this_thread::yield();
    }
  });
  const MonotonicTime start = platform::monotonic_now();
  const std::error_code error = watch->wait(kPatience);
  woken = true;
  signaller.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  BOOST_TEST(error == std::error_code());
  BOOST_TEST(watch.take().empty());
  BOOST_TEST((platform::monotonic_now() - start < kPatience));
}

POLLARD_EACH_BACKEND(any_other_failure_of_a_wait_is_returned) {
  Faults faults;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  for (const std::errc error : {std::errc::not_enough_memory, std::errc::invalid_argument,
                                std::errc::bad_file_descriptor, std::errc::bad_address}) {
    const std::size_t before = faults.count(Call::kWait);
    faults.fail(Call::kWait, error);
    BOOST_TEST((watch->wait(Duration::zero()) == error));
    BOOST_TEST(watch.take().empty());
    BOOST_TEST(faults.count(Call::kWait) == before + 1, "not retried");
    BOOST_TEST(watch.ready(pair.near) == kReadable);
  }
}

}  // namespace
}  // namespace pollard::testing
