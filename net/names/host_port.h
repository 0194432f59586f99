// Where to connect to or to listen, as people write it: a name and a port, or any address. A value;
// making one looks nothing up.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <system_error>

#include "pollard/net/names/address.h"

namespace pollard {

/// Several threads may read one at the same time.
class HostPort {
 public:
  /// A literal.
  HostPort(const Address& address);  // NOLINT(google-explicit-constructor): every address is one

  /// As parse(), so that `TcpClient client(loop, "example.org:7007", …)` is all that it takes.
  template <class Text>
  // NOLINTNEXTLINE(google-explicit-constructor)
  requires std::convertible_to<const Text&, std::string_view> HostPort(const Text& text)
      : HostPort(parse(std::string_view(text))) {}

  /// Reads "example.org:7007", "example.org:http" (a service's name is looked up together with the
  /// host's), and everything that Address::parse reads: "192.0.2.1:80", "[2001:db8::1]:80",
  /// "*:80", "unix:/path". Throws std::system_error (invalid_argument) that says what was given
  /// and what is wanted.
  [[nodiscard]] static HostPort parse(std::string_view text);
  /// The same without exceptions: `parsed` is unchanged when there is an error.
  [[nodiscard]] static std::error_code parse(std::string_view text, HostPort& parsed);

  /// Whether address() says it all, and nothing has to be looked up.
  [[nodiscard]] bool is_literal() const { return host_.empty(); }
  /// Empty for a name.
  [[nodiscard]] const Address& address() const { return address_; }
  /// Of a name; empty for a literal.
  [[nodiscard]] const std::string& host() const { return host_; }
  /// A port's number or name (services(5)); empty for a literal.
  [[nodiscard]] const std::string& service() const { return service_; }

  /// "*:80": for a listener every interface, of IPv4 and of IPv6.
  [[nodiscard]] bool is_wildcard() const { return every_interface_; }

  /// In the form that parse() reads.
  [[nodiscard]] std::string to_string() const;

  /// The same text; no name is looked up to compare.
  friend bool operator==(const HostPort&, const HostPort&) = default;

 private:
  HostPort() = default;
  bool read_name(std::string_view text);

  Address address_;
  std::string host_;
  std::string service_;
  bool every_interface_ = false;
};

}  // namespace pollard
