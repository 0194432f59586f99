// The reading of the clocks, and the conversion of intervals to what system calls take.
#pragma once

#include "pollard/base/clock.h"

struct timespec;

namespace pollard::platform {

/// CLOCK_MONOTONIC by the system-call table. Any thread; cannot fail on a POSIX system.
[[nodiscard]] MonotonicTime monotonic_now();

/// Blocks the calling thread for `interval`: for a pause after a wait that failed. By the
/// system-call table, or by the C++ library where that fails as well.
void sleep_for(Duration interval);

/// The longest interval that is handed to a system call: Darwin and the BSDs refuse a timeout of
/// more than 10^8 seconds with EINVAL.
inline constexpr Duration kLongestTimeout = std::chrono::seconds(100'000'000);

/// Returns the step to which the kernel rounds up the timeouts of a call that counts in `own`: that
/// or, where it is coarser, the tick at which the kernel ends waits. By the system-call table.
[[nodiscard]] Duration step_of_timeouts(Duration own);

/// Negative intervals become zero, endless ones kLongestTimeout.
[[nodiscard]] ::timespec to_timespec(Duration interval);

/// Whole milliseconds, rounded up so that no timeout is early, at most 24 days (what an int holds).
[[nodiscard]] int to_milliseconds_rounded_up(Duration interval);

/// The longest tick of a kernel that counts the time of waits in ticks (NetBSD has 10 ms).
inline constexpr Duration kLongestTick = std::chrono::milliseconds(100);

/// Calls `wait(timeout)`, and again with what is left of the time when it has found nothing:
/// kernels that count in ticks may end poll(2) and select(2) up to a tick early. Longer waits are
/// rounded up by them, so the clock is read for short ones alone. The number of calls is bounded,
/// also where the clock stands still.
template <class Wait>
auto wait_out(Duration timeout, Wait wait) -> decltype(wait(timeout)) {
  if (timeout <= Duration::zero() || timeout > kLongestTick) return wait(timeout);
  constexpr int kMostCalls = 4;
  const MonotonicTime deadline = monotonic_now() + timeout;
  for (int calls = 1;; ++calls) {
    const auto found = wait(timeout);
    if (!found.ok() || found.count() > 0 || calls == kMostCalls) return found;
    timeout = deadline - monotonic_now();
    if (timeout <= Duration::zero()) return found;
  }
}

}  // namespace pollard::platform
