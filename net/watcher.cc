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
  const SlotKey key = loop_->watchers_.insert(this);
  const Token token{static_cast<std::uint64_t>(key)};
  if (const std::error_code refused = loop_->poller_->add(fd, interest, token, trigger)) {
    loop_->watchers_.erase(key);
    return refused;
  }
  key_ = key;
  fd_ = fd;
  interest_ = interest;
  trigger_ = trigger;
  return {};
}

std::error_code Watcher::set_interest(Interest interest) {
  if (interest == interest_ || !watching()) return {};
  loop_->assert_in_loop_thread();
  interest_ = interest;
  return loop_->poller_->modify(fd_, interest);
}

void Watcher::stop_watching() { end_watching(&Poller::remove); }
void Watcher::stop_watching_before_close() { end_watching(&Poller::remove_before_close); }

void Watcher::end_watching(std::error_code (Poller::*remove)(int)) {
  if (!watching()) return;
  loop_->assert_in_loop_thread();
  ((*loop_->poller_).*remove)(fd_);
  loop_->watchers_.erase(std::exchange(key_, SlotKey::kNone));
}

void Watcher::continue_next_turn(Readiness again) {
  if (watching()) loop_->continuations_.push_back({key_, again});
}

void Watcher::at_turn_end() {
  if (watching()) loop_->turn_end_.push_back(key_);
}

}  // namespace pollard
