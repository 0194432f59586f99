#include "pollard/net/loop/worker_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "pollard/base/describe_exception.h"
#include "pollard/base/log.h"

namespace pollard {
namespace {

// Also when there is no memory to say more.
void log_exception(std::string_view what, const std::exception_ptr& exception) noexcept try {
  log(LogLevel::kError, std::string(what) + "exception: " + describe_exception(exception));
} catch (...) {
  log(LogLevel::kError, "a task of a worker pool threw, and there was no memory to say what");
}

}  // namespace

struct WorkerPool::State {
  explicit State(WorkerPoolOptions chosen) : options(std::move(chosen)) {}

  const WorkerPoolOptions options;
  mutable std::mutex mutex;
  std::condition_variable woken;
  std::deque<Task> line;  // the queue, and what waits behind it
  unsigned asleep = 0;
  unsigned wakes = 0;  // sleepers that were told, and have not got up yet
  bool stopping = false;
  WorkerPoolStats stats;

  // Of the thread's own pool.
  static State*& current() {
    static thread_local State* state = nullptr;
    return state;
  }

  // What a sleeper is about to take doesn't stand in the queue.
  [[nodiscard]] std::size_t room() const { return options.queue_limit + asleep; }
  void sleep(std::unique_lock<std::mutex>& lock);
  void run(const MoveFunction<void()>& task);
  void report(const std::exception_ptr& exception) noexcept;
};

// Only as many are told as there is work for: a sleeper that finds nothing has cost two switches.
void WorkerPool::State::sleep(std::unique_lock<std::mutex>& lock) {
  ++asleep;
  woken.wait(lock, [this] { return wakes > 0 || stopping; });
  if (wakes > 0) --wakes;
  --asleep;
}

void WorkerPool::State::run(const MoveFunction<void()>& task) {
  try {
    task();
  } catch (...) {
    report(std::current_exception());
  }
}

void WorkerPool::State::report(const std::exception_ptr& exception) noexcept {
  {
    const std::lock_guard lock(mutex);
    ++stats.exceptions;
  }
  try {
    if (options.on_exception) return options.on_exception(exception);
    log_exception("a task of a worker pool threw: ", exception);
  } catch (...) {
    log_exception("a worker pool's on_exception threw, when told of: ", exception);
  }
}

WorkerPool::WorkerPool(WorkerPoolOptions options)
    : state_(std::make_shared<State>(std::move(options))) {
  const unsigned wanted = state_->options.workers;
  const unsigned count = wanted > 0 ? wanted : std::max(1U, std::thread::hardware_concurrency());
  state_->stats.workers = count;
  try {
    while (threads_.size() < count) threads_.emplace_back([state = state_] { serve(state); });
  } catch (...) {
    stop();
    throw;
  }
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::serve(const std::shared_ptr<State>& state) {
  State::current() = state.get();
  if (state->options.on_thread_start) state->run(state->options.on_thread_start);
  std::unique_lock lock(state->mutex);
  while (true) {
    while (state->line.empty() && !state->stopping) state->sleep(lock);
    if (state->line.empty()) return;
    Task task = std::move(state->line.front());
    state->line.pop_front();
    ++state->stats.busy;
    lock.unlock();
    state->run(task);
    task = {};  // what it holds may submit more
    lock.lock();
    --state->stats.busy;
    ++state->stats.completed;
  }
}

SubmitResult WorkerPool::submit(Task&& task) { return admit(task, true); }
SubmitResult WorkerPool::try_submit(Task&& task) { return admit(task, false); }

SubmitResult WorkerPool::admit(Task& task, bool may_wait) {
  State& state = *state_;
  bool full = false;
  bool wake = false;
  {
    const std::lock_guard lock(state.mutex);
    if (state.stopping && State::current() != &state) return SubmitResult::kRefused;
    full = state.line.size() >= state.room();
    if (full) ++state.stats.queue_full;
    if (full && !may_wait) return SubmitResult::kRefused;
    state.line.push_back(std::move(task));
    state.stats.max_queue_length = std::max(state.stats.max_queue_length, state.line.size());
    wake = state.asleep > state.wakes;
    if (wake) ++state.wakes;
  }
  if (wake) state.woken.notify_one();
  return full ? SubmitResult::kWaiting : SubmitResult::kQueued;
}

std::size_t WorkerPool::queue_size() const {
  const std::lock_guard lock(state_->mutex);
  return state_->line.size();
}

WorkerPoolStats WorkerPool::stats() const {
  const std::lock_guard lock(state_->mutex);
  WorkerPoolStats stats = state_->stats;
  stats.queued = std::min(state_->line.size(), state_->room());
  stats.waiting = state_->line.size() - stats.queued;
  return stats;
}

void WorkerPool::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->woken.notify_all();
  for (std::thread& thread : std::exchange(threads_, {})) {
    if (thread.get_id() == std::this_thread::get_id()) {
      thread.detach();  // it has its share of the state, and ends after this task
    } else {
      thread.join();
    }
  }
}

}  // namespace pollard
