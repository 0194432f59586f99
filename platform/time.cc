#include "pollard/platform/time.h"

#include <algorithm>
#include <climits>
#include <thread>

#include "pollard/platform/result.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {

MonotonicTime monotonic_now() {
  timespec time{};
  const Result read(system_calls().clock_gettime(CLOCK_MONOTONIC, &time));
  POLLARD_ASSERT(read.ok(), "POSIX systems have a monotonic clock");
  return MonotonicTime(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

void sleep_for(Duration interval) {
  if (interval <= Duration::zero()) return;
  const Result slept(system_calls().poll(nullptr, 0, to_milliseconds_rounded_up(interval)));
  if (!slept.ok() && !slept.interrupted()) std::this_thread::sleep_for(interval);
}

Duration step_of_timeouts(Duration own) {
  return std::max(own, Duration(system_calls().wait_tick()));
}

timespec to_timespec(Duration interval) {
  interval = std::clamp(interval, Duration::zero(), kLongestTimeout);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(interval);
  timespec result{};
  result.tv_sec = static_cast<decltype(result.tv_sec)>(seconds.count());
  result.tv_nsec = static_cast<decltype(result.tv_nsec)>((interval - seconds).count());
  return result;
}

int to_milliseconds_rounded_up(Duration interval) {
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(
      std::clamp(interval, Duration::zero(), kLongestTimeout));
  return static_cast<int>(std::min<std::chrono::milliseconds::rep>(whole.count(), INT_MAX));
}

}  // namespace pollard::platform
