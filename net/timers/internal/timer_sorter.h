// Sorts timers, few or a hundred thousand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pollard/net/timers/internal/timer_record.h"

namespace pollard {

/// One thread. Its memory stays for the next time; without any it sorts all the same.
class TimerSorter {
 public:
  /// By deadline, and those of one deadline by TimerRecord::order. Leaves the capacity of `crowd`.
  void sort(std::vector<TimerEntry>& crowd);

  /// Frees its memory.
  void give_back() {
    std::vector<TimerEntry>().swap(other_);
    std::vector<std::uint32_t>().swap(places_);
  }

 private:
  void sort_by_digits(std::vector<TimerEntry>& crowd);
  void distribute(std::vector<TimerEntry>& crowd, MonotonicTime earliest, unsigned shift);
  [[nodiscard]] bool make_room(const std::vector<TimerEntry>& crowd, unsigned digit_width);

  std::vector<TimerEntry> other_;      // where those go that are distributed by a digit
  std::vector<std::uint32_t> places_;  // there, of the next with that digit
};

}  // namespace pollard
