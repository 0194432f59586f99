// How long to wait before the next attempt: exponential, bounded, and jittered, so that a thousand
// clients of a server that restarts don't all come back in the same millisecond.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "pollard/base/clock.h"
#include "pollard/base/random.h"

namespace pollard {

/// How long the first delay may be, and the longest.
struct BackoffOptions {
  Duration initial = std::chrono::milliseconds(500);  ///< the first ceiling; negative: zero
  Duration maximum = std::chrono::seconds(30);  ///< the last, also of `initial`; negative: zero
};

/// The ceiling doubles from `initial` to `maximum`; each delay is drawn evenly from the upper half
/// of its ceiling, so a delay is never shorter than half of what the schedule says.
class Backoff {
 public:
  /// The same seed gives the same delays on every system. One thread.
  Backoff(BackoffOptions options, std::uint64_t seed)
      : maximum_(std::max(options.maximum, Duration::zero())),
        initial_(std::clamp(options.initial, Duration::zero(), maximum_)),
        ceiling_(initial_),
        random_(seed) {}

  /// The next delay of the schedule.
  [[nodiscard]] Duration next() {
    const Duration ceiling = ceiling_;
    ceiling_ = ceiling > maximum_ / 2 ? maximum_ : ceiling * 2;
    const Duration half = ceiling / 2;
    return half + Duration(random_.up_to(static_cast<std::uint64_t>((ceiling - half).count())));
  }

  /// Begins again at `initial`: for after a success that lasted.
  void reset() { ceiling_ = initial_; }

 private:
  Duration maximum_;
  Duration initial_;
  Duration ceiling_;
  SplitMix64 random_;
};

}  // namespace pollard
