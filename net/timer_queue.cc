#include "pollard/net/timer_queue.h"

#include <algorithm>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {
namespace {

constexpr std::size_t kArity = 4;

// The next multiple of the period behind `now`: a loop that was held up doesn't catch up in a
// burst.
MonotonicTime next_turn(MonotonicTime deadline, Duration period, MonotonicTime now) {
  const MonotonicTime next = saturating_add(deadline, period);
  if (next > now) return next;
  return saturating_add(next, ((now - next) / period + 1) * period);
}

}  // namespace

Timer::Timer(TimerQueue& queue, SlotKey key) : queue_(&queue), key_(key) {
  queue.slots_.find(key)->handle = this;
}

Timer::Timer(Timer&& other) noexcept { *this = std::move(other); }

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this == &other) return *this;
  cancel();
  queue_ = std::exchange(other.queue_, nullptr);
  key_ = other.key_;
  if (queue_ != nullptr) queue_->slots_.find(key_)->handle = this;
  return *this;
}

void Timer::cancel() {
  if (queue_ != nullptr) std::exchange(queue_, nullptr)->cancel(key_);
}

void Timer::restart_at(MonotonicTime deadline) {
  if (queue_ != nullptr) queue_->restart(key_, deadline);
}

void Timer::detach() {
  if (queue_ != nullptr) std::exchange(queue_, nullptr)->slots_.find(key_)->handle = nullptr;
}

TimerQueue::~TimerQueue() {
  slots_.for_each([](SlotKey, Slot& slot) {
    if (slot.handle != nullptr) slot.handle->queue_ = nullptr;
  });
}

Timer TimerQueue::add(MonotonicTime deadline, Duration period, Task task) {
  POLLARD_ASSERT(period >= Duration::zero(), "a period is not negative");
  const SlotKey key = slots_.insert(
      Slot{.task = std::move(task), .deadline = std::max(deadline, earliest_), .period = period});
  enqueue(key, *slots_.find(key));
  return {*this, key};
}

void TimerQueue::enqueue(SlotKey key, Slot& slot) {
  slot.entry = ++sequence_;
  slot.entry_deadline = slot.deadline;
  heap_.push_back({slot.deadline, slot.entry, key});
  sift_up(heap_.size() - 1);
}

void TimerQueue::cancel(SlotKey key) {
  ++void_entries_;
  slots_.erase(key);
  sweep_if_worthwhile();
}

void TimerQueue::restart(SlotKey key, MonotonicTime deadline) {
  Slot& slot = *slots_.find(key);
  slot.deadline = std::max(deadline, earliest_);
  if (slot.deadline >= slot.entry_deadline) return;  // its entry comes up early and is put back
  ++void_entries_;
  enqueue(key, slot);
  sweep_if_worthwhile();
}

TimerQueue::Slot* TimerQueue::current(const Entry& entry) {
  Slot* slot = slots_.find(entry.key);
  return slot != nullptr && slot->entry == entry.sequence ? slot : nullptr;
}

// Brings an entry that means what it says to the top; false when there are none.
bool TimerQueue::settle_top() {
  while (!heap_.empty()) {
    Slot* slot = current(heap_.front());
    if (slot != nullptr && slot->deadline == heap_.front().deadline) return true;
    if (slot == nullptr) {
      --void_entries_;
      pop();
    } else {  // put off meanwhile
      heap_.front().deadline = slot->entry_deadline = slot->deadline;
      sift_down(0);
    }
  }
  return false;
}

std::optional<MonotonicTime> TimerQueue::next_deadline() {
  return settle_top() ? std::optional(heap_.front().deadline) : std::nullopt;
}

void TimerQueue::run_due(MonotonicTime now) {
  const std::uint64_t newest = sequence_;
  // What is set meanwhile stands behind all that is due, however long its time has passed.
  earliest_ = now;
  while (settle_top() && heap_.front().deadline <= now && heap_.front().sequence <= newest) {
    const SlotKey key = heap_.front().key;
    pop();
    ++ran_;
    run(key, now);
  }
  earliest_ = MonotonicTime{};
}

// The task is moved out while it runs: it may cancel itself, or set timers that move the slots.
void TimerQueue::run(SlotKey key, MonotonicTime now) {
  Slot& slot = *slots_.find(key);
  Task task = std::move(slot.task);
  if (slot.period == Duration::zero()) {
    forget(key);
    task();
    return;
  }
  slot.deadline = next_turn(slot.deadline, slot.period, now);
  enqueue(key, slot);
  struct PutBack {  // also when the task throws: a periodic timer goes on
    TimerQueue& queue;
    SlotKey key;
    Task& task;
    ~PutBack() {
      if (Slot* slot = queue.slots_.find(key)) slot->task = std::move(task);
    }
  } const put_back{*this, key, task};
  task();
}

void TimerQueue::forget(SlotKey key) {
  Slot& slot = *slots_.find(key);
  if (slot.handle != nullptr) slot.handle->queue_ = nullptr;
  slots_.erase(key);
}

void TimerQueue::sweep_if_worthwhile() {
  constexpr std::size_t kNotWorthwhile = 64;
  if (void_entries_ < kNotWorthwhile || void_entries_ < heap_.size() / 2) return;
  std::erase_if(heap_, [this](const Entry& entry) { return current(entry) == nullptr; });
  void_entries_ = 0;
  for (std::size_t at = heap_.size() / kArity + 1; at-- > 0;) sift_down(at);
}

void TimerQueue::sift_up(std::size_t at) {
  const Entry entry = heap_[at];
  while (at > 0) {
    const std::size_t parent = (at - 1) / kArity;
    if (!entry.before(heap_[parent])) break;
    heap_[at] = heap_[parent];
    at = parent;
  }
  heap_[at] = entry;
}

void TimerQueue::sift_down(std::size_t at) {
  if (at >= heap_.size()) return;
  const Entry entry = heap_[at];
  for (;;) {
    const std::size_t first = at * kArity + 1;
    if (first >= heap_.size()) break;
    const std::size_t end = std::min(first + kArity, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < end; ++child) {
      if (heap_[child].before(heap_[least])) least = child;
    }
    if (!heap_[least].before(entry)) break;
    heap_[at] = heap_[least];
    at = least;
  }
  heap_[at] = entry;
}

void TimerQueue::pop() {
  heap_.front() = heap_.back();
  heap_.pop_back();
  sift_down(0);
}

}  // namespace pollard
