// A number that one thread counts and any thread may read: no lock, and no locked instruction
// either.
#pragma once

#include <atomic>
#include <cstdint>

namespace pollard {

/// Starts at zero; wraps after 2^64.
class Counter {
 public:
  /// The counting thread.
  void add(std::uint64_t amount = 1) { value_.store(get() + amount, std::memory_order_relaxed); }
  /// Any thread.
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace pollard
