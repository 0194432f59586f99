// What a timer is to the queue that keeps it.
#pragma once

#include <cstdint>
#include <utility>

#include "pollard/base/clock.h"
#include "pollard/base/owner_thread.h"
#include "pollard/base/task.h"

namespace pollard {

class Timer;

/// The part of a queue that each handle of its timers asks: which thread may use them.
struct TimerOwner {
  OwnerThread thread;  ///< the one that made the queue
};

/// A link of a circular list; alone it is an empty one.
struct TimerLink {
  TimerLink() = default;
  TimerLink(const TimerLink&) = delete;
  TimerLink& operator=(const TimerLink&) = delete;

  TimerLink* next = this;      ///< the first of the list for its head
  TimerLink* previous = this;  ///< the last

  /// An empty list, or a link that was never in one.
  [[nodiscard]] bool alone() const { return next == this; }
  /// Links `link`, which is in no list, behind all others.
  void append(TimerLink& link) {
    TimerLink* const last = std::exchange(previous, &link);
    link.next = this;
    last->next = &link;
    link.previous = last;
  }
  /// Takes it out. It is as it was, and may only be appended again.
  void unlink() const {
    next->previous = previous;
    previous->next = next;
  }
};

/// It doesn't move for as long as its queue lives.
struct TimerRecord : TimerLink {
  /// kOut: in neither, because its task is running; kEnded: and it is not to be put back; kFree: no
  /// timer uses it.
  enum class Place : std::uint8_t { kList, kHeap, kOut, kEnded, kFree };

  MonotonicTime placed_at{};     ///< the deadline by which it stands in a list or in the heap
  MonotonicTime deadline{};      ///< the same or, when it has been put off meanwhile, a later one
  std::uint64_t order = 0;       ///< in which those of the same deadline happen
  std::uint32_t heap_index = 0;  ///< while it is in the heap
  Place place = Place::kFree;    ///< where it is
  Timer* handle = nullptr;       ///< the user's, which is told when it ends
  Task task;                     ///< what to run
  Duration period{};             ///< of one that repeats; zero: once

  /// Whether it happens before the other.
  [[nodiscard]] bool before(const TimerRecord& other) const {
    return placed_at != other.placed_at ? placed_at < other.placed_at : order < other.order;
  }
  /// Whether its deadline is later than its place says.
  [[nodiscard]] bool put_off() const { return deadline != placed_at; }
  /// Places it behind all others of a list.
  void append_to(TimerLink& list) {
    list.append(*this);
    place = Place::kList;
  }
};

/// A timer with the deadline by which it is sorted beside it, for what sorts many.
struct TimerEntry {
  MonotonicTime deadline;         ///< its placed_at
  TimerRecord* record = nullptr;  ///< the timer

  /// Whether it happens before the other.
  [[nodiscard]] bool before(const TimerEntry& other) const {
    return deadline != other.deadline ? deadline < other.deadline : record->before(*other.record);
  }
};

}  // namespace pollard
