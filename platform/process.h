// What a library must know of the process it lives in: that it forked, and what its environment
// says.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace pollard::platform {

namespace detail {
extern std::atomic<std::uint32_t> forks;
}

/// A number that is another one in each forked child (POSIX pthread_atfork; a raw clone() is not
/// seen). One load; any thread.
[[nodiscard]] inline std::uint32_t fork_generation() {
  return detail::forks.load(std::memory_order_relaxed);
}

/// The environment variable `name`; empty when it is unset, or when the process runs with more
/// rights than its user has (set-id or file capabilities), for then the environment is an
/// attacker's.
[[nodiscard]] std::string environment(const char* name);

/// Raises the limit of open descriptors (RLIMIT_NOFILE) as far as this process may, at most to
/// `wanted`, and never lowers it; returns the limit that is in force afterwards, or 0 if it is
/// unknown. For programs; the library never calls it.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted);

}  // namespace pollard::platform
