// The listening sockets of a server in one loop: one for each address that its host:port stands
// for. "localhost" may be 127.0.0.1 and [::1]; "*:80" is every interface of IPv4 and of IPv6, each
// with a socket of its own, for not every system has one that takes both.
#pragma once

#include <memory>
#include <vector>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/address.h"
#include "pollard/net/names/host_port.h"
#include "pollard/net/tcp/acceptor.h"

namespace pollard {

/// Where a server listens that was told `where`: a name is looked up, which blocks; without IPv4
/// when ListenOptions::ipv6_only is set, but for a literal. Throws std::system_error that names
/// what was looked up.
[[nodiscard]] std::vector<Address> addresses_to_listen_on(const HostPort& where,
                                                          const ListenOptions& options);

/// The loop's thread.
class AcceptorGroup {
 public:
  /// Binds all. An address that this machine doesn't have, or whose family it lacks, is left out as
  /// long as there is another. With port 0 all get the same port. Throws std::system_error naming
  /// the call and the address.
  AcceptorGroup(EventLoop& loop, const std::vector<Address>& addresses,
                const ListenOptions& options, AcceptHandlers handlers);
  AcceptorGroup(const AcceptorGroup&) = delete;
  AcceptorGroup& operator=(const AcceptorGroup&) = delete;

  /// Calls Acceptor::listen() of all. Throws what that throws.
  void listen();
  /// Calls Acceptor::pause() of all.
  void pause();
  /// Calls Acceptor::resume() of all.
  void resume();

  /// Where they are bound; at least one.
  [[nodiscard]] std::vector<Address> addresses() const;
  /// One for each of addresses(), in that order.
  [[nodiscard]] const std::vector<std::unique_ptr<Acceptor>>& acceptors() const {
    return acceptors_;
  }

 private:
  [[nodiscard]] bool bind_all(EventLoop& loop, const std::vector<Address>& addresses,
                              const ListenOptions& options);
  std::unique_ptr<Acceptor> bind(EventLoop& loop, const Address& address,
                                 const ListenOptions& options);

  std::shared_ptr<const AcceptHandlers> handlers_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
};

}  // namespace pollard
