// Where a socket is: IPv4 or IPv6 with a port, or a Unix-domain path. A value; forty bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "pollard/platform/endpoint.h"

namespace pollard {

/// Ports are in the host's byte order. A value: several threads may read one at the same time.
class Address {
 public:
  /// No address; what a connection answers for an end that it doesn't know.
  Address() = default;

  /// Every interface of IPv4: 0.0.0.0. Port 0 asks the system for a free one.
  [[nodiscard]] static Address any(std::uint16_t port);
  /// Every interface: [::], which takes IPv4 as well unless ListenOptions::ipv6_only is set.
  [[nodiscard]] static Address any_ipv6(std::uint16_t port);

  /// This machine only: 127.0.0.1.
  [[nodiscard]] static Address loopback(std::uint16_t port);
  /// Likewise: [::1].
  [[nodiscard]] static Address loopback_ipv6(std::uint16_t port);

  /// A Unix-domain socket (unix(7)). A path that begins with '@' is a name in Linux's abstract
  /// namespace. Throws std::system_error (filename_too_long, invalid_argument) for what can't be
  /// one.
  [[nodiscard]] static Address unix_path(std::string_view path);

  /// Reads "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%eth0]:80", "*:80" (every interface, IPv4)
  /// or "unix:/path". Names are not looked up. Throws std::system_error (invalid_argument) that
  /// says what was given and what is wanted.
  [[nodiscard]] static Address parse(std::string_view text);
  /// The same without exceptions: `address` is unchanged when there is an error.
  [[nodiscard]] static std::error_code parse(std::string_view text, Address& address);

  /// Whether this is no address at all.
  [[nodiscard]] bool empty() const { return endpoint_.family == platform::Family::kNone; }
  /// 0.0.0.0 and its like; not an IPv4 address that is mapped into IPv6.
  [[nodiscard]] bool is_ipv4() const { return endpoint_.family == platform::Family::kIpv4; }
  /// [::1] and its like (RFC 4291).
  [[nodiscard]] bool is_ipv6() const { return endpoint_.family == platform::Family::kIpv6; }
  /// A Unix-domain path or abstract name (unix(7)).
  [[nodiscard]] bool is_unix() const { return endpoint_.family == platform::Family::kUnix; }

  /// 0 for a Unix-domain address.
  [[nodiscard]] std::uint16_t port() const { return endpoint_.port; }
  /// The path without "unix:", an abstract name with its '@'; empty for IP addresses.
  [[nodiscard]] std::string path() const;
  /// The same place with another port.
  [[nodiscard]] Address with_port(std::uint16_t port) const;

  /// In the form that parse() reads; "(none)" for an empty one.
  [[nodiscard]] std::string to_string() const;

  /// The same family, number, port, scope and path.
  friend bool operator==(const Address&, const Address&) = default;

  /// The bridge to the platform layer.
  explicit Address(platform::Endpoint endpoint) : endpoint_(std::move(endpoint)) {}
  /// What platform/socket.h takes.
  [[nodiscard]] const platform::Endpoint& endpoint() const { return endpoint_; }

 private:
  platform::Endpoint endpoint_;
};

}  // namespace pollard
