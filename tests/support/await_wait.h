// How a test knows that a loop in another thread is asleep.
#pragma once

#include <cstddef>
#include <thread>

#include "pollard/testkit/faults.h"

namespace pollard::testing {

/// Until a wait has begun that `before` had not seen: then the loop is asleep, or about to be.
inline void await_wait(const Faults& faults, std::size_t before) {
  while (faults.count(Call::kWait) == before) std::this_thread::yield();
}

}  // namespace pollard::testing
