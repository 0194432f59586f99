#pragma once

#include <chrono>
#include <cstdint>

namespace load {

/// The monotonic clock, in nanoseconds.
inline std::int64_t now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace load
