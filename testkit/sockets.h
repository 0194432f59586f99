// The descriptors that tests play with: pairs, pipes, listeners, connections that end in every way.
// All are non-blocking and close-on-exec. They are made of the table of system calls, so on the
// kernel that is in force, simulated ones included. What can't be made throws std::system_error.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/endpoint.h"

namespace pollard::testing {

using platform::Descriptor;

/// Two Unix-domain stream sockets that are connected.
struct Pair {
  Descriptor near;
  Descriptor far;
};
[[nodiscard]] Pair socket_pair();

/// The same, whose near end has this number, which must be free: what the next socket gets, or not.
[[nodiscard]] Pair socket_pair_at(int number);

struct Pipe {
  Descriptor read;
  Descriptor write;
};
[[nodiscard]] Pipe open_pipe();

/// A TCP socket on a port of 127.0.0.1 that the kernel chose.
struct Listener {
  Descriptor fd;
  platform::Endpoint endpoint;
};
[[nodiscard]] Listener listen_on_loopback(int backlog = 128);

/// One whose backlog is full: what connects to it gets no answer.
struct SilentListener {
  SilentListener();
  Listener listener = listen_on_loopback(0);
  std::vector<Descriptor> waiting;
};

/// A TCP socket that was told to connect; it may still be at it.
[[nodiscard]] Descriptor start_connecting(const platform::Endpoint& to);

/// The next connection of a listener; waits for it.
[[nodiscard]] Descriptor accept_from(const Listener& listener);

/// A TCP connection over loopback.
[[nodiscard]] Pair tcp_pair();

/// An address of 127.0.0.1 at which nobody listens.
[[nodiscard]] platform::Endpoint refusing_endpoint();

/// Ends a TCP connection with RST: unsent and unread data is lost.
void reset_connection(Descriptor& fd);

/// The same file under a number of the test's choice, which must be free; the old number is closed.
[[nodiscard]] Descriptor move_to(Descriptor fd, int number);

/// The same file under the lowest number that is at least this.
[[nodiscard]] Descriptor duplicate(int fd, int at_least = 0);

/// A regular file, already unlinked, with this content, at its beginning.
[[nodiscard]] Descriptor temporary_file(std::string_view content = "content");

/// Raises the limit of open descriptors; false where the process may not have so many.
[[nodiscard]] bool can_open(int descriptors);

/// Sends all of it; the other side must have room.
void write_text(int fd, std::string_view text);

/// Sends until nothing more fits; how much did.
std::size_t fill(int fd);
/// The same, until it stays full: where what is sent arrives later, that makes room again.
std::size_t fill_for_good(int fd);

/// Receives what is there now, up to `most` bytes: empty at the end of the stream, or if there is
/// nothing yet, or after an error.
std::string read_text(int fd, std::size_t most = 1U << 20U);

/// Waits, by poll(2) and not by a poller, until one recv or accept would not block.
void wait_readable(int fd);
void wait_writable(int fd);

/// Waits until the end of the peer's stream, or a reset, has arrived, whatever there is to read
/// first.
void wait_for_end(int fd);

/// The error that a read meets; false when there is data, or the end of the stream.
[[nodiscard]] std::error_code read_error(int fd);

}  // namespace pollard::testing
