// Timers in the order of their deadlines, those of one deadline in the order in which they came: a
// 4-ary heap which holds the deadlines beside the timers, and knows the place of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pollard/net/timers/internal/timer_record.h"

namespace pollard {

/// One thread. A record is in one heap at most.
class TimerHeap {
 public:
  /// Whether there is no first one.
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// The first one; there is one.
  [[nodiscard]] TimerRecord& first() const { return *entries_[0].record; }

  /// Room for so many, as insert() must not fail.
  void reserve(std::size_t count) {
    if (entries_.size() < count) entries_.resize(count);
  }
  /// Gives back the room for more than so many, of which there are no more. Throws std::bad_alloc,
  /// and then the room stays.
  void shrink(std::size_t count) {
    std::vector<TimerEntry> fewer(entries_.begin(),
                                  entries_.begin() + static_cast<std::ptrdiff_t>(count));
    entries_.swap(fewer);
  }
  /// By `record.placed_at` and `record.order`. There is room.
  void insert(TimerRecord& record);
  /// One that is in it.
  void remove(TimerRecord& record);

 private:
  static constexpr std::size_t kArity = 4;

  void put(std::size_t at, const TimerEntry& entry) {
    entries_[at] = entry;
    entry.record->heap_index = static_cast<std::uint32_t>(at);
  }
  void rise(std::size_t at, TimerEntry entry);
  void sink(std::size_t at, TimerEntry entry);

  std::vector<TimerEntry> entries_;  // and room for more behind the first size_
  std::size_t size_ = 0;
};

}  // namespace pollard
