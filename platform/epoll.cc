#include "pollard/platform/epoll.h"

#include <cstddef>

#include "pollard/platform/features.h"
#include "pollard/platform/system_calls.h"
#include "pollard/platform/time.h"

namespace pollard::platform {

#if POLLARD_HAS_EPOLL
static_assert(sizeof(EpollEvent) == sizeof(::epoll_event));
static_assert(alignof(EpollEvent) == alignof(::epoll_event));
static_assert(offsetof(EpollEvent, data) == offsetof(::epoll_event, data));
static_assert(kEpollIn == EPOLLIN && kEpollUrgent == EPOLLPRI && kEpollOut == EPOLLOUT);
static_assert(kEpollError == EPOLLERR && kEpollHangup == EPOLLHUP && kEpollPeerEnd == EPOLLRDHUP);
static_assert(kEpollAdd == EPOLL_CTL_ADD && kEpollRemove == EPOLL_CTL_DEL);
static_assert(kEpollModify == EPOLL_CTL_MOD);
#endif

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

Result epoll_wait_nanoseconds(int epoll, std::span<EpollEvent> events, Duration timeout) {
  const timespec limit = to_timespec(timeout);
  return Result(system_calls().epoll_pwait2(epoll, events.data(), static_cast<int>(events.size()),
                                            timeout < Duration::zero() ? nullptr : &limit));
}

}  // namespace pollard::platform
