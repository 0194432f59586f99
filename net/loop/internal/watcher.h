// A descriptor registered with a loop, and the end of that registration. What is watched derives
// from this; Channel is the one for any descriptor and any function.
#pragma once

#include <cstdint>
#include <system_error>

#include "pollard/poller/poller.h"

namespace pollard {

class EventLoop;

/// Knows its loop by a pointer, and leaves it when it ends while the watcher watches. Its own
/// address never gets into the kernel: it is the token of its registration, which the poller hands
/// back for as long as the registration lasts. So a watcher may die in any handler, its own
/// included. The loop's thread.
class Watcher {
 public:
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 protected:
  /// Watches nothing yet.
  explicit Watcher(EventLoop& loop) : loop_(&loop) {}
  virtual ~Watcher() { stop_watching(); }

  /// Begins; fails as Poller::add() does, or with Error::kLoopClosed.
  [[nodiscard]] std::error_code watch(int fd, Interest interest, Trigger trigger);
  /// Changes what is wanted; free when it is wanted already.
  [[nodiscard]] std::error_code set_interest(Interest interest);
  /// Ends; harmless when there is nothing to end. Must come before the descriptor is closed.
  void stop_watching();
  /// The same when the descriptor is closed next, which on some backends saves a call.
  void stop_watching_before_close();

  /// Between watch() and the end.
  [[nodiscard]] bool watching() const { return registration_.generation != 0; }
  /// -1 when it watches nothing.
  [[nodiscard]] int watched_fd() const { return registration_.fd; }
  /// What was asked for last.
  [[nodiscard]] Interest interest() const { return interest_; }
  /// What watch() was told.
  [[nodiscard]] Trigger trigger() const { return trigger_; }
  /// Null once the loop has ended under the watcher.
  [[nodiscard]] EventLoop* loop_or_null() const { return loop_; }

  /// The loop's turn, counted: in two turns that follow each other it differs by one.
  [[nodiscard]] std::uint64_t turn() const;
  /// Calls on_ready() in the loop's next turn, if the watcher still watches by then: once, with all
  /// that was asked for by then, and with what the next wait reports. Throws std::bad_alloc, and
  /// then nothing was asked for.
  void continue_next_turn(Readiness again);
  /// Calls on_turn_end() before the loop waits again, once, if the watcher still watches by then.
  /// Throws std::bad_alloc, and then nothing was asked for.
  void at_turn_end();

  /// The descriptor is ready. The watcher may be destroyed in here.
  virtual void on_ready(Readiness ready) = 0;
  /// What at_turn_end() asked for.
  virtual void on_turn_end() {}
  /// The loop ends, and the registration has ended already; who overrides this leaves the loop,
  /// too.
  virtual void on_loop_gone() { leave_loop(); }
  /// From now on there is no loop.
  void leave_loop() { loop_ = nullptr; }

 private:
  friend class EventLoop;

  void end_watching(std::error_code (Poller::*remove)(int fd));
  void end_registration();

  // For the loop.

  [[nodiscard]] bool continues() const { return continuation_ == Asked::kYes; }
  void add_to_continuation(Readiness ready);
  void run_continuation();
  void run_turn_end();

  // Whether the loop's list has the present registration.
  enum class Asked : bool { kNo, kYes };

  EventLoop* loop_;
  Registration registration_;
  Interest interest_ = Interest::kNone;
  Trigger trigger_ = Trigger::kLevel;
  Asked continuation_ = Asked::kNo;
  Asked turn_end_ = Asked::kNo;
  Readiness again_;  // while continuation_: for on_ready()
};

}  // namespace pollard
