#include "pollard/testkit/sim/addresses.h"

#include <algorithm>
#include <array>

namespace pollard::sim {

using platform::Endpoint;
using platform::Family;

namespace {

constexpr std::array<std::uint8_t, 16> kLoopback6 = {0, 0, 0, 0, 0, 0, 0, 0,
                                                     0, 0, 0, 0, 0, 0, 0, 1};
constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

bool is_any(const Endpoint& address) {
  return std::ranges::all_of(address.ip, [](std::uint8_t byte) { return byte == 0; });
}

bool is_loopback(const Endpoint& address) {
  return address.family == Family::kIpv4 ? address.ip[0] == 127 : address.ip == kLoopback6;
}

bool same_ip(const Endpoint& left, const Endpoint& right) {
  return left.family == right.family && left.ip == right.ip;
}

Endpoint unmapped(const Endpoint& address) {
  if (address.family != Family::kIpv6 ||
      !std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.ip.begin())) {
    return address;
  }
  Endpoint inner{.family = Family::kIpv4, .port = address.port};
  std::copy(address.ip.begin() + kMappedPrefix.size(), address.ip.end(), inner.ip.begin());
  return inner;
}

Endpoint mapped(const Endpoint& address) {
  if (address.family != Family::kIpv4) return address;
  Endpoint outer{.family = Family::kIpv6, .port = address.port};
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), outer.ip.begin());
  std::copy_n(address.ip.begin(), 4, outer.ip.begin() + kMappedPrefix.size());
  return outer;
}

Endpoint loopback_for_any(const Endpoint& address) {
  if (!is_any(address)) return address;
  Endpoint loopback = address;
  if (address.family == Family::kIpv4) {
    loopback.ip = {127, 0, 0, 1};
  } else {
    loopback.ip = kLoopback6;
  }
  return loopback;
}

Endpoint any_of(Family family) { return {.family = family}; }

std::string to_text(const Endpoint& address) {
  const std::string ip = platform::format_ip(address);
  return (address.family == Family::kIpv6 ? '[' + ip + ']' : ip) + ':' +
         std::to_string(address.port);
}

}  // namespace pollard::sim
