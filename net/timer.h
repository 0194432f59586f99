// A handle to something that will happen: it is cancelled when the handle dies, so whoever is
// called back owns the Timer as a member and needs no further care. Loops make them: EventLoop::at,
// after, every.
#pragma once

#include "pollard/base/clock.h"
#include "pollard/base/slot_map.h"

namespace pollard {

class TimerQueue;

/// Safe in every order of destruction: the handle may outlive its loop, and may die inside its own
/// callback. Moved, not copied. The loop's thread.
class [[nodiscard]] Timer {
 public:
  Timer() = default;
  Timer(Timer&& other) noexcept;
  Timer& operator=(Timer&& other) noexcept;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  /// It won't happen any more; no effect when it has, or was cancelled before.
  void cancel();

  /// Whether it will happen (again).
  [[nodiscard]] bool active() const { return queue_ != nullptr; }

  /// Puts it off, or forward, to `deadline`. Putting off is two stores: the queue finds out when
  /// the old deadline comes. No effect on a timer that isn't active.
  void restart_at(MonotonicTime deadline);

  /// Lets it happen without a handle.
  void detach();

 private:
  friend class TimerQueue;
  Timer(TimerQueue& queue, SlotKey key);

  TimerQueue* queue_ = nullptr;  // null when there is nothing to cancel
  SlotKey key_ = SlotKey::kNone;
};

}  // namespace pollard
