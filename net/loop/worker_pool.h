// Threads that run tasks from one queue: for work that blocks or takes long, which no loop should
// do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "pollard/base/move_function.h"
#include "pollard/net/loop/internal/mailbox.h"

namespace pollard {

/// How many threads, and how many tasks wait for them.
struct WorkerPoolOptions {
  /// Threads; zero: as many as the machine has processors.
  unsigned workers = 0;

  /// How many tasks may stand in the queue before the pool is full.
  std::size_t queue_limit = 1024;

  /// Runs in each thread before its first task; what it throws goes to on_exception.
  MoveFunction<void()> on_thread_start = {};

  /// Gets what a task throws, in the worker's thread, which goes on. Empty: it is logged.
  MoveFunction<void(std::exception_ptr)> on_exception = {};
};

/// What a pool does, and has done since it was made.
struct WorkerPoolStats {
  unsigned workers = 0;              ///< threads
  unsigned busy = 0;                 ///< workers that run a task now
  std::size_t queued = 0;            ///< tasks in the queue; queue_limit at the most
  std::size_t waiting = 0;           ///< tasks that wait behind the full queue
  std::size_t max_queue_length = 0;  ///< the most tasks that were queued and waiting at a time
  std::uint64_t completed = 0;       ///< tasks that have run
  std::uint64_t queue_full = 0;      ///< submits that met a full queue
  std::uint64_t exceptions = 0;      ///< thrown by tasks
};

/// What became of a submitted task.
enum class SubmitResult : std::uint8_t {
  kQueued,
  /// The queue is full, and the task waits behind it. Who submits is asked to submit no more until
  /// it runs: so the line is no longer than the limit and one task of each submitter.
  kWaiting,
  /// Not taken, and left as it was: the queue is full (try_submit), or the pool has stopped.
  kRefused,
};

/// Tasks begin in the order in which they came.
class WorkerPool {
 public:
  /// Throws std::system_error when the system has no more threads.
  explicit WorkerPool(WorkerPoolOptions options = {});

  /// As stop(). Also in a task of its own, whose thread then ends after that task and those that
  /// are left.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // From any thread.

  /// Takes the task, also when the queue is full: then it waits behind it.
  SubmitResult submit(Task&& task);
  /// Takes the task if the queue has room.
  SubmitResult try_submit(Task&& task);
  /// Tasks that have not begun.
  [[nodiscard]] std::size_t queue_size() const;
  /// As of now.
  [[nodiscard]] WorkerPoolStats stats() const;

  // One thread at a time.

  /// Takes no more tasks but those that tasks submit, runs all that it has, and returns when the
  /// threads have ended; in a task of its own, when the others have.
  void stop();

 private:
  struct State;
  SubmitResult admit(Task& task, bool may_wait);
  static void serve(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;  // the threads have it too: one may outlive the pool
  std::vector<std::thread> threads_;
};

}  // namespace pollard
