#include "pollard/net/watcher.h"

#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/event_loop.h"

namespace pollard {

std::error_code Watcher::watch(int fd, Interest interest, Trigger trigger) {
  if (loop_ == nullptr || loop_->ending_) return Error::kLoopGone;
  loop_->assert_in_loop_thread();
  POLLARD_ASSERT(!watching(), "a watcher watches one descriptor at a time");
  const Token token{reinterpret_cast<std::uintptr_t>(this)};
  if (const std::error_code refused = loop_->poller_->add(fd, interest, token, trigger)) {
    return refused;
  }
  registration_ = loop_->poller_->registration(fd);
  interest_ = interest;
  trigger_ = trigger;
  return {};
}

std::error_code Watcher::set_interest(Interest interest) {
  if (interest == interest_ || !watching()) return {};
  loop_->assert_in_loop_thread();
  interest_ = interest;
  return loop_->poller_->modify(registration_.fd, interest);
}

void Watcher::stop_watching() { end_watching(&Poller::remove); }
void Watcher::stop_watching_before_close() { end_watching(&Poller::remove_before_close); }

void Watcher::end_watching(std::error_code (Poller::*remove)(int)) {
  if (!watching()) return;
  loop_->assert_in_loop_thread();
  ((*loop_->poller_).*remove)(std::exchange(registration_, {}).fd);
}

std::uint64_t Watcher::turn() const { return loop_->stats_.turns; }

void Watcher::continue_next_turn(Readiness again) {
  if (!watching()) return;
  loop_->continuations_.push_back({registration_, again});
  loop_->note(EventLoop::kBacklog);
}

void Watcher::at_turn_end() {
  if (!watching()) return;
  loop_->turn_end_.push_back(registration_);
  loop_->note(EventLoop::kBacklog);
}

}  // namespace pollard
