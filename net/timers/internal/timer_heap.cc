#include "pollard/net/timers/internal/timer_heap.h"

#include <algorithm>

#include "pollard/base/assert.h"

namespace pollard {

inline void TimerHeap::rise(std::size_t at, TimerEntry entry) {
  while (at > 0) {
    const std::size_t parent = (at - 1) / kArity;
    if (!entry.before(entries_[parent])) break;
    put(at, entries_[parent]);
    at = parent;
  }
  put(at, entry);
}

inline void TimerHeap::sink(std::size_t at, TimerEntry entry) {
  const TimerEntry* const entries = entries_.data();
  const std::size_t size = size_;
  for (std::size_t child = at * kArity + 1; child < size; child = at * kArity + 1) {
    std::size_t least = child;
    const std::size_t end = std::min(child + kArity, size);
    for (++child; child < end; ++child) {
      if (entries[child].before(entries[least])) least = child;
    }
    if (!entries[least].before(entry)) break;
    put(at, entries[least]);
    at = least;
  }
  put(at, entry);
}

void TimerHeap::insert(TimerRecord& record) {
  POLLARD_ASSERT(size_ < entries_.size(), "a heap has room for each timer of its queue");
  record.place = TimerRecord::Place::kHeap;
  rise(size_++, {record.placed_at, &record});
}

void TimerHeap::remove(TimerRecord& record) {
  const std::size_t at = record.heap_index;
  POLLARD_ASSERT(at < size_ && entries_[at].record == &record, "a timer is where its record says");
  const TimerEntry last = entries_[--size_];
  if (at == size_) return;
  if (last.before(entries_[at])) {
    rise(at, last);
  } else {
    sink(at, last);
  }
}

}  // namespace pollard
