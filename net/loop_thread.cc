#include "pollard/net/loop_thread.h"

#include <future>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {

LoopThread::LoopThread(EventLoopOptions options, MoveFunction<void(EventLoop&)> on_start) {
  std::promise<EventLoop*> started;
  std::future<EventLoop*> loop = started.get_future();
  thread_ = std::thread([started = std::move(started), options = std::move(options),
                         on_start = std::move(on_start)]() mutable {
    std::unique_ptr<EventLoop> own;
    try {
      own = std::make_unique<EventLoop>(std::move(options));
      if (on_start) on_start(*own);
    } catch (...) {
      own.reset();
      started.set_exception(std::current_exception());
      return;
    }
    started.set_value(own.get());
    own->run();
  });
  try {
    loop_ = loop.get();
  } catch (...) {
    thread_.join();
    throw;
  }
  handle_ = std::make_unique<LoopHandle>(loop_->handle());
}

LoopThread::~LoopThread() {
  handle_->stop();
  thread_.join();
}

void LoopThread::run_and_wait(const MoveFunction<void(EventLoop&)>& task) {
  POLLARD_ASSERT(!handle_->in_loop_thread(), "a thread that waits for itself waits for ever");
  std::promise<void> promise;
  std::future<void> finished = promise.get_future();
  // The promise goes along: a waiter may wake up while it is still being kept.
  const bool posted = handle_->post([this, &task, done = std::move(promise)]() mutable {
    try {
      task(*loop_);
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  });
  POLLARD_ASSERT(posted, "the thread's loop runs for as long as the thread");
  finished.get();
}

}  // namespace pollard
