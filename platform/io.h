// Moving bytes. The two calls that every message makes are inline, down to the table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/result.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {

// SIGPIPE is avoided by the call where there is a flag for it; where there is none, by the socket
// (SO_NOSIGPIPE, set when a socket is made).
#if defined(MSG_NOSIGNAL)
inline constexpr int kSendFlags = MSG_NOSIGNAL;
#else
inline constexpr int kSendFlags = 0;
#endif

/// recv(2). Zero is the end of the peer's stream.
inline Result receive(int fd, std::span<std::byte> space) {
  return Result(system_calls().recv(fd, space.data(), space.size(), 0));
}

/// send(2), never raising SIGPIPE.
inline Result send(int fd, std::span<const std::byte> bytes) {
  return Result(system_calls().send(fd, bytes.data(), bytes.size(), kSendFlags));
}

/// How many pieces one gathering send takes at the most; POSIX guarantees 16, all have 1024.
inline constexpr std::size_t kGatherLimit = 64;

/// sendmsg(2) of up to kGatherLimit pieces in order, never raising SIGPIPE.
Result send_gathered(int fd, std::span<const std::span<const std::byte>> pieces);

/// sendfile: up to `size` bytes of `file` from `offset`; by reading and sending where the system
/// has no such call or the file isn't one that it takes. Zero is the end of the file.
Result send_file(int fd, int file, std::uint64_t offset, std::size_t size);

/// read(2) and write(2), for descriptors that are not sockets.
Result read(int fd, std::span<std::byte> space);
Result write(int fd, std::span<const std::byte> bytes);

/// O_NONBLOCK and FD_CLOEXEC by fcntl(2): for what was made by a call that takes no flags.
Result make_nonblocking(int fd);

/// A pipe whose ends are non-blocking and close-on-exec.
Result open_pipe(Descriptor& read_end, Descriptor& write_end);

/// The file at `path` for reading, close-on-exec.
Result open_for_reading(const char* path);

}  // namespace pollard::platform
