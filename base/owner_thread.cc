#include "pollard/base/owner_thread.h"

#include <atomic>

namespace pollard {

// The C++ standard destroys the thread-local objects of the thread that calls std::exit() before
// any object of static storage duration.
struct OwnerThread::EndMarker {
  ~EndMarker() { thread_is_ending = true; }
};

OwnerThread::OwnerThread() noexcept {
  if (current_number == 0) {
    static constinit std::atomic<std::uint64_t> last{0};
    current_number = last.fetch_add(1, std::memory_order_relaxed) + 1;
    static const thread_local EndMarker marker;
    static_cast<void>(marker);
  }
  number_ = current_number;
}

}  // namespace pollard
