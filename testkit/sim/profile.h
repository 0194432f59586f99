// What differs between the kernels of the systems that we run on, as data: a profile is a table of
// answers. The simulated kernel asks it, so that a test can run a program "under NetBSD" on Linux:
//
//     sim::Kernel kernel({.profile = sim::netbsd()});
//
// profile.cc has the five tables, and beside each answer where it is known from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "pollard/base/clock.h"

namespace pollard::sim {

/// What a kernel answers when EVFILT_WRITE is added for a pipe whose reader is gone.
enum class ReaderlessPipe : std::uint8_t {
  kAccepted,      ///< registered; it reports EV_EOF
  kRefusedEpipe,  ///< EPIPE, and not registered
  kRefusedEbadf,  ///< EBADF, and not registered
};

/// From when on a socket counts as writable.
enum class WritableFrom : std::uint8_t {
  kThirdFree,  ///< a third of the buffer is free (Linux)
  kLowWater,   ///< SO_SNDLOWAT bytes are free, or the whole buffer if it is smaller
};

/// When poll(2) reports POLLHUP, or POLLERR, for a socket.
enum class PollHints : std::uint8_t {
  kAll,          ///< as Linux does, for each end and error
  kBothEnds,     ///< POLLHUP when both directions have ended; no POLLERR
  kNeverSocket,  ///< neither, for a socket
};

/// How poll(2) reports a pipe's end whose other end is closed.
enum class PipeEndPoll : std::uint8_t {
  kError,   ///< the writing end: POLLERR, and POLLOUT while there is room (Linux)
  kHangup,  ///< the writing end: POLLHUP and POLLOUT
};

/// The answers of one system's kernel.
struct Profile {
  /// "linux", "freebsd", "netbsd", "openbsd" or "darwin".
  std::string_view name = "linux";

  // Calls. Those that are absent answer ENOSYS.
  bool has_epoll = true;    ///< epoll_create1(2) and its family
  bool has_kqueue = true;   ///< kqueue(2), kevent(2)
  bool has_eventfd = true;  ///< eventfd(2)
  bool has_accept4 = true;  ///< accept4(2)
  bool has_pipe2 = true;    ///< pipe2(2)
  bool has_ppoll = true;    ///< ppoll(2)

  // Time.
  /// The step of the clock that ends waits. Zero: waits end exactly.
  Duration tick = Duration::zero();
  /// poll and select with a timeout of at most one tick may end at once.
  bool short_waits_end_early = false;
  /// What a packet takes over the loopback interface; zero: it has arrived when send() returns.
  Duration loopback_delay = Duration::zero();

  // Buffers, in bytes.
  std::size_t tcp_send_buffer = 65536;     ///< of a fresh TCP socket
  std::size_t tcp_receive_buffer = 65536;  ///< of a fresh TCP socket
  std::size_t unix_buffer = 65536;         ///< of a fresh Unix-domain socket
  std::size_t pipe_buffer = 65536;         ///< of a pipe
  /// SO_SNDBUF and SO_RCVBUF give so many times what is asked for.
  std::size_t buffer_factor = 2;
  WritableFrom writable_from = WritableFrom::kThirdFree;  ///< of sockets

  // Sockets.
  bool accept_inherits_flags = false;       ///< an accepted socket has the listener's O_NONBLOCK
  bool close_with_unread_resets = true;     ///< closing with unread data sends RST, not FIN
  bool accept_reports_aborted = false;      ///< a connection reset in the queue: ECONNABORTED
  bool connect_again_tells_success = true;  ///< connect() after success: 0 once, then EISCONN
  bool full_queue_resets = false;           ///< the queue is full at the handshake's end: RST
  bool reset_after_end_is_epipe = true;     ///< a reset behind the peer's FIN: EPIPE in SO_ERROR
  bool balances_reuse_port = true;          ///< the kernel balances among SO_REUSEPORT listeners
  bool ipv6_only_can_be_cleared = true;     ///< setting IPV6_V6ONLY to 0 works, else EINVAL
  bool has_abstract_names = true;           ///< Unix-domain names that begin with NUL
  std::size_t unnamed_unix_size = 2;        ///< length of the address of an unnamed Unix peer
  PollHints poll_hints = PollHints::kAll;   ///< of sockets
  PipeEndPoll pipe_end_poll = PipeEndPoll::kError;  ///< of a pipe's writing end, without a reader
  /// shutdown() of a listener's reading side ends it; elsewhere: ENOTCONN.
  bool shutdown_ends_listener = true;
  bool has_poll_peer_end = true;  ///< POLLRDHUP

  // kqueue.
  ReaderlessPipe readerless_pipe = ReaderlessPipe::kRefusedEpipe;  ///< see there
  /// A full pipe that is watched for writing reports nothing when its reader closes.
  bool full_pipe_hides_reader_end = false;
  /// EVFILT_WRITE on a pipe's reading end and EVFILT_READ on its writing end: EINVAL.
  bool refuses_wrong_pipe_end = false;
  /// Each change of a filter, EV_ENABLE of an enabled one included, evaluates it again.
  bool every_change_evaluates = true;
  /// An EV_CLEAR filter of a listener reports again after an accept while more connections wait.
  bool listener_edge_after_accept = false;
  /// An EV_CLEAR filter of a pipe's reading end reports again after a read.
  bool pipe_edge_after_read = false;
  /// An EV_CLEAR filter of a socket reports again when its own side shuts down last.
  bool edge_when_both_ends_shut = false;
};

/// The tables.
[[nodiscard]] Profile linux_system();
[[nodiscard]] Profile freebsd();
[[nodiscard]] Profile netbsd();
[[nodiscard]] Profile openbsd();
[[nodiscard]] Profile darwin();

/// Finds a profile by its name; nothing where there is none of that name.
[[nodiscard]] std::optional<Profile> profile_named(std::string_view name);
/// Returns the names of all profiles.
[[nodiscard]] std::span<const std::string_view> profile_names();

}  // namespace pollard::sim
