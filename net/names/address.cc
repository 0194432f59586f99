#include "pollard/net/names/address.h"

#include <charconv>
#include <memory>

#include "pollard/base/assert.h"
#include "pollard/base/quoted.h"

namespace pollard {
namespace {

using platform::Endpoint;
using platform::Family;

constexpr std::string_view kUnixPrefix = "unix:";

std::error_code invalid() { return std::make_error_code(std::errc::invalid_argument); }

std::error_code make_unix(std::string_view path, Address& address) {
  if (path.size() > platform::longest_unix_path()) {
    return std::make_error_code(std::errc::filename_too_long);
  }
  if (path.empty() || path.find('\0') != std::string_view::npos) return invalid();
  std::string stored(path);
  if (stored.front() == '@') stored.front() = '\0';
  address = Address(Endpoint{.family = Family::kUnix,
                             .path = std::make_shared<const std::string>(std::move(stored))});
  return {};
}

bool parse_port(std::string_view text, std::uint16_t& port) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && stop == end && !text.empty();
}

// "host:port" or "[host]:port"; the brackets tell an IPv6 address from its port.
bool split_host(std::string_view text, std::string_view& host, std::string_view& port) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  host = text.substr(0, colon);
  port = text.substr(colon + 1);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
    return host.find(':') != std::string_view::npos;
  }
  return host.find(':') == std::string_view::npos;
}

Address ip_address(Family family, bool loopback, std::uint16_t port) {
  Endpoint endpoint{.family = family, .port = port};
  if (loopback && family == Family::kIpv4) endpoint.ip = {127, 0, 0, 1};
  if (loopback && family == Family::kIpv6) endpoint.ip.back() = 1;
  return Address(std::move(endpoint));
}

}  // namespace

Address Address::any(std::uint16_t port) { return ip_address(Family::kIpv4, false, port); }
Address Address::any_ipv6(std::uint16_t port) { return ip_address(Family::kIpv6, false, port); }
Address Address::loopback(std::uint16_t port) { return ip_address(Family::kIpv4, true, port); }
Address Address::loopback_ipv6(std::uint16_t port) { return ip_address(Family::kIpv6, true, port); }

Address Address::unix_path(std::string_view path) {
  Address address;
  if (const std::error_code error = make_unix(path, address)) {
    throw std::system_error(error, "Unix-domain address " + quoted(path) + " (at most " +
                                       std::to_string(platform::longest_unix_path()) + " bytes)");
  }
  return address;
}

std::error_code Address::parse(std::string_view text, Address& address) {
  if (text.starts_with(kUnixPrefix)) return make_unix(text.substr(kUnixPrefix.size()), address);
  std::string_view host;
  std::string_view port_text;
  Endpoint endpoint;
  if (!split_host(text, host, port_text) || !parse_port(port_text, endpoint.port)) return invalid();
  if (host == "*") {
    endpoint.family = Family::kIpv4;
  } else if (host.find('\0') != std::string_view::npos || !platform::parse_ip(host, endpoint)) {
    return invalid();
  }
  address = Address(std::move(endpoint));
  return {};
}

Address Address::parse(std::string_view text) {
  Address address;
  if (const std::error_code error = parse(text, address)) {
    throw std::system_error(error,
                            "address " + quoted(text) +
                                ": wanted is 192.0.2.1:80, [2001:db8::1]:80, *:80 or unix:/path");
  }
  return address;
}

std::string Address::path() const {
  std::string path(endpoint_.path_view());
  if (path.starts_with('\0')) path.front() = '@';
  return path;
}

Address Address::with_port(std::uint16_t port) const {
  POLLARD_ASSERT(is_ipv4() || is_ipv6(), "only IP addresses have a port");
  Address other = *this;
  other.endpoint_.port = port;
  return other;
}

std::string Address::to_string() const {
  switch (endpoint_.family) {
    case Family::kIpv4: return platform::format_ip(endpoint_) + ':' + std::to_string(port());
    case Family::kIpv6: return '[' + platform::format_ip(endpoint_) + "]:" + std::to_string(port());
    case Family::kUnix: return std::string(kUnixPrefix) + path();
    case Family::kNone: break;
  }
  return "(none)";
}

}  // namespace pollard
