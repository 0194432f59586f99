// A small seedable source of random numbers for jitter. std::uniform_int_distribution gives other
// numbers in every standard library; a seed here means the same sequence on every system.
#pragma once

#include <concepts>
#include <cstdint>

namespace pollard {

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
/// Not for secrets. One thread.
class SplitMix64 {
 public:
  /// By which the state goes on with each number: a seed that is so much larger is one ahead.
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15U;

  /// The same seed gives the same sequence on every system.
  explicit constexpr SplitMix64(std::uint64_t seed) : state_(seed) {}

  /// A number in [0, 2^64).
  constexpr std::uint64_t next() {
    std::uint64_t mixed = (state_ += kStep);
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31U);
  }

  /// A number in [0, bound]. The bias of the modulo is below 2^-20 for any bound under 2^44.
  constexpr std::uint64_t up_to(std::uint64_t bound) {
    return bound == UINT64_MAX ? next() : next() % (bound + 1);
  }
  /// The same number, in the type of its bound, for sizes where they have 32 bits.
  template <std::unsigned_integral Number>
  constexpr Number up_to(Number bound) {
    return static_cast<Number>(up_to(std::uint64_t{bound}));
  }

 private:
  std::uint64_t state_;
};

}  // namespace pollard
