#include "pollard/net/loop/internal/watcher.h"

#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/loop/event_loop.h"

namespace pollard {

std::error_code Watcher::watch(int fd, Interest interest, Trigger trigger) {
  if (loop_ == nullptr || loop_->ending_) return Error::kLoopClosed;
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
  if (!watching()) return {};
  loop_->assert_in_loop_thread();
  if (interest == interest_) return {};
  interest_ = interest;
  return loop_->poller_->modify(registration_.fd, interest);
}

void Watcher::stop_watching() { end_watching(&Poller::remove); }
void Watcher::stop_watching_before_close() { end_watching(&Poller::remove_before_close); }

void Watcher::end_watching(std::error_code (Poller::*remove)(int)) {
  if (!watching()) return;
  loop_->assert_in_loop_thread();
  const int fd = registration_.fd;
  end_registration();
  ((*loop_->poller_).*remove)(fd);
}

// What the loop's lists still have of it will be found to be over.
void Watcher::end_registration() {
  registration_ = {};
  continuation_ = turn_end_ = Asked::kNo;
  again_ = {};
}

std::uint64_t Watcher::turn() const {
  loop_->assert_in_loop_thread();
  return loop_->stats_.iterations;
}

void Watcher::continue_next_turn(Readiness again) {
  if (!watching()) return;
  loop_->assert_in_loop_thread();
  if (!continues()) loop_->continuations_.add(registration_);
  continuation_ = Asked::kYes;
  loop_->note(EventLoop::kBacklog);
  add_to_continuation(again);
}

void Watcher::add_to_continuation(Readiness ready) {
  again_.readable |= ready.readable;
  again_.writable |= ready.writable;
  again_.hangup |= ready.hangup;
  again_.error |= ready.error;
}

void Watcher::run_continuation() {
  POLLARD_ASSERT(continues(), "a watcher must have asked for its continuation");
  continuation_ = Asked::kNo;
  on_ready(std::exchange(again_, {}));
}

void Watcher::at_turn_end() {
  if (!watching()) return;
  loop_->assert_in_loop_thread();
  if (turn_end_ == Asked::kNo) loop_->turn_ends_.add(registration_);
  turn_end_ = Asked::kYes;
  loop_->note(EventLoop::kBacklog);
}

void Watcher::run_turn_end() {
  POLLARD_ASSERT(turn_end_ == Asked::kYes, "a watcher must have asked for the end of the turn");
  turn_end_ = Asked::kNo;
  on_turn_end();
}

}  // namespace pollard
