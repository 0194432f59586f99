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
  Duration initial = std::chrono::milliseconds(500);  ///< the first ceiling
  Duration maximum = std::chrono::seconds(30);        ///< the last; also of `initial`
};

/// The ceiling doubles from `initial` to `maximum`; each delay is drawn evenly from the upper half
/// of its ceiling, so a delay is never shorter than half of what the schedule says.
class Backoff {
 public:
  /// The same seed gives the same delays on every system. One thread.
  Backoff(BackoffOptions options, std::uint64_t seed)
      : options_(options), ceiling_(options.initial), random_(seed) {}

  /// The next delay of the schedule.
  [[nodiscard]] Duration next() {
    const Duration ceiling = std::clamp(ceiling_, Duration::zero(), options_.maximum);
    ceiling_ = ceiling > options_.maximum / 2 ? options_.maximum : ceiling * 2;
    const Duration half = ceiling / 2;
    return half + Duration(random_.up_to(static_cast<std::uint64_t>((ceiling - half).count())));
  }

  /// Begins again at `initial`: for after a success that lasted.
  void reset() { ceiling_ = options_.initial; }

 private:
  BackoffOptions options_;
  Duration ceiling_;
  SplitMix64 random_;
};

}  // namespace pollard
