// What is tried again and again, with one seed after another, may be tried less often where a
// machine is emulated: POLLARD_TEST_EFFORT=25 is a quarter of it. What is tried once stays so.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace pollard::testing {

/// `times`, or the share of it (in per cent) that POLLARD_TEST_EFFORT names; at least 1.
inline std::uint64_t repeated(std::uint64_t times) {
  const char* const share = std::getenv("POLLARD_TEST_EFFORT");
  const int per_cent = share == nullptr ? 100 : std::clamp(std::atoi(share), 1, 100);
  return std::max<std::uint64_t>(1, times * static_cast<std::uint64_t>(per_cent) / 100);
}

}  // namespace pollard::testing
