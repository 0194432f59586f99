// How the state of a file is told: to epoll, poll and select in Linux's bits, to kqueue as what its
// two filters say; and what a change of that state wakes.
#pragma once

#include <cstdint>

#include "pollard/platform/epoll.h"

namespace pollard::sim {

// Linux's bits; the first six are epoll's names. The last two say the same as In and Out.
using platform::kEpollError;
using platform::kEpollHangup;
using platform::kEpollIn;
using platform::kEpollOut;
using platform::kEpollPeerEnd;
using platform::kEpollUrgent;
inline constexpr std::uint32_t kEpollReadNormal = 0x040;
inline constexpr std::uint32_t kEpollWriteNormal = 0x100;
inline constexpr std::uint32_t kReadable = kEpollIn | kEpollReadNormal;
inline constexpr std::uint32_t kWritable = kEpollOut | kEpollWriteNormal;

/// What EVFILT_READ or EVFILT_WRITE says of a file.
struct FilterState {
  bool active = false;
  std::int64_t data = 0;  ///< bytes to read, room to write, connections to accept
  bool end = false;       ///< EV_EOF
  int error = 0;          ///< fflags
};

/// What has changed. epoll is woken by bits that it asked for, or by all of them; kqueue's filters
/// are asked again.
struct Change {
  std::uint32_t bits = 0;
  bool read_filter = false;
  bool write_filter = false;
};
inline constexpr Change kInput{.bits = kReadable, .read_filter = true};
inline constexpr Change kRoom{.bits = kWritable, .write_filter = true};
inline constexpr Change kEverything{.bits = UINT32_MAX, .read_filter = true, .write_filter = true};

}  // namespace pollard::sim
