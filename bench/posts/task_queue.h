// What a user of a library without a queue of tasks writes beside its wake-up.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace bench {

class TaskQueue {
 public:
  template <class Task>
  void push(Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.emplace_back(std::move(task));
  }

  /// Those that are there when it is called; what they push waits for the next call.
  void run_all() {
    {
      const std::lock_guard lock(mutex_);
      running_.swap(tasks_);
    }
    for (const auto& task : running_) task();
    running_.clear();
  }

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  std::vector<std::function<void()>> running_;
};

}  // namespace bench
