#include "pollard/net/timer_wheel.h"

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

std::size_t TimerWheel::size_of(const TimerLink& bucket) {
  std::size_t count = 0;
  for (const TimerLink* link = bucket.next; link != &bucket; link = link->next) ++count;
  return count;
}

void TimerWheel::open_first(MonotonicTime now, std::vector<TimerEntry>& crowd) {
  if (const std::optional<Place> place = first()) open(*place, now, crowd);
  const std::optional<Place> next = first();
  begin_ = next.has_value() ? time_of(beginning_of(*next)) : MonotonicTime::max();
}

void TimerWheel::open(Place place, MonotonicTime now, std::vector<TimerEntry>& crowd) {
  TimerLink& bucket = bucket_at(place);
  const std::size_t count = size_of(bucket);
  crowd.reserve(count);
  time_ = beginning_of(place);
  const MonotonicTime until = count <= kFew ? MonotonicTime::max() : now;
  unmark(place);
  TimerLink* link = bucket.next;
  bucket.next = bucket.previous = &bucket;
  while (link != &bucket) {
    TimerRecord& record = static_cast<TimerRecord&>(*link);
    link = link->next;
    const bool taken = record.deadline <= until && !record.put_off();
    record.placed_at = record.deadline;
    const Tick tick = tick_of(record.deadline);
    if (taken || tick == time_) {
      crowd.push_back({record.placed_at, &record});
    } else {
      put_in_bucket(record, tick);
    }
  }
}

}  // namespace pollard
