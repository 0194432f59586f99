// poll's names and nanoseconds for its timeout where the system has ppoll or pollts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "pollard/base/clock.h"
#include "pollard/platform/features.h"
#include "pollard/platform/result.h"

namespace pollard::platform {

using PollRecord = ::pollfd;

inline constexpr short kPollIn = POLLIN;
inline constexpr short kPollOut = POLLOUT;
inline constexpr short kPollError = POLLERR;
inline constexpr short kPollHangup = POLLHUP;
inline constexpr short kPollInvalid = POLLNVAL;
inline constexpr short kPollUrgent = POLLPRI;
#if defined(POLLRDHUP)
inline constexpr short kPollPeerEnd = POLLRDHUP;
#elif POLLARD_HAS_EPOLL
inline constexpr short kPollPeerEnd = 0x2000;  // Linux, where only the C library hides it
#else
inline constexpr short kPollPeerEnd = 0;  // the end of the peer's stream is plain readability
#endif

/// poll(2): whole milliseconds; negative blocks.
Result poll_milliseconds(std::span<PollRecord> records, int milliseconds);
/// ppoll(2) without a signal mask; negative blocks. ENOSYS where it is missing.
Result poll_nanoseconds(std::span<PollRecord> records, Duration timeout);

}  // namespace pollard::platform
