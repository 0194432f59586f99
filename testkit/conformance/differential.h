// Two pollers in lock-step: both watch the same descriptors, to which a random script does the
// same things, and each wait of the one is compared with that of the other. What is compared is
// what is guaranteed: with levels, readable and writable, exactly; with edges, that neither misses
// one that is due or invents one, and that the end of a stream is told with the edge.
#pragma once

#include <cstdint>

#include "pollard/testkit/conformance/conformance.h"

namespace pollard::conformance {

/// What is done to both.
struct Script {
  Trigger trigger = Trigger::kLevel;  ///< of all registrations
  /// A script is another one for each seed, and the same for the same. So many seeds are played
  /// from this one on.
  std::uint64_t seed = 1;
  int seeds = 5;    ///< scripts
  int steps = 400;  ///< of each
};

/// The first difference, with the seed and the step that show it; or that one of them doesn't
/// declare the edges that were asked for.
[[nodiscard]] Finding compare(const Subject& first, const Subject& second, const Script& script);

}  // namespace pollard::conformance
