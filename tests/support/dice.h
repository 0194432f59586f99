// Random numbers of one seed for whoever asks, in whatever thread. Without any order between these:
// ThreadSanitizer is to see that of the library, and not one that the tests lend it.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>

#include "pollard/base/random.h"

namespace pollard::testing {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  /// In [0, bound].
  std::uint64_t up_to(std::uint64_t bound) {
    return SplitMix64(state_.fetch_add(SplitMix64::kStep, std::memory_order_relaxed)).up_to(bound);
  }
  template <std::unsigned_integral Number>
  Number up_to(Number bound) {
    return static_cast<Number>(up_to(std::uint64_t{bound}));
  }
  bool one_in(std::uint64_t times) { return up_to(times - 1) == 0; }

 private:
  std::atomic<std::uint64_t> state_;
};

}  // namespace pollard::testing
