#include "pollard/platform/poll.h"

#include "pollard/platform/system_calls.h"
#include "pollard/platform/time.h"

namespace pollard::platform {

Result poll_milliseconds(std::span<PollRecord> records, int milliseconds) {
  return Result(system_calls().poll(records.data(), records.size(), milliseconds));
}

Result poll_nanoseconds(std::span<PollRecord> records, Duration timeout) {
  const timespec limit = to_timespec(timeout);
  return Result(system_calls().ppoll(records.data(), records.size(),
                                     timeout < Duration::zero() ? nullptr : &limit));
}

}  // namespace pollard::platform
