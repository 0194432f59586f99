// Timeouts: never early, whatever the mechanism can count in; never endless by overflow; zero is
// zero. And the waits that end otherwise: by a signal, by a failure.
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

constexpr Call kCallsThatWait[] = {Call::kEpollWait, Call::kEpollPwait2, Call::kKevent,
                                   Call::kPoll,      Call::kPpoll,       Call::kPselect};

// A mechanism that doesn't go through the table of system calls can't be made to fail.
void need_the_table(Watch& watch, const Faults& faults) {
  const std::size_t before = faults.count(Call::kWait);
  watch.wait();
  if (faults.count(Call::kWait) == before) {
    throw NotSupported("its waits are no calls of the table of system calls");
  }
}

void expect_never_early(Trial& trial) {
  Watch watch(trial);
  const Pair idle = socket_pair();
  watch.add(idle.near, Interest::kRead);
  for (const Duration timeout :
       {Duration(1), Duration(1us), Duration(50us), Duration(200us), Duration(999us), Duration(1ms),
        Duration(1001us), Duration(2500us)}) {
    for (int i = 0; i < 3; ++i) {
      const MonotonicTime start = platform::monotonic_now();
      trial.expect(watch.collect(timeout).empty(), "an event where there is nothing to report");
      const Duration taken = platform::monotonic_now() - start;
      trial.expect(taken >= timeout, "a timeout of " + std::to_string(timeout.count()) +
                                         " ns was over after " + std::to_string(taken.count()));
    }
  }
}

void a_timeout_is_never_early(Trial& trial) { expect_never_early(trial); }

void a_timeout_is_never_early_without_calls_that_count_nanoseconds(Trial& trial) {
  for (const std::errc error :
       {std::errc::function_not_supported, std::errc::operation_not_permitted}) {
    Faults faults;
    faults.fail(Call::kEpollPwait2, error, {.times = kForever});
    faults.fail(Call::kPpoll, error, {.times = kForever});
    expect_never_early(trial);
  }
}

void the_step_of_timeouts_is_told(Trial& trial) {
  const Duration step = trial.make()->resolution();
  trial.expect(step > Duration::zero(), "the step of timeouts is nothing");
  trial.expect(step <= 100ms, "the step of timeouts is longer than a tenth of a second");
}

void a_zero_or_negative_timeout_never_blocks(Trial& trial) {
  Watch watch(trial);
  const Pair idle = socket_pair();
  watch.add(idle.near, Interest::kRead);
  const MonotonicTime start = platform::monotonic_now();
  for (const Duration timeout : {Duration::zero(), Duration(-1), Duration(-1s), Duration::min()}) {
    trial.expect(watch.collect(timeout).empty(), "an event where there is nothing to report");
  }
  trial.expect(platform::monotonic_now() - start < kPatience, "the wait blocked");
}

// The wait must be asleep when the byte arrives, so that a timeout that wrapped around is seen. It
// is asleep, or about to be, when it has asked the kernel; one that doesn't ask by the table is
// given a byte at once.
void expect_sleep_until_byte(Trial& trial, std::optional<Duration> timeout, const Faults& faults) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  const std::size_t unasked = faults.count(Call::kWait);
  watch.wait();
  const std::size_t before = faults.count(Call::kWait);
  const bool asks = before != unasked;
  std::thread writer([&] {
    while (asks && faults.count(Call::kWait) == before) std::this_thread::yield();
    write_text(pair.far.get(), "data");
  });
  const std::error_code failed = watch->wait(timeout);
  writer.join();
  trial.expect(failed, std::error_code(), "wait");
  trial.expect(watch.take().size() == 1U, "the wait ended before its event, and without it");
}

void a_wait_for_ever_ends_with_the_event(Trial& trial) {
  const Faults faults;
  expect_sleep_until_byte(trial, std::nullopt, faults);
}

constexpr Duration kHugeTimeouts[] = {Duration(std::chrono::hours(24 * 25)),
                                      Duration(std::chrono::seconds(1U << 31U)),
                                      Duration(std::chrono::milliseconds(1LL << 32U)),
                                      Duration::max() - Duration(1), Duration::max()};

void a_huge_timeout_does_not_wrap_around(Trial& trial) {
  for (const bool nanoseconds : {true, false}) {
    for (const Duration timeout : kHugeTimeouts) {
      trial.at(std::to_string(timeout.count()) + " ns" +
               (nanoseconds ? "" : ", without calls that count nanoseconds"));
      Faults faults;
      const Which all{.times = nanoseconds ? 0 : kForever};
      faults.fail(Call::kEpollPwait2, std::errc::function_not_supported, all);
      faults.fail(Call::kPpoll, std::errc::function_not_supported, all);
      expect_sleep_until_byte(trial, timeout, faults);
    }
  }
}

void an_interrupted_wait_is_a_wait_that_found_nothing(Trial& trial) {
  Faults faults;
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  need_the_table(watch, faults);
  for (const std::optional<Duration> timeout : {std::optional<Duration>(), {0ns}, {kPatience}}) {
    faults.fail(Call::kWait, std::errc::interrupted);
    trial.expect(watch.collect(timeout).empty(), "an interrupted wait has events");
    watch.expect(pair.near, kReadable, "after an interrupted wait unread data");
  }
}

void an_interrupted_wait_loses_no_change(Trial& trial) {
  Faults faults;
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  need_the_table(watch, faults);
  watch.modify(pair.near, Interest::kWrite);
  // The kernel takes the changes before it sleeps, and is interrupted then.
  faults.replace<&platform::SystemCalls::kevent>(
      [&](int queue, const platform::KernelEvent* changes, int count, platform::KernelEvent*, int,
          const timespec*) {
        const timespec zero{};
        faults.underlying().kevent(queue, changes, count, nullptr, 0, &zero);
        return -static_cast<int>(std::errc::interrupted);
      });
  for (const Call call : kCallsThatWait) {
    if (call != Call::kKevent) faults.fail(call, std::errc::interrupted);
  }
  trial.expect(watch.collect(1ms).empty(), "an interrupted wait has events");
  for (const Call call : kCallsThatWait) faults.restore(call);
  faults.replace<&platform::SystemCalls::kevent>(faults.underlying().kevent);
  watch.expect(pair.near, kWritable, "after an interrupted wait a changed interest");
}

void ignore_signal(int) {}

void a_signal_ends_a_wait_without_an_error(Trial& trial) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = ignore_signal;  // without SA_RESTART, which no mechanism heeds anyway
  if (::sigaction(SIGUSR1, &action, &before) != 0) throw NotSupported("signals are refused here");
  Watch watch(trial);
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
  trial.expect(error, std::error_code(), "an interrupted wait");
  trial.expect(watch.take().empty(), "an interrupted wait has events");
  trial.expect(platform::monotonic_now() - start < kPatience, "the wait slept through a signal");
}

void any_other_failure_of_a_wait_is_returned(Trial& trial) {
  Faults faults;
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  need_the_table(watch, faults);
  for (const std::errc error : {std::errc::not_enough_memory, std::errc::invalid_argument,
                                std::errc::bad_file_descriptor, std::errc::bad_address}) {
    const std::size_t before = faults.count(Call::kWait);
    faults.fail(Call::kWait, error);
    trial.expect(watch->wait(Duration::zero()), error, "a wait that fails");
    trial.expect(watch.take().empty(), "a wait that failed has events");
    trial.expect(faults.count(Call::kWait) == before + 1, "a wait that failed was tried again");
    watch.expect(pair.near, kReadable, "after a wait that failed unread data");
  }
}

}  // namespace

std::vector<Promise> wait_promises() {
  return {
      POLLARD_PROMISE(kTimeouts, a_timeout_is_never_early),
      POLLARD_PROMISE(kTimeouts, a_timeout_is_never_early_without_calls_that_count_nanoseconds),
      POLLARD_PROMISE(kTimeouts, the_step_of_timeouts_is_told),
      POLLARD_PROMISE(kTimeouts, a_zero_or_negative_timeout_never_blocks),
      POLLARD_PROMISE(kTimeouts, a_wait_for_ever_ends_with_the_event),
      POLLARD_PROMISE(kTimeouts, a_huge_timeout_does_not_wrap_around),
      POLLARD_PROMISE(kFailures, an_interrupted_wait_is_a_wait_that_found_nothing),
      POLLARD_PROMISE(kFailures, an_interrupted_wait_loses_no_change),
      POLLARD_PROMISE(kFailures, a_signal_ends_a_wait_without_an_error, Needs::kRealKernel),
      POLLARD_PROMISE(kFailures, any_other_failure_of_a_wait_is_returned),
  };
}

}  // namespace pollard::conformance
