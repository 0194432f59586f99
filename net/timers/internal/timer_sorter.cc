#include "pollard/net/timers/internal/timer_sorter.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <new>
#include <numeric>

namespace pollard {
namespace {

// For so many, counting digits takes fewer steps than comparing, if the digits are not too many.
constexpr std::size_t kMany = 512;
constexpr unsigned kMostDigits = 4;
constexpr unsigned kWidestDigit = 14;  // bits

unsigned width_of(std::uint64_t number) { return static_cast<unsigned>(std::bit_width(number)); }

bool before(const TimerEntry& one, const TimerEntry& other) { return one.before(other); }

}  // namespace

void TimerSorter::sort(std::vector<TimerEntry>& crowd) {
  // As timers of one deadline are, mostly; but who was put off to it stands behind younger ones.
  if (std::ranges::is_sorted(crowd, before)) return;
  if (crowd.size() >= kMany) {
    sort_by_digits(crowd);
    if (std::ranges::is_sorted(crowd, before)) return;
  }
  std::ranges::sort(crowd, before);
}

// Or not, where that doesn't pay, or there is no memory for it.
void TimerSorter::sort_by_digits(std::vector<TimerEntry>& crowd) {
  MonotonicTime earliest = MonotonicTime::max();
  MonotonicTime latest = MonotonicTime::min();
  for (const TimerEntry& entry : crowd) {
    earliest = std::min(earliest, entry.deadline);
    latest = std::max(latest, entry.deadline);
  }
  const unsigned width = width_of(static_cast<std::uint64_t>((latest - earliest).count()));
  if (width == 0) return;
  // A digit has no more values than there are timers.
  const unsigned widest = std::min(width_of(crowd.size()) - 1, kWidestDigit);
  const unsigned digits = (width + widest - 1) / widest;
  const unsigned digit_width = (width + digits - 1) / digits;
  if (digits > kMostDigits || !make_room(crowd, digit_width)) return;
  for (unsigned digit = 0; digit < digits; ++digit) {  // the lowest first
    distribute(crowd, earliest, digit * digit_width);
  }
}

// By one digit of their distance from `earliest`; those that have the same stay in their order.
void TimerSorter::distribute(std::vector<TimerEntry>& crowd, MonotonicTime earliest,
                             unsigned shift) {
  const auto digit_of = [earliest, shift, mask = places_.size() - 1](const TimerEntry& entry) {
    const auto distance = static_cast<std::uint64_t>((entry.deadline - earliest).count());
    return static_cast<std::size_t>(distance >> shift) & mask;  // the mask fits where memory does
  };
  std::ranges::fill(places_, 0U);
  for (const TimerEntry& entry : crowd) ++places_[digit_of(entry)];
  std::exclusive_scan(places_.begin(), places_.end(), places_.begin(), 0U);
  for (const TimerEntry& entry : crowd) other_[places_[digit_of(entry)]++] = entry;
  crowd.swap(other_);
}

// The two are exchanged, so they have the same room.
bool TimerSorter::make_room(const std::vector<TimerEntry>& crowd, unsigned digit_width) try {
  places_.resize(std::size_t{1} << digit_width);
  other_.reserve(crowd.capacity());
  other_.resize(crowd.size());
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

}  // namespace pollard
