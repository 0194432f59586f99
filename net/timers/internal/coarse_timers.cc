#include "pollard/net/timers/internal/coarse_timers.h"

#include <algorithm>

#include "pollard/platform/time.h"

namespace pollard {

MonotonicTime CoarseTimers::begin(Duration shortest) {
  const Duration slack = slack_of(shortest);
  if (queue_.empty()) {
    budget_ = slack_ = slack;
    busy_ = false;
    read_clock(true);
  } else if (slack < slack_) {
    busy_ = true;      // what has passed since the reading is not all waiting
    read_clock(true);  // under the old slack
    left_ = budget_ = slack_ = slack;
  }
  return stamp();
}

// The same for each turn, of half of the slack. The first ones get more, of the other half, so that
// whoever is busy now and then is not woken for the sake of the clock.
Duration CoarseTimers::longest_wait() {
  if (!busy_) {
    // Handlers that held the loop up since the last wait: from here on all that passes is a wait.
    advance(slack_);
    return std::max(*queue_.next_deadline(now_) - now_, Duration::zero());
  }
  const Duration part = std::max((left_ - slack_ / 2) / 2, least_wait());
  const Duration granted = std::min(part, left_);
  left_ -= granted;
  return granted;
}

void CoarseTimers::read_clock(bool busy) {
  const Duration passed = advance(busy_ ? slack_ : Duration::max());
  if (busy_) {
    adapt_budget(passed);
  } else {
    budget_ = slack_;
  }
  left_ = budget_;
  busy_ = busy;
  const std::optional<MonotonicTime> deadline = queue_.next_deadline(now_);
  due_ = deadline.has_value() && *deadline <= now_;
  if (!due_) full_waits_ = 0;
}

// Answers how much time has passed since the last reading.
Duration CoarseTimers::advance(Duration most) {
  const MonotonicTime real = platform::monotonic_now();
  const Duration passed = saturating_distance(real_, real);
  now_ = saturating_add(now_, std::min(passed, most));
  real_ = real;
  return passed;
}

// Iterations that take long don't wait for long: the clock is read once in fewer of them, so that
// our time line doesn't fall behind.
void CoarseTimers::adapt_budget(Duration passed) {
  if (passed > slack_ + slack_ / 4) {
    budget_ = std::max(budget_ / 4, least_wait());
  } else if (passed <= slack_ / 2) {
    budget_ = budget_ < slack_ / 2 ? budget_ * 2 : slack_;
  }
}

}  // namespace pollard
