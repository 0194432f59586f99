// Stream sockets: made non-blocking and close-on-exec from the first moment where the system can,
// never raising SIGPIPE, with their options by name.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <system_error>

#include "pollard/platform/endpoint.h"
#include "pollard/platform/result.h"

namespace pollard::platform {

/// socket(2): a non-blocking stream socket of the endpoint's family.
Result open_stream_socket(Family family);

/// bind(2), listen(2), connect(2), shutdown(2) of the sending side.
Result bind_socket(int fd, const Endpoint& endpoint);
Result listen_socket(int fd, int backlog);
Result connect_socket(int fd, const Endpoint& endpoint);
Result shutdown_sending(int fd);

/// accept4(2), or accept and fcntl: a non-blocking socket, and where it came from. Flags are set
/// and not inherited: the BSDs pass O_NONBLOCK on, Linux doesn't.
Result accept_socket(int listener, Endpoint& peer);

/// getsockname(2) and getpeername(2).
Result local_endpoint(int fd, Endpoint& endpoint);
Result peer_endpoint(int fd, Endpoint& endpoint);

/// SO_ERROR: the pending error, which is taken by asking for it. False when there is none.
[[nodiscard]] std::error_code take_socket_error(int fd);

/// What the options do is written where their names are: socket(7), tcp(7), ipv6(7).
Result set_reuse_address(int fd, bool on);
Result set_ipv6_only(int fd, bool on);
Result set_no_delay(int fd, bool on);
Result set_keep_alive(int fd, bool on);
Result set_send_buffer(int fd, int bytes);
Result set_receive_buffer(int fd, int bytes);

/// SO_LINGER: with an interval of zero, close() resets the connection (RST) and drops what is
/// unsent; without one, it sends in the background.
Result set_linger(int fd, std::optional<std::chrono::seconds> interval);

/// Lets several listeners share a port with the kernel spreading connections evenly over them:
/// Linux's SO_REUSEPORT, FreeBSD's SO_REUSEPORT_LB. ENOTSUP elsewhere, where SO_REUSEPORT means
/// that the newest listener gets everything.
Result set_reuse_port_balanced(int fd);

/// Makes a later bind_socket() to port 0 choose the address alone; connect(2) then chooses the port
/// for the destination, so that one port serves many destinations: IP_BIND_ADDRESS_NO_PORT, ip(7),
/// Linux 4.2. Works for IPv4 and IPv6 sockets. Fails with ENOTSUP where the system has no such
/// option and with ENOPROTOOPT where its kernel lacks it; the socket is then as it was.
Result set_bind_address_no_port(int fd);

/// Whether a socket is what lies at `path` (lstat(2)): no file, and no link to a socket either.
[[nodiscard]] bool is_socket_path(const std::string& path);

/// What lies at a path: its device and its number there. Two zeros: nothing.
struct PathIdentity {
  std::uint64_t device = 0;  ///< st_dev of lstat(2)
  std::uint64_t number = 0;  ///< st_ino
  /// The same file.
  friend bool operator==(const PathIdentity&, const PathIdentity&) = default;
};
[[nodiscard]] PathIdentity identify_path(const std::string& path);

/// unlink(2) of a Unix-domain socket's path.
Result remove_path(const std::string& path);

}  // namespace pollard::platform
