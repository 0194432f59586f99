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
#include <vector>

#include "pollard/net/timers/internal/timer_record.h"

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

  /// Empties the first bucket that holds any. If they are not many, they come to `crowd`; otherwise
  /// those do that are due at `now` or of the bucket's first tick, and the others go to narrower
  /// buckets, as do those that were put off. There is room in `crowd` for all.
  void open_first(MonotonicTime now, std::vector<TimerEntry>& crowd);

 private:
  static constexpr unsigned kTickBits = 10;
  static constexpr unsigned kDigitBits = 6;
  static constexpr unsigned kSlots = 1U << kDigitBits;
  static constexpr unsigned kLevels = (63 - kTickBits + kDigitBits - 1) / kDigitBits;
  // Sorting them is less than another round through buckets.
  static constexpr std::size_t kFew = 128;

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
  [[nodiscard]] static unsigned digit(Tick tick, unsigned level) {
    return static_cast<unsigned>(tick >> (level * kDigitBits)) % kSlots;
  }
  [[nodiscard]] static MonotonicTime time_of(Tick tick) {
    return MonotonicTime(Duration(tick << kTickBits));
  }
  [[nodiscard]] std::optional<Place> first();
  [[nodiscard]] Tick beginning_of(Place place) const;
  [[nodiscard]] static bool holds_few(const TimerLink& bucket);
  void open(Place place, MonotonicTime now, std::vector<TimerEntry>& crowd);

  Tick time_ = 0;
  MonotonicTime begin_ = MonotonicTime::max();
  std::uint32_t levels_ = 0;                    // those that may hold any
  std::array<std::uint64_t, kLevels> slots_{};  // of each level, likewise
  std::array<TimerLink, std::size_t{kLevels} * kSlots> buckets_;
};

}  // namespace pollard
