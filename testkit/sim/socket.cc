#include "pollard/testkit/sim/socket.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

#include "pollard/platform/features.h"
#include "pollard/testkit/sim/machine.h"

namespace pollard::sim {
namespace {

// Linux gives what was asked for twice over, for its own records (Profile::buffer_factor), and no
// less and no more than this (net.core.wmem_max and rmem_max, and what tcp_sock needs to work at
// all).
constexpr std::size_t kLeastSend = 4608;
constexpr std::size_t kLeastReceive = 2304;
constexpr std::size_t kMostAsked = 212992;

template <class Value>
int answer(const Value& value, std::span<std::byte> space, std::size_t& size) {
  size = std::min(space.size(), sizeof value);
  std::memcpy(space.data(), &value, size);
  return 0;
}

}  // namespace

Socket::Socket(Machine& machine, int domain) : File(machine), domain_(domain) {
  const KernelOptions& given = machine.options;
  const Profile& profile = given.profile;
  const std::size_t send = is_tcp() ? profile.tcp_send_buffer : profile.unix_buffer;
  options_.send_buffer = given.send_buffer != 0 ? given.send_buffer : send;
  options_.receive_buffer =
      given.receive_buffer != 0 ? given.receive_buffer : profile.tcp_receive_buffer;
}

bool* Socket::flag(int level, int name) {
  if (level == SOL_SOCKET) {
    if (name == SO_REUSEADDR) return &options_.reuse_address;
    if (name == SO_REUSEPORT) return &options_.reuse_port;
#if defined(SO_REUSEPORT_LB)
    if (name == SO_REUSEPORT_LB) return &options_.reuse_port;
#endif
    if (name == SO_KEEPALIVE) return &options_.keep_alive;
  }
  if (level == IPPROTO_TCP && name == TCP_NODELAY && is_tcp()) return &options_.no_delay;
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && domain_ == AF_INET6) {
    return &options_.ipv6_only;
  }
  return nullptr;
}

int Socket::get_option(int level, int name, std::span<std::byte> value, std::size_t& size) {
  if (const bool* const on = flag(level, name)) return answer(static_cast<int>(*on), value, size);
  if (level != SOL_SOCKET) return level == IPPROTO_TCP && is_tcp() ? -ENOPROTOOPT : -EOPNOTSUPP;
  switch (name) {
    case SO_ERROR: return answer(take_error(), value, size);
    case SO_TYPE: return answer(static_cast<int>(SOCK_STREAM), value, size);
    case SO_ACCEPTCONN: return answer(static_cast<int>(is_listening()), value, size);
    case SO_LINGER: return answer(options_.lingering, value, size);
    case SO_SNDBUF: return answer(static_cast<int>(options_.send_buffer), value, size);
    case SO_RCVBUF: return answer(static_cast<int>(options_.receive_buffer), value, size);
    default: return -ENOPROTOOPT;
  }
}

int Socket::set_option(int level, int name, std::span<const std::byte> value) {
  if (level == SOL_SOCKET && name == SO_LINGER) {
    if (value.size() < sizeof options_.lingering) return -EINVAL;
    std::memcpy(&options_.lingering, value.data(), sizeof options_.lingering);
    return 0;
  }
  int number = 0;
  if (value.size() < sizeof number) return -EINVAL;
  std::memcpy(&number, value.data(), sizeof number);
  if (bool* const on = flag(level, name)) {
    const Profile& profile = machine().options.profile;
    if (on == &options_.ipv6_only && number == 0 && !profile.ipv6_only_can_be_cleared) {
      return -EINVAL;
    }
    // Such a system has the option, and nothing balances: the library knows that from its headers,
    // which are Linux's here, so the call says it.
    if (on == &options_.reuse_port && !profile.balances_reuse_port) return -EOPNOTSUPP;
    *on = number != 0;
    return 0;
  }
  if (level != SOL_SOCKET) return is_tcp() ? -ENOPROTOOPT : -EOPNOTSUPP;
  switch (name) {
    case SO_SNDBUF: return set_buffer(options_.send_buffer, number, kLeastSend);
    case SO_RCVBUF: return set_buffer(options_.receive_buffer, number, kLeastReceive);
#if defined(SO_NOSIGPIPE)
    case SO_NOSIGPIPE: return 0;  // no signal is ever raised here
#endif
    default: return -ENOPROTOOPT;
  }
}

int Socket::set_buffer(std::size_t& buffer, int bytes, std::size_t least) {
  const auto asked = static_cast<std::size_t>(std::max(bytes, 0));
  const std::size_t factor = machine().options.profile.buffer_factor;
  buffer = std::max(least, factor * std::min(asked, kMostAsked));
  buffers_changed();
  return 0;
}

}  // namespace pollard::sim
