// What IP addresses mean: any, loopback, one of IPv4 written as one of IPv6.
#pragma once

#include "pollard/platform/endpoint.h"

namespace pollard::sim {

/// 0.0.0.0 or [::].
[[nodiscard]] bool is_any(const platform::Endpoint& address);
/// 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(const platform::Endpoint& address);
[[nodiscard]] bool same_ip(const platform::Endpoint& left, const platform::Endpoint& right);

/// IPv4 as it is, [::ffff:192.0.2.1] as 192.0.2.1: the form in which the network has addresses.
[[nodiscard]] platform::Endpoint unmapped(const platform::Endpoint& address);
/// The reverse, for an IPv6 socket that shows an IPv4 address.
[[nodiscard]] platform::Endpoint mapped(const platform::Endpoint& address);

/// 127.0.0.1 or ::1 for any(): connecting to it means this machine.
[[nodiscard]] platform::Endpoint loopback_for_any(const platform::Endpoint& address);
[[nodiscard]] platform::Endpoint any_of(platform::Family family);

/// "127.0.0.1:80", "[::1]:80".
[[nodiscard]] std::string to_text(const platform::Endpoint& address);

}  // namespace pollard::sim
