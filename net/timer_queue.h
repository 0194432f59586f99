// The timers of one loop: a 4-ary heap of deadlines beside a slot map of what is to happen.
// Cancelling and putting off leave the heap alone; an entry that has become void is recognised when
// it comes up, or swept out with others when they are the majority.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/base/slot_map.h"
#include "pollard/net/timer.h"

namespace pollard {

using Task = MoveFunction<void()>;

/// One thread. Timers of the same deadline happen in the order in which they were set.
class TimerQueue {
 public:
  TimerQueue() = default;
  ~TimerQueue();
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// `period` zero: once.
  [[nodiscard]] Timer add(MonotonicTime deadline, Duration period, Task task);

  /// The earliest deadline.
  [[nodiscard]] std::optional<MonotonicTime> next_deadline();

  /// Runs what is due at `now`, but nothing that is set meanwhile. When one throws, the others stay
  /// due. A periodic timer that missed turns runs once and stays in step.
  void run_due(MonotonicTime now);

  /// How many have run so far.
  [[nodiscard]] std::uint64_t ran() const { return ran_; }

  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  [[nodiscard]] bool empty() const { return slots_.size() == 0; }
  /// How long the heap is, void entries included: about twice size() at the most.
  [[nodiscard]] std::size_t entries() const { return heap_.size(); }

 private:
  friend class Timer;

  struct Slot {
    Task task;
    MonotonicTime deadline{};
    std::uint64_t entry = 0;  // the sequence number of its heap entry; others of it are void
    MonotonicTime entry_deadline{};
    Duration period{};
    Timer* handle = nullptr;
  };
  struct Entry {
    MonotonicTime deadline;
    std::uint64_t sequence;
    SlotKey key;
    [[nodiscard]] bool before(const Entry& other) const {
      return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
    }
  };

  void cancel(SlotKey key);
  void restart(SlotKey key, MonotonicTime deadline);
  void forget(SlotKey key);
  void enqueue(SlotKey key, Slot& slot);
  [[nodiscard]] Slot* current(const Entry& entry);
  bool settle_top();
  void run(SlotKey key, MonotonicTime now);
  void sweep_if_worthwhile();
  void sift_up(std::size_t at);
  void sift_down(std::size_t at);
  void pop();

  std::vector<Entry> heap_;
  SlotMap<Slot> slots_;
  std::uint64_t sequence_ = 0;
  std::uint64_t ran_ = 0;
  std::size_t void_entries_ = 0;
  MonotonicTime earliest_{};  // what is set for a time before it is set for this one
};

}  // namespace pollard
