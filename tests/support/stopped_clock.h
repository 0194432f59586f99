// A clock that goes when it is told to: deadlines of hours are tested at once, and nothing happens
// because a machine is slow.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>

#include "pollard/base/clock.h"
#include "pollard/platform/time.h"
#include "pollard/testkit/faults.h"

namespace pollard::testing {

/// In force until `faults` ends. Any thread. A loop that sleeps sleeps in real time: let it turn.
class StoppedClock {
 public:
  explicit StoppedClock(Faults& faults) {
    faults.replace<&platform::SystemCalls::clock_gettime>(
        [state = state_](clockid_t, timespec* time) {
          const std::lock_guard lock(state->mutex);
          *time = platform::to_timespec(state->now);
          return 0;
        });
  }

  void advance(Duration by) {
    const std::lock_guard lock(state_->mutex);
    state_->now += by;
  }

 private:
  struct State {
    std::mutex mutex;
    Duration now = std::chrono::hours(1);
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace pollard::testing
