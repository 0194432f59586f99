// A handle to something that will happen: it is cancelled when the handle dies, so whoever is
// called back owns the Timer as a member and needs no further care. Loops make them: EventLoop::at,
// after, every.
#pragma once

#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/clock.h"
#include "pollard/net/timers/internal/timer_record.h"
#include "pollard/platform/time.h"

namespace pollard {

class TimerQueue;

/// Safe in every order of destruction: the handle may outlive its loop, and may die inside its own
/// callback. Moved, not copied. While the timer is active, everything here asserts the loop's
/// thread, the destructor and moves included; post() a task to cancel it from another thread.
class [[nodiscard]] Timer {
 public:
  Timer() = default;
  /// The timer moves along.
  Timer(Timer&& other) noexcept { take(other); }
  /// Likewise; the one that was here is cancelled.
  Timer& operator=(Timer&& other) noexcept {
    queue_ == nullptr ? take(other) : replace(other);
    return *this;
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  /// It won't happen any more; no effect when it has, or was cancelled before.
  void cancel() {
    if (queue_ == nullptr) return;
    queue_->thread.assert_current();
    cancel(*std::exchange(queue_, nullptr), *record_);
  }

  /// Whether it will happen (again).
  [[nodiscard]] bool active() const { return queue_ != nullptr; }

  /// Puts it off, or forward, to `deadline`, among others of which it has no promised place.
  /// Putting off is a store: the queue finds out when the old deadline comes. No effect on a timer
  /// that isn't active.
  void restart_at(MonotonicTime deadline) {
    if (queue_ == nullptr) return;
    queue_->thread.assert_current();
    record_->deadline = deadline;
    if (deadline < record_->placed_at) put_forward();
  }
  /// The same, to `delay` after the real time, as EventLoop::after.
  void restart_after(Duration delay) {
    restart_at(saturating_add(platform::monotonic_now(), delay));
  }

  /// Lets it happen without a handle.
  void detach() {
    if (queue_ == nullptr) return;
    queue_->thread.assert_current();
    queue_ = nullptr;
    record_->handle = nullptr;
  }

 private:
  friend class TimerQueue;

  Timer(TimerOwner& queue, TimerRecord& record) : queue_(&queue), record_(&record) {
    record.handle = this;
  }
  void take(Timer& other) {
    queue_ = std::exchange(other.queue_, nullptr);
    record_ = other.record_;
    if (queue_ == nullptr) return;
    queue_->thread.assert_current();
    POLLARD_ASSERT(record_->handle == &other, "a timer and its handle know each other");
    record_->handle = this;
  }
  static void cancel(TimerOwner& owner, TimerRecord& record);
  void put_forward();
  void replace(Timer& other);

  TimerOwner* queue_ = nullptr;  // a TimerQueue; null when there is nothing to cancel
  TimerRecord* record_ = nullptr;
};

}  // namespace pollard
