// Where a socket is: an IPv4 or IPv6 address with its port, or the path of a Unix-domain socket, in
// forty bytes and without a system header. The system's sockaddr exists below this file only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace pollard::platform {

/// The address family of an endpoint (AF_INET, AF_INET6, AF_UNIX).
enum class Family : std::uint8_t { kNone, kIpv4, kIpv6, kUnix };

/// A value; what a field means depends on the family.
struct Endpoint {
  Family family = Family::kNone;                 ///< kNone: no endpoint
  std::uint16_t port = 0;                        ///< host byte order
  std::uint32_t scope = 0;                       ///< IPv6: the interface of a link-local address
  std::array<std::uint8_t, 16> ip{};             ///< network byte order; IPv4 uses the first four
  std::shared_ptr<const std::string> path = {};  ///< Unix; Linux's abstract names begin with NUL

  /// The same place; paths are compared by their letters.
  friend bool operator==(const Endpoint& left, const Endpoint& right) {
    return left.family == right.family && left.port == right.port && left.scope == right.scope &&
           left.ip == right.ip && left.path_view() == right.path_view();
  }
  /// Empty when there is none.
  [[nodiscard]] std::string_view path_view() const {
    return path == nullptr ? std::string_view() : std::string_view(*path);
  }
};

/// The longest path that a Unix-domain socket can have here (sizeof sockaddr_un::sun_path, less
/// NUL).
[[nodiscard]] std::size_t longest_unix_path();

/// Reads numbers of IPv4 ("192.0.2.1") and IPv6 ("2001:db8::1", "fe80::1%eth0": RFC 4291, RFC 4007)
/// by inet_pton(3); names are not looked up. False when `text` is neither.
[[nodiscard]] bool parse_ip(std::string_view text, Endpoint& endpoint);

/// The reverse, by inet_ntop(3): without port and brackets.
[[nodiscard]] std::string format_ip(const Endpoint& endpoint);

}  // namespace pollard::platform
