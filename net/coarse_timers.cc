#include "pollard/net/coarse_timers.h"

#include <algorithm>

#include "pollard/platform/time.h"

namespace pollard {

MonotonicTime CoarseTimers::begin(Duration shortest) {
  const Duration slack = slack_of(shortest);
  if (queue_.empty()) {
    slack_ = slack;
    busy_ = false;
    read_clock(true);
  } else if (slack < slack_) {
    read_clock(true);  // under the old slack
    left_ = slack_ = slack;
  }
  return stamp();
}

// The same for each turn, of half of the slack. The first ones get more, of the other half, so that
// whoever is busy now and then is not woken for the sake of the clock.
Duration CoarseTimers::longest_wait() {
  if (!busy_) return std::max(*queue_.next_deadline(now_) - now_, Duration::zero());
  const Duration part = std::max((left_ - slack_ / 2) / 2, least_wait());
  const Duration granted = std::min(part, left_);
  left_ -= granted;
  return granted;
}

void CoarseTimers::read_clock(bool busy) {
  const MonotonicTime real = platform::monotonic_now();
  const Duration passed = real - real_;
  now_ = saturating_add(now_, busy_ ? std::min(passed, slack_) : passed);
  real_ = real;
  left_ = slack_;
  busy_ = busy;
  const std::optional<MonotonicTime> deadline = queue_.next_deadline(now_);
  due_ = deadline.has_value() && *deadline <= now_;
}

}  // namespace pollard
