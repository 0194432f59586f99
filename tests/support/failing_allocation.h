// A scene of a test that is played once for each of its allocations, which fails.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>

#include "pollard/tests/support/short_memory.h"

namespace pollard::testing {

/// `scene(which)` is played with each allocation failing, until there are no more of them; it
/// answers whether there was one.
template <class Scene>
void with_each_allocation_failing(Scene scene) {
  constexpr std::uint64_t kMany = 400;
  std::uint64_t which = 1;
  while (which < kMany && scene(which)) ++which;
  BOOST_TEST(which > 1, "nothing was allocated");
  BOOST_TEST(which < kMany, "allocations without end");
}

}  // namespace pollard::testing
