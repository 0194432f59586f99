#include "pollard/net/loop/internal/loop_part.h"

#include <utility>

#include "pollard/net/loop/event_loop.h"

namespace pollard {

LoopPart::LoopPart(EventLoop& loop) : loop_(loop), coarse_timers_(loop.coarse_timers_) {}

bool LoopPart::in_iteration() const { return loop_.in_turn_; }

Timer LoopPart::coarse_at(MonotonicTime deadline, Task task) {
  loop_.note(EventLoop::kCoarseTimers);
  return coarse_timers_.at(deadline, std::move(task));
}

const EventLoopOptions& LoopPart::options() const { return loop_.options_; }

void LoopPart::note_retired() {
  if (!std::exchange(noted_, true)) next_noted_ = std::exchange(loop_.noted_parts_, this);
  loop_.note(EventLoop::kRetired);
}

}  // namespace pollard
