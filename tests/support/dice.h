// Random numbers of one seed for whoever asks, in whatever thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <mutex>

#include "pollard/base/random.h"

namespace pollard::testing {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  /// In [0, bound].
  std::uint64_t up_to(std::uint64_t bound) {
    const std::lock_guard lock(mutex_);
    return random_.up_to(bound);
  }
  template <std::unsigned_integral Number>
  Number up_to(Number bound) {
    return static_cast<Number>(up_to(std::uint64_t{bound}));
  }
  bool one_in(std::uint64_t times) { return up_to(times - 1) == 0; }

 private:
  std::mutex mutex_;
  SplitMix64 random_;
};

}  // namespace pollard::testing
