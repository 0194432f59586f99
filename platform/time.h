// The reading of the clocks, and the conversion of intervals to what system calls take.
#pragma once

#include "pollard/base/clock.h"

struct timespec;

namespace pollard::platform {

/// CLOCK_MONOTONIC by the system-call table. Any thread; cannot fail on a POSIX system.
[[nodiscard]] MonotonicTime monotonic_now();

/// The longest interval that is handed to a system call: Darwin and the BSDs refuse a timeout of
/// more than 10^8 seconds with EINVAL.
inline constexpr Duration kLongestTimeout = std::chrono::seconds(100'000'000);

/// Negative intervals become zero, endless ones kLongestTimeout.
[[nodiscard]] ::timespec to_timespec(Duration interval);

/// Whole milliseconds, rounded up so that no timeout is early, at most 24 days (what an int holds).
[[nodiscard]] int to_milliseconds_rounded_up(Duration interval);

}  // namespace pollard::platform
