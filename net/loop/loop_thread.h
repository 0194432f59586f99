// A thread with a loop of its own.
#pragma once

#include <memory>
#include <thread>

#include "pollard/base/move_function.h"
#include "pollard/net/loop/event_loop.h"

namespace pollard {

/// The thread that makes it owns it.
class LoopThread {
 public:
  /// Starts the thread and returns when its loop is about to run, after `on_start` was called
  /// there. Throws what the loop's constructor or `on_start` throws. What a handler throws, and no
  /// EventLoopOptions::on_exception takes, ends the program, as it does in any thread.
  explicit LoopThread(EventLoopOptions options = {}, MoveFunction<void(EventLoop&)> on_start = {});

  /// Stops the loop, and waits for the thread to end.
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  /// The loop's part for other threads.
  [[nodiscard]] const LoopHandle& handle() const { return *handle_; }

  /// Runs `task` in the thread and returns when it is done, throwing what it throws, or
  /// std::system_error (Error::kLoopClosed) when the loop was stopped before. Not from within
  /// it.
  void run_and_wait(const MoveFunction<void(EventLoop&)>& task);

 private:
  std::unique_ptr<LoopHandle> handle_;
  EventLoop* loop_ = nullptr;
  std::thread thread_;
};

}  // namespace pollard
