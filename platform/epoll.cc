#include "pollard/platform/epoll.h"

#include "pollard/platform/system_calls.h"
#include "pollard/platform/time.h"

namespace pollard::platform {

namespace {
constexpr int kCloseOnExec = 02000000;  // EPOLL_CLOEXEC, part of Linux's ABI
}

Result epoll_create() { return Result(system_calls().epoll_create1(kCloseOnExec)); }

Result epoll_control(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t data) {
  EpollEvent event{};
  event.events = events;
  event.data.u64 = data;
  return Result(system_calls().epoll_ctl(epoll, operation, fd, &event));
}

Result epoll_wait_milliseconds(int epoll, std::span<EpollEvent> events, int milliseconds) {
  return Result(system_calls().epoll_wait(epoll, events.data(), static_cast<int>(events.size()),
                                          milliseconds));
}

Result epoll_wait_nanoseconds(int epoll, std::span<EpollEvent> events, Duration timeout) {
  const timespec limit = to_timespec(timeout);
  return Result(system_calls().epoll_pwait2(epoll, events.data(), static_cast<int>(events.size()),
                                            timeout < Duration::zero() ? nullptr : &limit));
}

}  // namespace pollard::platform
