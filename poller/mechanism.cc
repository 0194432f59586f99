#include "pollard/poller/mechanism.h"

#include "pollard/platform/poll.h"
#include "pollard/platform/time.h"

namespace pollard {

MonotonicTime monotonic_now() { return platform::monotonic_now(); }

platform::Result ask_readiness(int fd, Interest interest, DescriptorState& state) {
  int events = 0;
  if (wants_read(interest)) events |= platform::kPollIn;
  if (wants_write(interest)) events |= platform::kPollOut;
  platform::PollRecord record{.fd = fd, .events = static_cast<short>(events), .revents = 0};
  const platform::Result asked = platform::poll_milliseconds({&record, 1}, 0);
  if (!asked.ok()) return asked;
  const auto reported = [&record](int event) { return (record.revents & event) != 0; };
  state.readable = reported(platform::kPollIn);
  state.writable = reported(platform::kPollOut);
  state.hangup = reported(platform::kPollHangup);
  state.error = reported(platform::kPollError);
  state.closed = reported(platform::kPollInvalid);
  return asked;
}

platform::Result sleep_unless_interrupted(Duration interval) {
  return platform::poll_milliseconds({}, platform::to_milliseconds_rounded_up(interval));
}

}  // namespace pollard
