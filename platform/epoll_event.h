// The events of epoll, on every system: the table of system calls speaks of them, and a poller's
// list of what is ready consists of them. Users include this too, so it includes no system header;
// epoll.cc compares it with the system's, where there is one.
#pragma once

#include <cstdint>

namespace pollard::platform {

/// What the caller wants to have back with an event (epoll_ctl(2)).
union EpollData {
  void* ptr;
  int fd;
  std::uint32_t u32;
  std::uint64_t u64;
};

// On x86_64 the structure has no padding, so that it is that of 32-bit programs.
#if defined(__x86_64__)
struct [[gnu::packed]] EpollEvent {
#else
struct EpollEvent {
#endif
  std::uint32_t events;
  EpollData data;
};

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

}  // namespace pollard::platform
