#include "pollard/platform/process.h"

#include <pthread.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): secure_getenv is not ISO C
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "pollard/platform/system_calls.h"

namespace pollard::platform {

namespace detail {
constinit std::atomic<std::uint32_t> forks{0};
}

namespace {

void count_fork() { detail::forks.fetch_add(1, std::memory_order_relaxed); }

// Before main, so that no fork can come first.
[[maybe_unused]] const int kInstalled = ::pthread_atfork(nullptr, nullptr, count_fork);

}  // namespace

std::string environment(const char* name) {
#if defined(__linux__)
  const char* value = ::secure_getenv(name);  // glibc and musl
#else
  const char* value = ::issetugid() != 0 ? nullptr : ::getenv(name);
#endif
  return value == nullptr ? std::string() : std::string(value);
}

std::uint64_t raise_descriptor_limit(std::uint64_t wanted) {
  // As unsigned numbers: FreeBSD's rlim_t is signed, and the largest wish would be -1 there.
  rlimit limit{};
  if (system_calls().getrlimit(RLIMIT_NOFILE, &limit) < 0) return 0;
  auto works = static_cast<std::uint64_t>(limit.rlim_cur);
  std::uint64_t target = std::min(static_cast<std::uint64_t>(limit.rlim_max), wanted);
  const auto may_have = [&limit](std::uint64_t descriptors) {
    limit.rlim_cur = static_cast<rlim_t>(descriptors);
    return system_calls().setrlimit(RLIMIT_NOFILE, &limit) >= 0;
  };
  if (target <= works) return works;
  if (!may_have(target)) {
    // The kernel's own limit is lower than the hard limit says (macOS: kern.maxfilesperproc below
    // an unlimited one). It is found by halving, in at most 64 steps.
    while (target - works > 1) {
      const std::uint64_t middle = works + (target - works) / 2;
      (may_have(middle) ? works : target) = middle;
    }
  }
  // Some kernels take less than they were asked for without a failure.
  if (system_calls().getrlimit(RLIMIT_NOFILE, &limit) < 0) return works;
  return static_cast<std::uint64_t>(limit.rlim_cur);
}

}  // namespace pollard::platform
