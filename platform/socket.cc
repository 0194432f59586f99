#include "pollard/platform/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <climits>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/io.h"
#include "pollard/platform/socket_address.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {
namespace {

#if POLLARD_HAS_ATOMIC_FLAGS
constexpr int kAtomicFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
#else
constexpr int kAtomicFlags = 0;
#endif

int family_number(Family family) {
  switch (family) {
    case Family::kIpv4: return AF_INET;
    case Family::kIpv6: return AF_INET6;
    case Family::kUnix: return AF_UNIX;
    case Family::kNone: break;
  }
  POLLARD_ASSERT(false, "an empty address has no family");
}

template <class Value>
Result set_option(int fd, int level, int name, const Value& value) {
  return Result(system_calls().setsockopt(fd, level, name, &value, sizeof value));
}

// What a fresh socket needs where the calls that make one take no flags, or have none for SIGPIPE.
// Darwin refuses options on a connection that was reset before it was accepted (EINVAL): its reads
// will tell, so that is no failure here.
Result prepare(Result made, bool flags_are_set) {
  if (!made.ok()) return made;
  Descriptor fd(made.descriptor());
  if (!flags_are_set) {
    const Result set = make_nonblocking(fd.get());
    if (!set.ok()) return set;
  }
#if defined(SO_NOSIGPIPE)
  const Result quiet = set_option(fd.get(), SOL_SOCKET, SO_NOSIGPIPE, 1);
  if (!quiet.ok() && !quiet.is(std::errc::invalid_argument)) return quiet;
#endif
  return Result(fd.release());
}

}  // namespace

Result open_stream_socket(Family family) {
  return prepare(
      Result(system_calls().socket(family_number(family), SOCK_STREAM | kAtomicFlags, 0)),
      kAtomicFlags != 0);
}

Result bind_socket(int fd, const Endpoint& endpoint) {
  const SocketAddress address = to_socket_address(endpoint);
  return Result(system_calls().bind(fd, address.get(), address.size));
}

Result listen_socket(int fd, int backlog) { return Result(system_calls().listen(fd, backlog)); }

Result connect_socket(int fd, const Endpoint& endpoint) {
  const SocketAddress address = to_socket_address(endpoint);
  return Result(system_calls().connect(fd, address.get(), address.size));
}

Result shutdown_sending(int fd) { return Result(system_calls().shutdown(fd, SHUT_WR)); }

Result accept_socket(int listener, Endpoint& peer) {
  SocketAddress address;
  Result made(system_calls().accept4(listener, address.get(), &address.size, kAtomicFlags));
  const bool flags_are_set = !is_absent(made);
  if (!flags_are_set) {
    address.size = sizeof address.storage;
    made = Result(system_calls().accept(listener, address.get(), &address.size));
  }
  if (made.ok()) peer = to_endpoint(address);
  return prepare(made, flags_are_set);
}

Result local_endpoint(int fd, Endpoint& endpoint) {
  SocketAddress address;
  const Result asked(system_calls().getsockname(fd, address.get(), &address.size));
  if (asked.ok()) endpoint = to_endpoint(address);
  return asked;
}

Result peer_endpoint(int fd, Endpoint& endpoint) {
  SocketAddress address;
  const Result asked(system_calls().getpeername(fd, address.get(), &address.size));
  if (asked.ok()) endpoint = to_endpoint(address);
  return asked;
}

std::error_code take_socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  const Result asked(system_calls().getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size));
  if (!asked.ok()) return asked.error();
  return {error, std::system_category()};
}

Result set_reuse_address(int fd, bool on) {
  return set_option(fd, SOL_SOCKET, SO_REUSEADDR, static_cast<int>(on));
}
Result set_ipv6_only(int fd, bool on) {
  return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, static_cast<int>(on));
}
Result set_no_delay(int fd, bool on) {
  return set_option(fd, IPPROTO_TCP, TCP_NODELAY, static_cast<int>(on));
}
Result set_keep_alive(int fd, bool on) {
  return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, static_cast<int>(on));
}
Result set_send_buffer(int fd, int bytes) { return set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes); }
Result set_receive_buffer(int fd, int bytes) {
  return set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

Result set_linger(int fd, std::optional<std::chrono::seconds> interval) {
  linger value{};
  value.l_onoff = interval.has_value() ? 1 : 0;
  const auto seconds = interval.value_or(std::chrono::seconds::zero()).count();
  value.l_linger = static_cast<decltype(value.l_linger)>(
      std::clamp<std::chrono::seconds::rep>(seconds, 0, SHRT_MAX));  // some systems keep a short
  return set_option(fd, SOL_SOCKET, SO_LINGER, value);
}

Result set_reuse_port_balanced(int fd) {
#if defined(SO_REUSEPORT_LB)
  return set_option(fd, SOL_SOCKET, SO_REUSEPORT_LB, 1);
#elif defined(__linux__)
  return set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#else
  static_cast<void>(fd);
  return Result::failure(std::errc::operation_not_supported);
#endif
}

Result set_bind_address_no_port(int fd) {
#if defined(IP_BIND_ADDRESS_NO_PORT)
  return set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
#else
  static_cast<void>(fd);
  return Result::failure(std::errc::operation_not_supported);
#endif
}

bool is_socket_path(const std::string& path) {
  struct stat status {};
  return Result(system_calls().lstat(path.c_str(), &status)).ok() && S_ISSOCK(status.st_mode);
}

PathIdentity identify_path(const std::string& path) {
  struct stat status {};
  if (!Result(system_calls().lstat(path.c_str(), &status)).ok()) return {};
  return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
}

Result remove_path(const std::string& path) { return Result(system_calls().unlink(path.c_str())); }

}  // namespace pollard::platform
