// Allocations of a poller, counted or made to fail, without those of the simulated kernel.
#pragma once

#include <cstdint>

#include "pollard/platform/system_calls.h"
#include "pollard/tests/support/short_memory.h"

namespace pollard::testing {

/// While it lives, what the kernel allocates within a call (the simulated one does) is neither
/// counted nor made to fail: the calls of pollers, and those of pipes and clocks. One at a time;
/// above the kernel in force, below the pollers that are made of it.
class ExemptKernel {
 public:
  ExemptKernel();
  ~ExemptKernel() = default;
  ExemptKernel(const ExemptKernel&) = delete;
  ExemptKernel& operator=(const ExemptKernel&) = delete;

 private:
  platform::SystemCalls table_;
  platform::ScopedSystemCalls installed_;
};

/// Counts the allocations that `action` makes in this thread.
template <class Action>
std::uint64_t allocations_of(Action action) {
  constexpr std::uint64_t kNever = std::uint64_t{1} << 40U;
  exchange_allocations_left(kNever);
  action();
  return kNever - exchange_allocations_left(0);
}

}  // namespace pollard::testing
