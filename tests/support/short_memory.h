// Memory that is short at one moment: the operators new of a test program, which can be told to
// fail.
#pragma once

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

/// Makes the `left`th allocation of this thread from now on fail; zero: none. Returns what was
/// left, for a part of a test that must not fail itself and restores it afterwards.
std::uint64_t exchange_allocations_left(std::uint64_t left) noexcept;

}  // namespace pollard::testing
