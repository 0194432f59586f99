// Timers that have some time yet, nearly unsorted: setting and cancelling one is a handful of
// stores, however many there are. Most timers are limits that never come true, and so are never
// sorted at all.
//
// The wheel has a time of its own, in ticks of about a microsecond. A timer lies in a bucket by the
// highest digit, to the base of 64, in which its tick differs from that time, so those that are far
// off share wide buckets. When the first bucket's turn has come the wheel's time moves to where it
// begins, and what lay in it is handed out, or goes to narrower buckets; that happens to a timer
// once for each digit at the most.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "pollard/net/timer_record.h"

namespace pollard {

/// One thread. A record is in one wheel at most.
class TimerWheel {
 public:
  /// The wheel's unit: 1,024 nanoseconds.
  using Tick = std::int64_t;
  /// The tick in which `time` lies.
  [[nodiscard]] static Tick tick_of(MonotonicTime time) {
    return time.time_since_epoch().count() >> kTickBits;  // rounded down, also before zero
  }

  /// What it takes lies after this.
  [[nodiscard]] Tick time() const { return time_; }
  /// Only an empty wheel is set back.
  void set_time(Tick time) { time_ = time; }

  /// `tick` is that of `record.placed_at`.
  void insert(TimerRecord& record, Tick tick) {
    put_in_bucket(record, tick);
    begin_ = std::min(begin_, record.placed_at);
  }

  /// Removing a timer is unlinking it, so that this may say false of an empty wheel.
  [[nodiscard]] bool empty() const { return levels_ == 0; }
  /// No timer in it is before this; far away when there is none.
  [[nodiscard]] MonotonicTime begin() const { return begin_; }

  /// Empties the first bucket that holds any. `take(record, few)` gets what that was if it was
  /// little, or else those of its first tick.
  template <class Take>
  void open_first(Take take) {
    if (const std::optional<Place> place = first()) open(*place, take);
    const std::optional<Place> next = first();
    begin_ = next.has_value() ? time_of(beginning_of(*next)) : MonotonicTime::max();
  }

 private:
  static constexpr unsigned kTickBits = 10;
  static constexpr unsigned kDigitBits = 6;
  static constexpr unsigned kSlots = 1U << kDigitBits;
  static constexpr unsigned kLevels = (63 - kTickBits + kDigitBits - 1) / kDigitBits;
  static constexpr unsigned kFew = 16;  // sorting them is less than another round through buckets

  struct Place {
    unsigned level;
    unsigned slot;
  };

  [[nodiscard]] TimerLink& bucket_at(Place place) {
    return buckets_[place.level * kSlots + place.slot];
  }
  void mark(Place place) {
    levels_ |= 1U << place.level;
    slots_[place.level] |= std::uint64_t{1} << place.slot;
  }
  void unmark(Place place) {
    slots_[place.level] &= ~(std::uint64_t{1} << place.slot);
    if (slots_[place.level] == 0) levels_ &= ~(1U << place.level);
  }
  void put_in_bucket(TimerRecord& record, Tick tick) {
    // The lowest bit doesn't matter, but that there is one.
    const auto apart = static_cast<std::uint64_t>(tick ^ time_) | 1U;
    const auto highest_bit = static_cast<unsigned>(std::countl_zero(apart)) ^ 63U;
    const unsigned level = highest_bit * 43 / 256;  // a sixth, rounded down
    put_at({level, digit(tick, level)}, record);
  }
  void put_at(Place place, TimerRecord& record) {
    TimerLink& bucket = bucket_at(place);
    if (bucket.alone()) mark(place);
    record.append_to(bucket);
  }
  template <class Take>
  void open(Place place, Take take) {
    TimerLink& bucket = bucket_at(place);
    TimerLink* link = bucket.next;
    const bool few = holds_few(bucket);
    time_ = beginning_of(place);
    unmark(place);
    bucket.next = bucket.previous = &bucket;
    while (link != &bucket) {
      TimerRecord& record = static_cast<TimerRecord&>(*link);
      link = link->next;
      if (few) {
        take(record, few);
      } else {
        put_lower(record, place.level, take);
      }
    }
  }
  template <class Take>
  void put_lower(TimerRecord& record, unsigned level, Take& take) {
    const Tick tick = tick_of(record.deadline);
    const unsigned slot = level == 0 ? 0 : digit(tick, level - 1);
    if (slot != 0 && !record.put_off()) return put_at({level - 1, slot}, record);  // most are
    record.placed_at = record.deadline;
    if (tick == time_) {
      take(record, false);
    } else {
      put_in_bucket(record, tick);
    }
  }
  [[nodiscard]] static unsigned digit(Tick tick, unsigned level) {
    return static_cast<unsigned>(tick >> (level * kDigitBits)) % kSlots;
  }
  [[nodiscard]] static MonotonicTime time_of(Tick tick) {
    return MonotonicTime(Duration(tick << kTickBits));
  }
  [[nodiscard]] std::optional<Place> first();
  [[nodiscard]] Tick beginning_of(Place place) const;
  [[nodiscard]] static bool holds_few(const TimerLink& bucket);

  Tick time_ = 0;
  MonotonicTime begin_ = MonotonicTime::max();
  std::uint32_t levels_ = 0;                    // those that may hold any
  std::array<std::uint64_t, kLevels> slots_{};  // of each level, likewise
  std::array<TimerLink, std::size_t{kLevels} * kSlots> buckets_;
};

}  // namespace pollard
