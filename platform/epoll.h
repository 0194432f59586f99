// epoll's names, on every system. Where there is no epoll the calls answer ENOSYS.
#pragma once

#include <cstdint>
#include <span>

#include "pollard/base/clock.h"
#include "pollard/platform/features.h"
#include "pollard/platform/result.h"

namespace pollard::platform {

#if POLLARD_HAS_EPOLL
using EpollEvent = ::epoll_event;
#else
struct EpollEvent {
  std::uint32_t events;
  union {
    void* ptr;
    int fd;
    std::uint32_t u32;
    std::uint64_t u64;
  } data;
};
#endif

// The values are Linux's own and part of its ABI, so they are spelled once, for every system.
inline constexpr std::uint32_t kEpollIn = 0x001;
inline constexpr std::uint32_t kEpollUrgent = 0x002;
inline constexpr std::uint32_t kEpollOut = 0x004;
inline constexpr std::uint32_t kEpollError = 0x008;
inline constexpr std::uint32_t kEpollHangup = 0x010;
inline constexpr std::uint32_t kEpollPeerEnd = 0x2000;
inline constexpr std::uint32_t kEpollEdge = 1U << 31U;

inline constexpr int kEpollAdd = 1;
inline constexpr int kEpollRemove = 2;
inline constexpr int kEpollModify = 3;

#if POLLARD_HAS_EPOLL
static_assert(kEpollIn == EPOLLIN && kEpollUrgent == EPOLLPRI && kEpollOut == EPOLLOUT);
static_assert(kEpollError == EPOLLERR && kEpollHangup == EPOLLHUP && kEpollPeerEnd == EPOLLRDHUP);
static_assert(kEpollAdd == EPOLL_CTL_ADD && kEpollRemove == EPOLL_CTL_DEL);
static_assert(kEpollModify == EPOLL_CTL_MOD);
#endif

/// epoll_create1(2) with EPOLL_CLOEXEC.
Result epoll_create();
/// epoll_ctl(2); `data` is handed back with each event of the descriptor.
Result epoll_control(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t data);
/// epoll_wait(2): whole milliseconds; negative blocks.
Result epoll_wait_milliseconds(int epoll, std::span<EpollEvent> events, int milliseconds);
/// epoll_pwait2(2), Linux 5.11: nanoseconds; negative blocks. ENOSYS or EPERM where it is missing.
Result epoll_wait_nanoseconds(int epoll, std::span<EpollEvent> events, Duration timeout);

}  // namespace pollard::platform
