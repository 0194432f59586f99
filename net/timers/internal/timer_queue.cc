#include "pollard/net/timers/internal/timer_queue.h"

#include <algorithm>
#include <new>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {
namespace {

// The next multiple of the period behind `now`: a loop that was held up doesn't catch up in a
// burst.
MonotonicTime next_turn(MonotonicTime deadline, Duration period, MonotonicTime now) {
  const MonotonicTime next = saturating_add(deadline, period);
  if (next > now) return next;
  return saturating_add(saturating_add(next, (now - next) / period * period), period);
}

}  // namespace

void Timer::put_forward() { static_cast<TimerQueue*>(queue_)->put_forward(*record_); }

void Timer::replace(Timer& other) {
  if (this == &other) return;
  queue_->thread.assert_current();
  TimerOwner& old_queue = *queue_;
  TimerRecord& old_record = *record_;
  take(other);
  // Last: what the old task owns ends with it, and that may be the owner of this very timer.
  cancel(old_queue, old_record);
}

TimerQueue::~TimerQueue() { let_go(); }

void TimerQueue::let_go() {
  for (std::vector<TimerRecord>& page : pages_) {
    for (TimerRecord& record : page) {
      if (record.handle != nullptr) std::exchange(record.handle, nullptr)->queue_ = nullptr;
    }
  }
}

// Each page is as large as all before it. A timer that was set can be moved without more memory.
void TimerQueue::grow() {
  constexpr std::size_t kFirstPage = 16;
  const std::size_t before = capacity_;
  const std::size_t more = std::max(kFirstPage, before);
  POLLARD_ASSERT(before + more <= UINT32_MAX, "a loop has fewer than 2^32 timers");
  heap_.reserve(before + more);
  crowd_.reserve(before + more);
  std::vector<TimerRecord>& page = pages_.emplace_back(more);
  for (TimerRecord& record : page) record.next = std::exchange(free_, &record);
  capacity_ = before + more;
}

// Asked again after half as many timers as there is memory for, as giving back takes so many steps.
bool TimerQueue::burst_is_over() const {
  return capacity_ > kKept && size_ < capacity_ / 8 && order_ - gave_back_at_ >= capacity_ / 2;
}

// Drops the pages behind the last one that a timer uses. The others' free records come to be used
// from the first page on, so that more pages become free.
void TimerQueue::give_back() {
  POLLARD_ASSERT(!running_, "no record may be in use by a task");
  gave_back_at_ = order_;
  const auto is_free = [](const TimerRecord& record) {
    return record.place == TimerRecord::Place::kFree;
  };
  while (capacity_ > kKept && std::ranges::all_of(pages_.back(), is_free)) {
    capacity_ -= pages_.back().size();
    pages_.pop_back();
  }
  free_ = nullptr;
  for (auto page = pages_.rbegin(); page != pages_.rend(); ++page) {
    for (auto record = page->rbegin(); record != page->rend(); ++record) {
      if (is_free(*record)) record->next = std::exchange(free_, &*record);
    }
  }
  try {
    heap_.shrink(capacity_);
    std::vector<TimerEntry> fewer;
    fewer.reserve(capacity_);
    crowd_.swap(fewer);
  } catch (const std::bad_alloc&) {  // then they stay as they are
  }
  sorter_.give_back();
}

[[gnu::noinline]] TimerRecord& TimerQueue::grow_and_add(MonotonicTime deadline, Duration period) {
  grow();
  return add_record(deadline, period);
}

TimerRecord& TimerQueue::add_record(MonotonicTime deadline, Duration period) {
  if (free_ == nullptr) [[unlikely]]
    return grow_and_add(deadline, period);
  TimerRecord& record = *free_;
  free_ = static_cast<TimerRecord*>(record.next);
  record.period = period;
  ++size_;
  return enqueue(record, deadline);
}

// Answers its argument, so that it costs little to end with it.
inline TimerRecord& TimerQueue::enqueue(TimerRecord& record, MonotonicTime deadline) {
  record.order = ++order_;
  return place(record, deadline);
}

// Where its deadline and its order say.
inline TimerRecord& TimerQueue::place(TimerRecord& record, MonotonicTime deadline) {
  record.placed_at = record.deadline = deadline;
  const TimerWheel::Tick tick = TimerWheel::tick_of(deadline);
  if (tick <= soon_) return enqueue_soon(record);
  wheel_.insert(record, tick);
  return record;
}

TimerRecord& TimerQueue::enqueue_soon(TimerRecord& record) {
  if (running_ && record.deadline <= now_) {
    record.append_to(meanwhile_);
    return record;
  }
  record.placed_at = record.deadline = std::max(record.deadline, MonotonicTime{});
  if (soon_ != kAlways) {
    heap_.insert(record);
  } else {
    sort_in(record);
    if (size_ > kFew) update_soon();
  }
  return record;
}

void Timer::cancel(TimerOwner& owner, TimerRecord& record) {
  TimerQueue& queue = static_cast<TimerQueue&>(owner);
  record.handle = nullptr;
  --queue.size_;
  if (record.place == TimerRecord::Place::kList) {
    record.unlink();
  } else if (record.place == TimerRecord::Place::kHeap) {
    queue.heap_.remove(record);
  } else {
    record.place = TimerRecord::Place::kEnded;  // when its task returns
    return;
  }
  queue.recycle(record);
  if (queue.size_ == 0 && queue.capacity_ > TimerQueue::kKept && !queue.running_) queue.give_back();
}

// What the task holds may set and cancel timers while it ends.
inline void TimerQueue::recycle(TimerRecord& record) {
  record.task = nullptr;
  record.place = TimerRecord::Place::kFree;
  record.next = std::exchange(free_, &record);
}

void TimerQueue::put_forward(TimerRecord& record) {
  take_out(record);
  enqueue(record, record.deadline);
}

inline void TimerQueue::take_out(TimerRecord& record) {
  if (record.place == TimerRecord::Place::kList) {
    record.unlink();
  } else {
    heap_.remove(record);
  }
}

// The first timer, out of the wheel and with its real deadline; null when there is none.
inline TimerRecord* TimerQueue::first() {
  TimerRecord* const first = first_sorted();
  if (first != nullptr && first->placed_at < wheel_.begin() && !first->put_off()) return first;
  return empty() ? nullptr : find_first();
}

inline TimerRecord* TimerQueue::first_sorted() const {
  TimerRecord* const first = sorted_.alone() ? nullptr : static_cast<TimerRecord*>(sorted_.next);
  if (heap_.empty()) return first;
  return first != nullptr && first->before(heap_.first()) ? first : &heap_.first();
}

TimerRecord* TimerQueue::find_first() {
  for (;;) {
    TimerRecord* const first = first_sorted();
    if (!wheel_.empty() && (first == nullptr || first->placed_at >= wheel_.begin())) {
      wheel_.open_first(now_, crowd_);
      sorter_.sort(crowd_);
      sort_in_crowd();
      // What is set from now on lies behind the last run, mostly.
      if (wheel_.empty()) wheel_.set_time(TimerWheel::tick_of(now_));
      update_soon();
    } else if (first == nullptr || !first->put_off()) {
      return first;
    } else {
      take_out(*first);
      if (running_ && first->deadline <= now_) {  // and due all the same
        first->placed_at = first->deadline;
        heap_.insert(*first);
      } else {
        enqueue(*first, first->deadline);
      }
    }
  }
}

// Where this belongs, at or behind `link`; null when that is many steps away, unless it is due, for
// then all that it passes is due before it.
inline TimerLink* TimerQueue::place_for(const TimerRecord& record, TimerLink* link) {
  if (link == &sorted_) return link;
  if (static_cast<TimerRecord*>(sorted_.previous)->before(record)) return &sorted_;
  for (std::size_t steps = 0; link != &sorted_; ++steps, link = link->next) {
    if (record.before(static_cast<TimerRecord&>(*link))) break;
    if (steps == kFew && record.placed_at > now_) return nullptr;
  }
  return link;
}

void TimerQueue::sort_in_crowd() {
  TimerLink* link = sorted_.next;
  for (const TimerEntry& entry : crowd_) {
    POLLARD_ASSERT(entry.deadline == entry.record->placed_at,
                   "a crowd must be sorted by its places");
    TimerLink* const place = place_for(*entry.record, link);
    if (place != nullptr) {
      entry.record->append_to(*place);  // that is, before it
      link = place;
    } else {
      heap_.insert(*entry.record);
    }
  }
  crowd_.clear();
}

inline void TimerQueue::sort_in(TimerRecord& record) {
  TimerLink* const place = place_for(record, sorted_.next);
  place != nullptr ? record.append_to(*place) : heap_.insert(record);
}

inline void TimerQueue::update_soon() {
  if (size_ <= kFew) {
    soon_ = kAlways;
    return;
  }
  soon_ = running_ ? std::max(wheel_.time(), TimerWheel::tick_of(now_)) : wheel_.time();
}

std::optional<MonotonicTime> TimerQueue::next_deadline(MonotonicTime now) {
  if (!running_) now_ = now;
  const TimerRecord* const next = first();
  return next != nullptr ? std::optional(next->deadline) : std::nullopt;
}

void TimerQueue::run_due(MonotonicTime now) {
  POLLARD_ASSERT(!running_, "timers aren't run by a timer's task");
  struct Run {  // ends also when a task throws
    TimerQueue& queue;
    ~Run() { queue.end_run(); }
  } const run{*this};
  now_ = now;
  running_ = true;
  update_soon();
  for (TimerRecord* due = first(); due != nullptr && due->deadline <= now; due = first()) {
    take_out(*due);
    run_task(*due);
  }
}

// What the tasks have set for a time that had passed is sorted in now, by its own deadline and
// order: whatever is set for the same deadline after the run comes behind it.
void TimerQueue::end_run() {
  POLLARD_ASSERT(crowd_.empty(), "no timer may be on its way when a run ends");
  running_ = false;
  update_soon();
  while (!meanwhile_.alone()) {
    TimerRecord& record = static_cast<TimerRecord&>(*meanwhile_.next);
    record.unlink();
    place(record, record.deadline);
  }
  if (burst_is_over()) give_back();
}

void TimerQueue::run_task(TimerRecord& record) {
  ++ran_;
  if (record.period == Duration::zero()) {
    record.place = TimerRecord::Place::kEnded;
    --size_;
    if (record.handle != nullptr) std::exchange(record.handle, nullptr)->queue_ = nullptr;
  } else {
    record.place = TimerRecord::Place::kOut;
    record.placed_at = MonotonicTime::min();  // so that no restart tries to move it
    record.deadline = next_turn(record.deadline, record.period, now_);
  }
  struct Ran {  // also when the task throws: a periodic timer goes on
    TimerQueue& queue;
    TimerRecord& record;
    ~Ran() {
      if (record.place == TimerRecord::Place::kEnded) {
        queue.recycle(record);
      } else {
        queue.enqueue(record, record.deadline);
      }
    }
  } const ran{*this, record};
  record.task();
}

}  // namespace pollard
