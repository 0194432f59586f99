#include "pollard/net/timers/internal/timer_wheel.h"

namespace pollard {

// All of a level's buckets come before those of the next, and none has been passed by.
std::optional<TimerWheel::Place> TimerWheel::first() {
  while (levels_ != 0) {
    const auto level = static_cast<unsigned>(std::countr_zero(levels_));
    const Place place{level, static_cast<unsigned>(std::countr_zero(slots_[level]))};
    if (!bucket_at(place).alone()) return place;
    unmark(place);  // all that it held was cancelled
  }
  return std::nullopt;
}

// The wheel's time, with this digit in the place of its own and zeros behind it.
TimerWheel::Tick TimerWheel::beginning_of(Place place) const {
  const unsigned shift = place.level * kDigitBits;
  return ((time_ >> (shift + kDigitBits) << kDigitBits) | static_cast<Tick>(place.slot)) << shift;
}

bool TimerWheel::holds_few(const TimerLink& bucket) {
  std::size_t count = 0;
  for (const TimerLink* link = bucket.next; link != &bucket; link = link->next) {
    if (++count > kFew) return false;
  }
  return true;
}

void TimerWheel::open_first(MonotonicTime now, std::vector<TimerEntry>& crowd) {
  if (const std::optional<Place> place = first()) open(*place, now, crowd);
  const std::optional<Place> next = first();
  begin_ = next.has_value() ? time_of(beginning_of(*next)) : MonotonicTime::max();
}

void TimerWheel::open(Place place, MonotonicTime now, std::vector<TimerEntry>& crowd) {
  TimerLink& bucket = bucket_at(place);
  // Up to which deadline they are handed out.
  const MonotonicTime until = holds_few(bucket) ? MonotonicTime::max() : now;
  time_ = beginning_of(place);
  unmark(place);
  TimerLink* link = bucket.next;
  bucket.next = bucket.previous = &bucket;
  while (link != &bucket) {
    TimerRecord& record = static_cast<TimerRecord&>(*link);
    link = link->next;
    const bool leaves = record.deadline <= until && !record.put_off();
    record.placed_at = record.deadline;
    const Tick tick = tick_of(record.deadline);
    if (leaves || tick == time_) {
      crowd.push_back({record.placed_at, &record});
    } else {
      put_in_bucket(record, tick);
    }
  }
}

}  // namespace pollard
