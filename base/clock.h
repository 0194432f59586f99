// The monotonic time line on which every deadline of the library lies. There is no now() here: the
// reading of the clock belongs to the system-call table (platform/time.h), so that a test can own
// it.
#pragma once

#include <chrono>

namespace pollard {

/// All intervals of the library; any std::chrono duration of whole nanoseconds converts to it.
using Duration = std::chrono::nanoseconds;

/// Names the time line of CLOCK_MONOTONIC (POSIX clock_gettime): unaffected by changes of the date.
struct MonotonicClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
};

using MonotonicTime = MonotonicClock::time_point;

/// `time + delay`, where a sum past the end of the time line is its end rather than an overflow:
/// Duration::max() is a common way to say "never".
[[nodiscard]] constexpr MonotonicTime saturating_add(MonotonicTime time, Duration delay) {
  if (time > MonotonicTime{} && delay > MonotonicTime::max() - time) return MonotonicTime::max();
  return time + delay;
}

}  // namespace pollard
