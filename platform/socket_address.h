// The bridge between an Endpoint and the system's sockaddr, which differs in layout everywhere.
#pragma once

#include <sys/socket.h>

#include "pollard/platform/endpoint.h"

namespace pollard::platform {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// The size is exactly that of the family's structure: BSD systems refuse any other.
[[nodiscard]] SocketAddress to_socket_address(const Endpoint& endpoint);
[[nodiscard]] Endpoint to_endpoint(const SocketAddress& address);

}  // namespace pollard::platform
