#include "pollard/platform/kqueue.h"

#include <fcntl.h>

#include "pollard/platform/system_calls.h"
#include "pollard/platform/time.h"

namespace pollard::platform {

Result kqueue_create() {
  const Result queue(system_calls().kqueue());
  // Few systems have kqueue1(O_CLOEXEC); a program that forks and executes from another thread at
  // this very moment leaks a kqueue descriptor that is of no use to it.
  if (queue.ok()) system_calls().fcntl(queue.descriptor(), F_SETFD, FD_CLOEXEC);
  return queue;
}

Result kqueue_wait(int queue, std::span<const KernelEvent> changes, std::span<KernelEvent> events,
                   Duration timeout) {
  const timespec limit = to_timespec(timeout);
  return Result(system_calls().kevent(queue, changes.data(), static_cast<int>(changes.size()),
                                      events.data(), static_cast<int>(events.size()),
                                      timeout == kNoTimeout ? nullptr : &limit));
}

}  // namespace pollard::platform
