#include "pollard/platform/process.h"

#include <pthread.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): secure_getenv is not ISO C
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

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
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const auto target = std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(wanted));
  if (limit.rlim_cur < target) {
    limit.rlim_cur = target;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return static_cast<std::uint64_t>(limit.rlim_cur);
}

}  // namespace pollard::platform
