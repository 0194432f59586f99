#include "pollard/platform/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

#include "pollard/base/assert.h"
#include "pollard/platform/socket_address.h"

namespace pollard::platform {
namespace {

// sockaddr_storage is made to be read as each of these; memcpy says so without aliasing.
template <class Structure>
SocketAddress wrap(const Structure& structure, std::size_t size) {
  SocketAddress address;
  std::memcpy(&address.storage, &structure, size);
  address.size = static_cast<socklen_t>(size);
  return address;
}

template <class Structure>
Structure unwrap(const SocketAddress& address) {
  Structure structure{};
  std::memcpy(&structure, &address.storage, sizeof structure);
  return structure;
}

SocketAddress from_ipv4(const Endpoint& endpoint) {
  sockaddr_in structure{};
  structure.sin_family = AF_INET;
  structure.sin_port = htons(endpoint.port);
  std::memcpy(&structure.sin_addr, endpoint.ip.data(), sizeof structure.sin_addr);
  return wrap(structure, sizeof structure);
}

SocketAddress from_ipv6(const Endpoint& endpoint) {
  sockaddr_in6 structure{};
  structure.sin6_family = AF_INET6;
  structure.sin6_port = htons(endpoint.port);
  structure.sin6_scope_id = endpoint.scope;
  std::memcpy(&structure.sin6_addr, endpoint.ip.data(), sizeof structure.sin6_addr);
  return wrap(structure, sizeof structure);
}

SocketAddress from_path(const Endpoint& endpoint) {
  const std::string_view path = endpoint.path_view();
  POLLARD_ASSERT(path.size() <= longest_unix_path(), "Address checks the length of a path");
  sockaddr_un structure{};
  structure.sun_family = AF_UNIX;
  std::ranges::copy(path, structure.sun_path);
  // An abstract name has no end but its length; a path is counted with its NUL.
  const bool abstract = path.starts_with('\0');
  return wrap(structure,
              offsetof(sockaddr_un, sun_path) + path.size() + (abstract || path.empty() ? 0U : 1U));
}

Endpoint to_path(const SocketAddress& address) {
  Endpoint endpoint{.family = Family::kUnix};
  constexpr std::size_t kStart = offsetof(sockaddr_un, sun_path);
  if (address.size <= kStart) return endpoint;  // an unnamed socket: a client's, mostly
  const auto structure = unwrap<sockaddr_un>(address);
  // Linux counts a NUL behind a path that fills the structure, where there is none (unix(7)).
  std::string_view path(structure.sun_path,
                        std::min<std::size_t>(address.size - kStart, sizeof structure.sun_path));
  // The BSDs and macOS give an unnamed socket a structure of NULs. What else begins with NUL is one
  // of Linux's abstract names.
  const bool is_abstract = path.starts_with('\0') && path.find_first_not_of('\0') != path.npos;
  if (!is_abstract) path = path.substr(0, path.find('\0'));
  if (!path.empty()) endpoint.path = std::make_shared<const std::string>(path);
  return endpoint;
}

bool parse_scope(std::string_view text, std::uint32_t& scope) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), scope);
  if (error == std::errc() && end == text.data() + text.size()) return true;
  scope = ::if_nametoindex(std::string(text).c_str());
  return scope != 0;
}

}  // namespace

std::size_t longest_unix_path() { return sizeof(sockaddr_un::sun_path) - 1; }

bool parse_ip(std::string_view text, Endpoint& endpoint) {
  if (text.find('\0') != std::string_view::npos) return false;  // the C functions would stop there
  Endpoint parsed{.port = endpoint.port};
  if (::inet_pton(AF_INET, std::string(text).c_str(), parsed.ip.data()) == 1) {
    parsed.family = Family::kIpv4;
    endpoint = parsed;
    return true;
  }
  const std::size_t percent = text.find('%');
  const std::string number(text.substr(0, percent));
  if (::inet_pton(AF_INET6, number.c_str(), parsed.ip.data()) != 1) return false;
  if (percent != std::string_view::npos && !parse_scope(text.substr(percent + 1), parsed.scope)) {
    return false;
  }
  parsed.family = Family::kIpv6;
  endpoint = parsed;
  return true;
}

std::string format_ip(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = endpoint.family == Family::kIpv4 ? AF_INET : AF_INET6;
  ::inet_ntop(family, endpoint.ip.data(), text, sizeof text);
  std::string formatted(text);
  if (endpoint.scope == 0) return formatted;
  char name[IF_NAMESIZE] = {};
  const bool named = ::if_indextoname(endpoint.scope, name) != nullptr;
  return formatted + '%' + (named ? std::string(name) : std::to_string(endpoint.scope));
}

SocketAddress to_socket_address(const Endpoint& endpoint) {
  switch (endpoint.family) {
    case Family::kIpv4: return from_ipv4(endpoint);
    case Family::kIpv6: return from_ipv6(endpoint);
    case Family::kUnix: return from_path(endpoint);
    case Family::kNone: break;
  }
  POLLARD_ASSERT(false, "an empty address names no socket");
}

Endpoint to_endpoint(const SocketAddress& address) {
  Endpoint endpoint;
  switch (address.storage.ss_family) {
    case AF_INET: {
      const auto structure = unwrap<sockaddr_in>(address);
      endpoint.family = Family::kIpv4;
      endpoint.port = ntohs(structure.sin_port);
      std::memcpy(endpoint.ip.data(), &structure.sin_addr, sizeof structure.sin_addr);
      return endpoint;
    }
    case AF_INET6: {
      const auto structure = unwrap<sockaddr_in6>(address);
      endpoint.family = Family::kIpv6;
      endpoint.port = ntohs(structure.sin6_port);
      endpoint.scope = structure.sin6_scope_id;
      std::memcpy(endpoint.ip.data(), &structure.sin6_addr, sizeof structure.sin6_addr);
      return endpoint;
    }
    case AF_UNIX: return to_path(address);
    default: return endpoint;
  }
}

}  // namespace pollard::platform
