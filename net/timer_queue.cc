#include "pollard/net/timer_queue.h"

#include <algorithm>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {
namespace {

// The next multiple of the period behind `now`: a loop that was held up doesn't catch up in a
// burst.
MonotonicTime next_turn(MonotonicTime deadline, Duration period, MonotonicTime now) {
  const MonotonicTime next = saturating_add(deadline, period);
  if (next > now) return next;
  return saturating_add(next, ((now - next) / period + 1) * period);
}

}  // namespace

void Timer::put_forward() { queue_->put_forward(*record_); }

void Timer::replace(Timer& other) {
  if (this == &other) return;
  TimerQueue& old_queue = *queue_;
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

std::size_t TimerQueue::capacity() const {
  std::size_t total = 0;
  for (const std::vector<TimerRecord>& page : pages_) total += page.size();
  return total;
}

// Each page is as large as all before it. A timer that was set can be moved without more memory.
void TimerQueue::grow() {
  constexpr std::size_t kFirstPage = 16;
  const std::size_t before = capacity();
  const std::size_t more = std::max(kFirstPage, before);
  POLLARD_ASSERT(before + more <= UINT32_MAX, "a loop has fewer than 2^32 timers");
  heap_.reserve(before + more);
  crowd_.reserve(before + more);
  std::vector<TimerRecord>& page = pages_.emplace_back(more);
  for (TimerRecord& record : page) record.next = std::exchange(free_, &record);
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
  record.placed_at = record.deadline = deadline;
  record.order = ++order_;
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

void Timer::cancel(TimerQueue& queue, TimerRecord& record) {
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
}

// What the task holds may set and cancel timers while it ends.
inline void TimerQueue::recycle(TimerRecord& record) {
  record.task = nullptr;
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

// What was set meanwhile stands behind all that was due, however long its time has passed.
void TimerQueue::end_run() {
  running_ = false;
  update_soon();
  while (!meanwhile_.alone()) {
    TimerRecord& record = static_cast<TimerRecord&>(*meanwhile_.next);
    record.unlink();
    enqueue(record, std::max(record.deadline, now_));
  }
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
