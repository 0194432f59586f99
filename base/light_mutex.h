// A mutex for a few instructions at a time, such as putting something into a list: taking it and
// giving it back is one atomic operation each, where std::mutex asks a library that knows of more
// kinds. Whoever finds it taken sleeps, so that a thread which is preempted with it holds up the
// others and no processor.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace pollard {

/// For std::lock_guard. Any thread; not recursive, and not fair.
class LightMutex {
 public:
  LightMutex() = default;
  LightMutex(const LightMutex&) = delete;
  LightMutex& operator=(const LightMutex&) = delete;

  /// Sleeps while somebody else has it.
  void lock() {
    State expected = State::kFree;
    if (!state_.compare_exchange_strong(expected, State::kTaken, std::memory_order_acquire)) {
      wait_and_lock();
    }
  }
  /// Wakes one who sleeps.
  void unlock() {
    if (state_.exchange(State::kFree, std::memory_order_release) == State::kWaitedFor) wake_one();
  }

 private:
  enum class State : std::uint32_t { kFree, kTaken, kWaitedFor };

  void wait_and_lock();
  void wake_one();

  std::atomic<State> state_{State::kFree};
  std::mutex sleep_;
  std::condition_variable freed_;
};

}  // namespace pollard
