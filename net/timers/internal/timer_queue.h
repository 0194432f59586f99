// The timers of one loop. An active timer is in exactly one of four containers, or its task runs:
//
//     add(), restart_at()
//       | far off         | soon, few timers   | soon, many timers   | due, set by a task
//       v                 v                    v                     v
//     wheel_           sorted_ <--if far--> heap_               meanwhile_
//     in buckets,      a list in order      in order            in order of setting
//     unsorted            ^                    ^  |                  |
//       |                 |                    |  |                  | when the run is over:
//       |                 +--------------------+  |                  | as if added now
//       +--> crowd_ ------+  sorted at one go     v                  v
//        its first bucket's            run_due(): the first of sorted_ and heap_
//        time comes near
//
// A timer is soon when its tick is not after soon_; while there are no more than kFew timers, each
// new one is. "In order": by placed_at, then by the order of setting. Putting a timer off only
// stores its deadline: it moves when the time at which it stands comes first. A timer whose place
// in the list is many steps away goes to the heap.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/clock.h"
#include "pollard/net/timers/internal/timer_heap.h"
#include "pollard/net/timers/internal/timer_record.h"
#include "pollard/net/timers/internal/timer_sorter.h"
#include "pollard/net/timers/internal/timer_wheel.h"
#include "pollard/net/timers/timer.h"

namespace pollard {

/// One thread. Timers of the same deadline happen in the order in which they were set.
class TimerQueue : private TimerOwner {
 public:
  TimerQueue() = default;
  ~TimerQueue();
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// `period` zero: once. A deadline before the beginning of the time line is its beginning.
  template <class Callable>
  [[nodiscard]] Timer add(MonotonicTime deadline, Duration period, Callable&& task) {
    if constexpr (std::is_nothrow_constructible_v<Task, Callable>) {
      POLLARD_ASSERT(period >= Duration::zero(), "a period is not negative");
      TimerRecord& record = add_record(deadline, period);
      record.task.emplace(std::forward<Callable>(task));
      return {*this, record};
    } else {
      return add(deadline, period, Task(std::forward<Callable>(task)));
    }
  }

  /// Makes all handles inactive, so that they may end in another thread from now on.
  void let_go();

  /// The earliest deadline. What is due at `now` is sorted at one go, so that run_due() may follow.
  [[nodiscard]] std::optional<MonotonicTime> next_deadline(MonotonicTime now);

  /// Runs what is due at `now`, but nothing that is set meanwhile. When one throws, the others stay
  /// due. A periodic timer that missed turns runs once and stays in step.
  void run_due(MonotonicTime now);

  /// How many have run so far.
  [[nodiscard]] std::uint64_t ran() const { return ran_; }

  /// Timers that will happen.
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Whether there are none.
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// How many it has memory for: about twice as many as there were in the last burst, until that is
  /// over and its memory given back.
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

 private:
  friend class Timer;

  [[nodiscard]] TimerRecord& add_record(MonotonicTime deadline, Duration period);
  [[nodiscard]] TimerRecord& grow_and_add(MonotonicTime deadline, Duration period);
  void put_forward(TimerRecord& record);
  void take_out(TimerRecord& record);
  TimerRecord& enqueue(TimerRecord& record, MonotonicTime deadline);
  TimerRecord& place(TimerRecord& record, MonotonicTime deadline);
  TimerRecord& enqueue_soon(TimerRecord& record);
  [[nodiscard]] TimerRecord* first();
  [[nodiscard]] TimerRecord* first_sorted() const;
  [[nodiscard]] TimerRecord* find_first();
  [[nodiscard]] TimerLink* place_for(const TimerRecord& record, TimerLink* link);
  void sort_in(TimerRecord& record);
  void sort_in_crowd();
  void update_soon();
  void run_task(TimerRecord& record);
  void end_run();
  void grow();
  [[nodiscard]] bool burst_is_over() const;
  void give_back();
  void recycle(TimerRecord& record);

  // So many are sorted one by one; for more of them the wheel pays.
  static constexpr std::size_t kFew = 16;
  static constexpr TimerWheel::Tick kAlways = INT64_MAX;
  // Memory for so many is never given back.
  static constexpr std::size_t kKept = 512;

  TimerWheel wheel_;
  TimerLink sorted_;               // those that have left the wheel
  TimerHeap heap_;                 // the others that are not in the wheel
  std::vector<TimerEntry> crowd_;  // those on their way from the wheel to sorted_
  TimerSorter sorter_;
  TimerLink meanwhile_;              // what run_due() was given while it ran, and is due already
  TimerWheel::Tick soon_ = kAlways;  // only what lies after this goes to the wheel
  MonotonicTime now_{};              // as the caller said last
  bool running_ = false;             // run_due() does
  TimerRecord* free_ = nullptr;      // a list by `next` alone
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t gave_back_at_ = 0;  // in order_
  std::uint64_t ran_ = 0;
  std::vector<std::vector<TimerRecord>> pages_;
};

}  // namespace pollard
