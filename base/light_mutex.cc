#include "pollard/base/light_mutex.h"

namespace pollard {

// A waiter says so by the state before it sleeps, and keeps saying so when it has the mutex at
// last, for it doesn't know whether others wait as well: at worst somebody is woken for nothing.
void LightMutex::wait_and_lock() {
  std::unique_lock lock(sleep_);
  while (state_.exchange(State::kWaitedFor, std::memory_order_acquire) != State::kFree) {
    freed_.wait(lock);
  }
}

// Who holds sleep_ and found the mutex taken is asleep when we get it, and hears us.
void LightMutex::wake_one() {
  { const std::lock_guard lock(sleep_); }
  freed_.notify_one();
}

}  // namespace pollard
