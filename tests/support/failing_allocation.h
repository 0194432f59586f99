// Memory that is short at one moment: the operators new of a test program, which can be told to
// fail.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>

namespace pollard::testing {

/// While it lives, one allocation of this thread throws std::bad_alloc: the `which`th, counted from
/// 1. One at a time.
class FailingAllocation {
 public:
  explicit FailingAllocation(std::uint64_t which);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;

  /// Whether there were so many.
  [[nodiscard]] bool has_failed() const;
};

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
