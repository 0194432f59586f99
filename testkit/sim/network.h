// Who is where: ports and their sockets, names of Unix-domain sockets, and addresses that are
// somebody's, nobody's, silent or closed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/platform/endpoint.h"

namespace pollard::sim {

class TcpSocket;
class UnixSocket;
struct KernelOptions;

/// What becomes of a packet to an address.
enum class Route : std::uint8_t { kHere, kNowhere, kSilent, kRefusing };

class Network {
 public:
  Network(const KernelOptions& options, SplitMix64& random);

  [[nodiscard]] bool is_local(const platform::Endpoint& address) const;
  [[nodiscard]] Route route(const platform::Endpoint& to) const;
  void set_rule(const platform::Endpoint& address, Route route);
  void drop_rule(const platform::Endpoint& address);

  /// Gives the socket its local address; a port of 0 is replaced by a free one, given there.
  /// 0, -EADDRINUSE or -EADDRNOTAVAIL.
  int bind(TcpSocket& socket, platform::Endpoint& address);
  void unbind(TcpSocket& socket);
  /// Notes a socket that shares its port by right: one that was accepted.
  void share_port(TcpSocket& socket, std::uint16_t port) { ports_.emplace(port, &socket); }
  /// Whether the socket may listen where it is bound: 0 or -EADDRINUSE.
  [[nodiscard]] int may_listen(const TcpSocket& socket) const;

  /// Who listens there; among several that share the port, the one for this client.
  [[nodiscard]] TcpSocket* listener_for(const platform::Endpoint& to,
                                        const platform::Endpoint& from) const;
  [[nodiscard]] bool is_connected(const platform::Endpoint& local,
                                  const platform::Endpoint& peer) const;

  /// The oldest connection with an end there; null where there is none.
  [[nodiscard]] std::shared_ptr<TcpSocket> find_connection(const platform::Endpoint& local) const;

  /// A connection lives, whether a descriptor stands for it or not, until both ends have ended.
  void keep(std::shared_ptr<TcpSocket> socket) { connections_.insert(std::move(socket)); }
  void forget(TcpSocket& socket);
  void forget_all();

  // Unix-domain names: paths, and abstract names that begin with NUL.
  struct Name {
    std::weak_ptr<UnixSocket> socket;
    std::uint64_t number;  // as an inode
  };
  /// Whether the name is new.
  bool add_name(const std::string& name, std::weak_ptr<UnixSocket> socket);
  [[nodiscard]] const Name* find_name(const std::string& name) const;
  bool remove_name(const std::string& name) { return names_.erase(name) > 0; }

 private:
  struct Rule {
    platform::Endpoint address;
    Route route;
  };

  [[nodiscard]] bool conflicts(const TcpSocket& socket, const platform::Endpoint& wanted) const;
  [[nodiscard]] std::uint16_t free_port(TcpSocket& socket, platform::Endpoint wanted);

  const KernelOptions& options_;
  std::uint64_t balance_seed_;
  std::uint16_t next_port_;
  std::vector<Rule> rules_;
  std::multimap<std::uint16_t, TcpSocket*> ports_;
  std::set<std::shared_ptr<TcpSocket>> connections_;
  std::map<std::string, Name> names_;
  std::uint64_t names_made_ = 0;
};

}  // namespace pollard::sim
