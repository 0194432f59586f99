// What a backend of your own can be built on: the clock, poll(2) for one descriptor, and a short
// sleep. All of it goes through the library's table of system calls, so such a backend needs no
// header of the system and runs on the simulated kernel, too. examples/custom_poller.cc is one.
#pragma once

#include "pollard/base/clock.h"
#include "pollard/platform/result.h"
#include "pollard/poller/poller.h"

namespace pollard {

/// Reads the clock by which waits and timers are measured (CLOCK_MONOTONIC). A program that has a
/// loop asks EventLoop::now(). Any thread.
[[nodiscard]] MonotonicTime monotonic_now();

/// What a descriptor is at the moment of the question.
struct DescriptorState : Readiness {
  bool closed = false;  ///< no open descriptor has this number
};

/// Asks, by poll(2) and without waiting, what `fd` is ready for among `interest`, and stores the
/// answer in `state`; hang-ups and errors are reported whatever the interest. Fails as poll(2) does
/// and then leaves `state` as it was. Any thread.
platform::Result ask_readiness(int fd, Interest interest, DescriptorState& state);

/// Blocks the calling thread for `interval`, rounded up to milliseconds, or until a signal comes:
/// then it fails with std::errc::interrupted. Any thread.
platform::Result sleep_unless_interrupted(Duration interval);

}  // namespace pollard
