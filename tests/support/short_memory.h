// Memory that is short at one moment, and memory that is kept for ever: the operators new and
// delete of a test program, which fail on demand and count large blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pollard::testing {

/// From so many bytes on a block counts in large_blocks_in_use().
inline constexpr std::size_t kLargeBlock = 96 * std::size_t{1024};

/// Returns how many bytes of the program's heap are in large blocks. Any thread.
[[nodiscard]] std::size_t large_blocks_in_use();

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
