#include "pollard/net/event_loop.h"

#include <algorithm>
#include <string>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/net/output_queue.h"
#include "pollard/platform/time.h"

namespace pollard {

// Ends the loop's sleep when another thread rings. Where an eventfd's edges suffice, nothing is
// read.
class EventLoop::WakeWatcher final : public Watcher {
 public:
  WakeWatcher(EventLoop& loop, platform::WakeDescriptor& descriptor)
      : Watcher(loop), loop_(loop), descriptor_(descriptor) {
    const bool edge = loop.poller_capabilities().edge_triggered && descriptor.rings_undrained();
    const std::error_code refused =
        watch(descriptor.fd(), Interest::kRead, edge ? Trigger::kEdge : Trigger::kLevel);
    if (refused) throw std::system_error(refused, "watching the loop's wake descriptor");
  }

 private:
  void on_ready(Readiness) override {
    ++loop_.stats_.wakeups;
    --loop_.stats_.events;  // nobody's event but ours
    if (trigger() == Trigger::kLevel) descriptor_.drain();
  }

  EventLoop& loop_;
  platform::WakeDescriptor& descriptor_;
};

EventLoop::EventLoop(EventLoopOptions options)
    : mailbox_(std::make_shared<Mailbox>()),
      poller_(make_poller(options.poller)),
      options_(std::move(options)),
      wake_(std::make_unique<WakeWatcher>(*this, mailbox_->wake_descriptor())) {
  POLLARD_ASSERT(options_.receive_buffer_bytes >= 4096, "a receive buffer is 4 KiB at least");
}

EventLoop::~EventLoop() {
  assert_in_loop_thread();
  POLLARD_ASSERT(!in_turn_, "a loop isn't destroyed by its own handler");
  mailbox_->begin_to_close();
  wake_.reset();
  ending_ = true;  // nothing new is watched from here on
  watchers_.for_each([this](SlotKey key, Watcher* watcher) {
    poller_->remove(watcher->fd_);
    watchers_.erase(key);
    watcher->key_ = SlotKey::kNone;
    watcher->on_loop_gone();
  });
  finish_retired();
  mailbox_->close();
}

void EventLoop::assert_in_loop_thread() const {
  POLLARD_ASSERT(in_loop_thread(), "this belongs to the loop's thread; post() a task to it");
}

void EventLoop::dispatch(Task task) {
  if (in_loop_thread()) {
    task();
  } else {
    post(std::move(task));
  }
}

void EventLoop::run() {
  while (!turn(std::nullopt)) {
  }
}

bool EventLoop::run_once(std::optional<Duration> limit) { return turn(limit); }

bool EventLoop::turn(std::optional<Duration> limit) {
  assert_in_loop_thread();
  POLLARD_ASSERT(!in_turn_, "a loop isn't run by its own handler");
  struct InTurn {
    EventLoop& loop;
    ~InTurn() {
      loop.in_turn_ = false;
      loop.now_.reset();
      if (!loop.retired_.empty()) loop.finish_retired();
    }
  };
  in_turn_ = true;
  const InTurn in_turn{*this};
  ++stats_.turns;
  // What an exception left over comes first.
  if (!poller_->has_ready()) wait(limit);
  const MonotonicTime began = options_.measure_turns ? now() : MonotonicTime{};
  const bool stopped = handle_everything();
  if (!turn_end_.empty()) finish_turn_ends();
  if (options_.measure_turns) {
    stats_.longest_turn = std::max(stats_.longest_turn, platform::monotonic_now() - began);
  }
  if (pending_ != nullptr) std::rethrow_exception(std::exchange(pending_, nullptr));
  return stopped;
}

void EventLoop::wait(std::optional<Duration> limit) {
  if (!turn_end_.empty()) finish_turn_ends();
  std::optional<Duration> timeout = time_to_sleep(limit);
  const bool may_sleep = timeout != Duration::zero();
  const bool asleep = may_sleep && mailbox_->try_sleep();
  if (may_sleep && !asleep) timeout = Duration::zero();
  ++stats_.waits;
  const std::error_code failed = poller_->wait(timeout);
  if (asleep) mailbox_->awake();
  now_.reset();
  if (failed) throw std::system_error(failed, "waiting with " + std::string(poller_name()));
}

std::optional<Duration> EventLoop::time_to_sleep(std::optional<Duration> limit) {
  if (has_work()) return Duration::zero();
  if (timers_.empty()) return limit;
  const std::optional<MonotonicTime> deadline = timers_.next_deadline();
  const Duration left = std::max(*deadline - now(), Duration::zero());
  return limit.has_value() ? std::min(*limit, left) : left;
}

bool EventLoop::has_work() const {
  return !continuations_.empty() || !turn_end_.empty() || next_task_ < tasks_.size() ||
         mailbox_->has_mail() || pending_ != nullptr || stop_taken_;
}

template <class Work>
void EventLoop::guarded(Work work) {
  try {
    work();
  } catch (...) {
    report_exception(std::current_exception());
  }
}

void EventLoop::report_exception(std::exception_ptr exception) {
  if (options_.on_exception) {
    try {
      options_.on_exception(exception);
      return;
    } catch (...) {
      exception = std::current_exception();
    }
  }
  if (pending_ == nullptr) {
    pending_ = std::move(exception);
  } else {
    log(LogLevel::kError, "a second exception in one turn of an event loop was dropped");
  }
}

// An exception that run() is to throw ends the turn; what is left waits for the next.
bool EventLoop::handle_everything() {
  dispatch_events();
  if (!continuations_.empty()) dispatch_continuations();
  if (!timers_.empty()) {
    guarded([this] {
      if (pending_ == nullptr && *timers_.next_deadline() <= now()) timers_.run_due(now());
    });
  }
  return run_tasks();
}

void EventLoop::dispatch_events() {
  while (pending_ == nullptr && poller_->has_ready()) {
    guarded([this] {
      Event event;
      while (pending_ == nullptr && poller_->next(event)) {
        ready(static_cast<SlotKey>(event.token),
              {event.readable, event.writable, event.hangup, event.error});
      }
    });
  }
}

void EventLoop::ready(SlotKey key, Readiness readiness) {
  Watcher** watcher = watchers_.find(key);
  if (watcher == nullptr) return;
  ++stats_.events;
  (*watcher)->on_ready(readiness);
}

void EventLoop::dispatch_continuations() {
  std::swap(continuations_, running_continuations_);
  for (const Continuation& continuation : running_continuations_) {
    if (pending_ == nullptr) {
      guarded([&] { ready(continuation.key, continuation.ready); });
    } else {
      continuations_.push_back(continuation);
    }
  }
  running_continuations_.clear();
}

bool EventLoop::run_tasks() {
  if (next_task_ == tasks_.size() && mailbox_->has_mail()) {
    tasks_.clear();
    next_task_ = 0;
    stop_taken_ = mailbox_->take(tasks_) || stop_taken_;  // a run that threw may have left one
  }
  while (pending_ == nullptr && next_task_ < tasks_.size()) {
    guarded([this] {
      while (pending_ == nullptr && next_task_ < tasks_.size()) {
        ++stats_.tasks;
        const Task task = std::move(tasks_[next_task_++]);
        task();
      }
    });
  }
  if (pending_ != nullptr || next_task_ < tasks_.size()) return false;
  return std::exchange(stop_taken_, false);
}

// Once: what these schedule again, such as a sender that never runs dry, waits for the next turn.
void EventLoop::finish_turn_ends() {
  std::swap(turn_end_, running_turn_end_);
  for (const SlotKey key : running_turn_end_) {
    Watcher** watcher = watchers_.find(key);
    if (watcher != nullptr) guarded([&] { (*watcher)->on_turn_end(); });
  }
  running_turn_end_.clear();
}

void EventLoop::retire(Task ended) {
  if (in_turn_) retired_.push_back(std::move(ended));
}

void EventLoop::finish_retired() {
  while (!retired_.empty()) {
    std::vector<Task> ended;  // their destructors may retire more
    std::swap(ended, retired_);
  }
}

Timer EventLoop::at(MonotonicTime deadline, Task task) {
  assert_in_loop_thread();
  return timers_.add(deadline, Duration::zero(), std::move(task));
}

// From the real time, not from the turn's: a handler that took long would make the timer early.
Timer EventLoop::after(Duration delay, Task task) {
  return at(saturating_add(platform::monotonic_now(), delay), std::move(task));
}

Timer EventLoop::every(Duration period, Task task) {
  assert_in_loop_thread();
  POLLARD_ASSERT(period > Duration::zero(), "a period is longer than nothing");
  return timers_.add(saturating_add(platform::monotonic_now(), period), period, std::move(task));
}

MonotonicTime EventLoop::now() {
  if (!in_turn_) return platform::monotonic_now();
  if (!now_.has_value()) now_ = platform::monotonic_now();
  return *now_;
}

LoopStats EventLoop::stats() const {
  LoopStats stats = stats_;
  stats.timers = timers_.ran();
  stats.stale_events = poller_->stale_events();
  stats.watched = poller_->size();
  return stats;
}

void EventLoop::allocate_shared_memory() {
  if (shared_memory_ != nullptr) return;
  // Not make_unique: nobody reads the zeros that it would write.
  shared_memory_.reset(new std::byte[options_.receive_buffer_bytes + kScratchBytes]);
}

}  // namespace pollard
