// The calls of epoll, on every system. Where there is no epoll they answer ENOSYS.
#pragma once

#include <cstdint>
#include <span>

#include "pollard/base/clock.h"
#include "pollard/platform/epoll_event.h"
#include "pollard/platform/result.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {

/// epoll_create1(2) with EPOLL_CLOEXEC.
Result epoll_create();
/// epoll_ctl(2); `data` is handed back with each event of the descriptor.
Result epoll_control(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t data);
/// epoll_wait(2): whole milliseconds; negative blocks. Inline, for every turn of a loop makes it.
inline Result epoll_wait_milliseconds(int epoll, std::span<EpollEvent> events, int milliseconds) {
  return Result(system_calls().epoll_wait(epoll, events.data(), static_cast<int>(events.size()),
                                          milliseconds));
}
/// epoll_pwait2(2), Linux 5.11: nanoseconds; negative blocks. ENOSYS or EPERM where it is missing.
Result epoll_wait_nanoseconds(int epoll, std::span<EpollEvent> events, Duration timeout);

}  // namespace pollard::platform
