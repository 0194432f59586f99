#include "pollard/net/loop/loop_thread.h"

#include <future>
#include <system_error>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"

namespace pollard {

LoopThread::LoopThread(EventLoopOptions options, MoveFunction<void(EventLoop&)> on_start) {
  // The handle goes along: a loop that `on_start` stops may be gone before anybody here asks it.
  using Started = std::pair<EventLoop*, LoopHandle>;
  std::promise<Started> started;
  std::future<Started> loop = started.get_future();
  thread_ = std::thread([started = std::move(started), options = std::move(options),
                         on_start = std::move(on_start)]() mutable {
    const bool taken = static_cast<bool>(options.on_exception);
    std::unique_ptr<EventLoop> own;
    try {
      own = std::make_unique<EventLoop>(std::move(options));
      if (on_start) on_start(*own);
    } catch (...) {
      own.reset();
      started.set_exception(std::current_exception());
      return;
    }
    started.set_value({own.get(), own->handle()});
    try {
      own->run();
    } catch (...) {  // a wait that failed: handlers' exceptions were taken before
      if (!taken) throw;
      own->report_exception(std::current_exception());
    }
  });
  try {
    auto [running, handle] = loop.get();
    loop_ = running;
    handle_ = std::make_unique<LoopHandle>(std::move(handle));
  } catch (...) {
    thread_.join();
    throw;
  }
}

// Static, and destroyed by std::exit() in a handler of its own: the thread is the one that exits.
LoopThread::~LoopThread() {
  if (handle_->in_loop_thread()) {
    POLLARD_ASSERT(OwnerThread::current_is_ending(),
                   "a LoopThread must not be destroyed by its own thread");
    thread_.detach();
    return;
  }
  handle_->stop();
  thread_.join();
}

void LoopThread::run_and_wait(const MoveFunction<void(EventLoop&)>& task) {
  POLLARD_ASSERT(!handle_->in_loop_thread(),
                 "run_and_wait() must not be called in the loop's thread");
  std::promise<void> promise;
  std::future<void> finished = promise.get_future();
  // The promise goes along: a waiter may wake up while it is still being kept, and when the loop
  // ends, the task's destruction breaks it.
  handle_->post([loop = loop_, &task, done = std::move(promise)]() mutable {
    try {
      task(*loop);
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  });
  try {
    finished.get();
  } catch (const std::future_error&) {
    throw std::system_error(Error::kLoopClosed, "waiting for a task of a LoopThread");
  }
}

}  // namespace pollard
