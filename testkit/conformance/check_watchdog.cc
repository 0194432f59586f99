#include "pollard/testkit/conformance/check_watchdog.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace pollard::conformance {

CheckWatchdog::CheckWatchdog(std::chrono::seconds limit)
    : limit_(limit), thread_([this] { watch(); }) {}

CheckWatchdog::~CheckWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckWatchdog::begin(std::string what) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
  deadline_ = Clock::now() + limit_;
  changed_.notify_all();
}

void CheckWatchdog::end() {
  const std::lock_guard lock(mutex_);
  deadline_.reset();
}

void CheckWatchdog::watch() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    if (!deadline_.has_value()) {
      changed_.wait(lock);
    } else if (Clock::now() < *deadline_) {
      changed_.wait_until(lock, Clock::time_point(*deadline_));
    } else {
      bark();
    }
  }
}

void CheckWatchdog::bark() const {
  std::fprintf(stderr, "FAILED: %s: it still runs after %lld seconds\n", what_.c_str(),
               static_cast<long long>(limit_.count()));
  std::_Exit(EXIT_FAILURE);
}

}  // namespace pollard::conformance
