// The threads that wait in this kernel, and the decision that time may jump.
//
// Time jumps when no thread of the process can do anything else: each of them sleeps, here or in
// the real kernel. Where there is only one thread that is known at once; otherwise the system is
// asked, where it tells (process_threads.h), or a millisecond of real time without any call is
// taken for it. While a thread runs on and on, time passes as fast as it really does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/testkit/sim/clock.h"

namespace pollard::sim {

class Sleepers {
 public:
  explicit Sleepers(Clock& clock);

  /// A thread comes in: it holds the lock from here on.
  [[nodiscard]] std::unique_lock<std::mutex> enter();

  /// A thread that waits for an answer of the real system: it only seems to sleep.
  class Errand {
   public:
    explicit Errand(Sleepers& sleepers) : busy_(sleepers.busy_) { busy_.fetch_add(1); }
    ~Errand() { busy_.fetch_sub(1); }
    Errand(const Errand&) = delete;
    Errand& operator=(const Errand&) = delete;

   private:
    std::atomic<int>& busy_;
  };

  /// Something changed that a sleeper may wait for. With the lock.
  void wake();

  /// Sleeps until something has changed or `deadline` is reached; may return early. Ends the
  /// program where nothing can ever change.
  void sleep(std::unique_lock<std::mutex>& lock, std::optional<MonotonicTime> deadline);

  /// Wakes those whose deadline has come by itself, because calls took their time.
  void wake_due();

 private:
  struct Sleeper {
    std::optional<MonotonicTime> deadline;
    std::uint64_t slept_at;  // changes_ by then: it sleeps for as long as that is so
  };

  using RealClock = std::chrono::steady_clock;

  void keep_watch(std::unique_lock<std::mutex>& lock, const Sleeper& own);
  [[nodiscard]] std::size_t asleep() const;
  [[nodiscard]] bool all_known_asleep() const;
  [[nodiscard]] bool process_asleep() const;
  [[nodiscard]] bool has_come_by_itself(RealClock::time_point began) const;
  [[nodiscard]] std::optional<MonotonicTime> next() const;
  void jump();

  Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<int> busy_{0};  // threads between their call and the lock, or on an errand
  std::uint64_t changes_ = 0;
  std::list<Sleeper> sleepers_;
  bool watched_ = false;                               // one of them decides on jumps
  std::optional<std::vector<std::string>> strangers_;  // threads that were there before
};

}  // namespace pollard::sim
