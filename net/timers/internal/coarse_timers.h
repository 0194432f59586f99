// Timers that may be late, and cost a busy loop next to nothing: for limits on idleness, of which a
// loop has thousands and hardly ever one that comes true.
//
// An ordinary timer makes the loop read the clock in every turn. These do without: what happens is
// stamped with the last reading, two stores, and the loop sees to it that a reading is never older
// than the slack of the shortest limit, by the timeouts that it gives to its waits. Their sum
// bounds the time that can have passed without anybody looking at a clock. So a loop that gets
// message after message reads it once in many turns, and one that gets none sleeps until the first
// deadline.
//
// They live on a time line of their own, which stands still while handlers hold the loop up: for so
// long nobody has listened to the peers, and it is not they who were idle. That is also why a stamp
// is never further behind than the slack, and no timer ever early.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "pollard/base/clock.h"
#include "pollard/net/timers/internal/timer_queue.h"
#include "pollard/net/timers/timer.h"

namespace pollard {

/// One thread.
class CoarseTimers {
 public:
  /// A timer is late by an eighth of its delay at the most (but see kLeastSlack): a sixteenth that
  /// a stamp may be old, and a sixteenth until somebody looks.
  static constexpr int kSlackFraction = 16;
  /// No wait is made shorter than makes sense.
  static constexpr Duration kLeastSlack = std::chrono::milliseconds(1);

  /// The moment of what happens now, or up to a slack before it.
  [[nodiscard]] MonotonicTime stamp() {
    busy_ = true;
    return now_;
  }

  /// A stamp from which delays of at least `shortest` are to be measured. Stamps of before, or of a
  /// time when no timer was pending, are worth nothing.
  [[nodiscard]] MonotonicTime begin(Duration shortest);

  /// When `delay` has surely passed since what was stamped with `since`.
  [[nodiscard]] static MonotonicTime deadline(MonotonicTime since, Duration delay) {
    return saturating_add(saturating_add(since, slack_of(delay)), delay);
  }
  /// Runs `task` after `deadline`, of deadline(), for as long as the Timer lives.
  [[nodiscard]] Timer at(MonotonicTime deadline, Task task) {
    return queue_.add(deadline, Duration::zero(), std::move(task));
  }
  /// The last reading, by which a timer that happens judges deadlines.
  [[nodiscard]] MonotonicTime now() const { return now_; }

  // For the loop.

  /// Whether there is a timer at all.
  [[nodiscard]] bool active() const { return !queue_.empty(); }
  /// How long the loop may wait, at the most.
  /// Before each wait, also one that is not to last.
  [[nodiscard]] Duration longest_wait();
  /// After each wait: whether it found anything.
  void waited(bool found) {
    if (!busy_ || !found || left_ < least_wait()) read_clock(found);
  }
  /// Whether one was due at the last reading of the clock.
  [[nodiscard]] bool due() const { return due_; }
  /// Returns whether those that are due may run: when everything has been handed out that was ready
  /// when the clock was read. `more_ready`: the last wait may not have found all; `waits_for_all`:
  /// so many find all. To be called once after each wait while there is one due.
  [[nodiscard]] bool all_heard(bool more_ready, std::size_t waits_for_all) {
    const bool all = !more_ready || ++full_waits_ >= waits_for_all;
    if (all) full_waits_ = 0;
    return all;
  }
  /// Runs those that were.
  void run_due() {
    due_ = false;
    queue_.run_due(now_);
  }
  /// How many have run since this was made.
  [[nodiscard]] std::uint64_t ran() const { return queue_.ran(); }
  /// As TimerQueue::let_go().
  void let_go() { queue_.let_go(); }

 private:
  // With a timeout that comes before its own next tick the kernel has to set the hardware's timer,
  // which takes longer than reading a clock; on a virtual machine, half as long as a whole message.
  static constexpr Duration kTicks = std::chrono::milliseconds(20);
  // A busy loop reads the clock once in so many turns, at the most and at the least.
  static constexpr int kMostTurnsPerReading = 64;
  static constexpr int kLeastTurnsPerReading = 4;

  [[nodiscard]] Duration least_wait() const {
    const Duration half = slack_ / 2;
    return std::clamp(kTicks, half / kMostTurnsPerReading, half / kLeastTurnsPerReading);
  }
  static Duration slack_of(Duration delay) { return std::max(delay / kSlackFraction, kLeastSlack); }
  void read_clock(bool busy);
  Duration advance(Duration most);
  void adapt_budget(Duration passed);

  TimerQueue queue_;
  MonotonicTime now_{};               // on our time line, at the last reading
  MonotonicTime real_{};              // on the clock's
  Duration slack_ = Duration::max();  // of the shortest delay since there was none
  Duration budget_{};                 // for the waits between two readings; the slack at the most
  Duration left_{};                   // of the budget, until the next reading
  bool busy_ = false;                 // something may have happened since
  bool due_ = false;                  // as of that reading
  std::size_t full_waits_ = 0;        // since then, which left something ready
};

}  // namespace pollard
