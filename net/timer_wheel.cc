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

bool TimerWheel::holds_few(const TimerLink& bucket) {
  unsigned count = 0;
  for (const TimerLink* link = bucket.next; link != &bucket; link = link->next) {
    if (++count > kFew) return false;
  }
  return true;
}

}  // namespace pollard
