// The monotonic time line on which every deadline of the library lies. There is no now() here: the
// reading of the clock belongs to the system-call table (platform/time.h), so that a test can own
// it.
#pragma once

#include <chrono>

namespace pollard {

/// All intervals of the library; any std::chrono duration of whole nanoseconds converts to it.
using Duration = std::chrono::nanoseconds;

/// The timeout of a wait that only an event ends.
inline constexpr Duration kNoTimeout = Duration::max();

/// Names the time line of CLOCK_MONOTONIC (POSIX clock_gettime): unaffected by changes of the date.
struct MonotonicClock {
  using rep = Duration::rep;        ///< std::int64_t, or as wide
  using period = Duration::period;  ///< std::nano
  using duration = Duration;        ///< Duration
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;  ///< MonotonicTime
  static constexpr bool is_steady = true;                                ///< never goes back
};

/// A point on the time line of MonotonicClock.
using MonotonicTime = MonotonicClock::time_point;

/// Returns `time + delay`. A sum past an end of the time line is that end rather than an overflow:
/// Duration::max() is a common way to say "never".
[[nodiscard]] constexpr MonotonicTime saturating_add(MonotonicTime time, Duration delay) {
  if (delay > Duration::zero()) {
    return time > MonotonicTime::max() - delay ? MonotonicTime::max() : time + delay;
  }
  return time < MonotonicTime::min() - delay ? MonotonicTime::min() : time + delay;
}

/// Returns how long `to` is after `from`; negative when it is before. A distance that no Duration
/// holds is the longest one in that direction.
[[nodiscard]] constexpr Duration saturating_distance(MonotonicTime from, MonotonicTime to) {
  constexpr MonotonicTime kOrigin{};
  if (from < kOrigin)
    return to > MonotonicTime::max() + (from - kOrigin) ? Duration::max() : to - from;
  return to < MonotonicTime::min() + (from - kOrigin) ? Duration::min() : to - from;
}

}  // namespace pollard
