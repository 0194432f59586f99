// Where a server listens, as it tells people.
#pragma once

#include <string>

#include "pollard/net/names/address.h"

namespace examples {

/// "127.0.0.1:7007", or several: "127.0.0.1:7007,[::1]:7007".
template <class Server>
std::string where(const Server& server) {
  std::string all;
  for (const pollard::Address& address : server.addresses()) {
    all += (all.empty() ? "" : ",") + address.to_string();
  }
  return all;
}

}  // namespace examples
