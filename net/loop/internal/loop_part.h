// What a room above the loop keeps once for each loop, such as the memory in which connections
// receive. The loop owns it and knows nothing of what it is.
#pragma once

#include <utility>

#include "pollard/base/clock.h"
#include "pollard/base/task.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/timers/timer.h"

namespace pollard {

/// Base of what EventLoop::part() makes. Belongs to the loop's thread; destroyed with the loop.
class LoopPart {
 public:
  /// Keeps a reference to `loop`, which owns the part.
  explicit LoopPart(EventLoop& loop) : loop_(loop) {}
  virtual ~LoopPart() = default;
  LoopPart(const LoopPart&) = delete;
  LoopPart& operator=(const LoopPart&) = delete;

  /// Returns whether the loop is in an iteration: a callback further up the stack may belong to
  /// the object that is to be destroyed.
  [[nodiscard]] bool in_iteration() const { return loop_.in_turn_; }
  /// Returns the timers for time limits on connections: they may be late, and cost a busy loop
  /// next to nothing.
  [[nodiscard]] CoarseTimers& coarse_timers() { return loop_.coarse_timers_; }
  /// Runs `task` at `deadline` of coarse_timers(), as long as the Timer lives.
  [[nodiscard]] Timer coarse_at(MonotonicTime deadline, Task task) {
    loop_.note(EventLoop::kCoarseTimers);
    return loop_.coarse_timers_.at(deadline, std::move(task));
  }

 protected:
  /// Returns the options that the loop was made with.
  [[nodiscard]] const EventLoopOptions& options() const { return loop_.options_; }
  /// Makes the loop call release_retired() at the end of this iteration. Needs no memory.
  void note_retired() {
    if (!std::exchange(noted_, true)) next_noted_ = std::exchange(loop_.noted_parts_, this);
    loop_.note(EventLoop::kRetired);
  }
  /// Destroys what has ended in this iteration. It may call note_retired() again.
  virtual void release_retired() = 0;

 private:
  friend class EventLoop;

  EventLoop& loop_;
  const void* kind_ = nullptr;      // EventLoop::part() finds it by this
  LoopPart* next_noted_ = nullptr;  // of the loop's list
  bool noted_ = false;              // it is in that list
};

}  // namespace pollard
