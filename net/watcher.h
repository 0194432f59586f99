// A descriptor registered with a loop, and the end of that registration. What is watched derives
// from this; Channel is the one for any descriptor and any function.
#pragma once

#include <cstdint>
#include <system_error>

#include "pollard/base/slot_map.h"
#include "pollard/poller/poller.h"

namespace pollard {

class EventLoop;

/// What a descriptor is ready for; the last two are hints (see Event).
struct Readiness {
  bool readable = false;
  bool writable = false;
  bool hangup = false;
  bool error = false;
};

/// Knows its loop by a pointer, and leaves it when it ends while the watcher watches. Its
/// own address never gets into the kernel: events come by slot key, so a watcher may die in any
/// handler, its own included. The loop's thread.
class Watcher {
 public:
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 protected:
  explicit Watcher(EventLoop& loop) : loop_(&loop) {}
  virtual ~Watcher() { stop_watching(); }

  /// Begins; fails as Poller::add() does, or with Error::kLoopGone.
  [[nodiscard]] std::error_code watch(int fd, Interest interest, Trigger trigger);
  /// Changes what is wanted; free when it is wanted already.
  [[nodiscard]] std::error_code set_interest(Interest interest);
  /// Ends; harmless when there is nothing to end. Must come before the descriptor is closed.
  void stop_watching();
  /// The same when the descriptor is closed next, which on some backends saves a call.
  void stop_watching_before_close();

  [[nodiscard]] bool watching() const { return key_ != SlotKey::kNone; }
  [[nodiscard]] int watched_fd() const { return fd_; }
  [[nodiscard]] Interest interest() const { return interest_; }
  [[nodiscard]] Trigger trigger() const { return trigger_; }
  /// Null once the loop has ended under the watcher.
  [[nodiscard]] EventLoop* loop_or_null() const { return loop_; }

  /// Calls on_ready(again) in the loop's next turn, if the watcher still watches by then.
  void continue_next_turn(Readiness again);
  /// Calls on_turn_end() before the loop waits again, likewise.
  void at_turn_end();

  /// The descriptor is ready. The watcher may be destroyed in here.
  virtual void on_ready(Readiness ready) = 0;
  virtual void on_turn_end() {}
  /// The loop ends, and the registration has ended already; who overrides this leaves the loop,
  /// too.
  virtual void on_loop_gone() { leave_loop(); }
  /// From now on there is no loop.
  void leave_loop() { loop_ = nullptr; }

 private:
  friend class EventLoop;

  void end_watching(std::error_code (Poller::*remove)(int fd));

  EventLoop* loop_;
  SlotKey key_ = SlotKey::kNone;
  int fd_ = -1;
  Interest interest_ = Interest::kNone;
  Trigger trigger_ = Trigger::kLevel;
};

}  // namespace pollard
