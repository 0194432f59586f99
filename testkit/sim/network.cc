#include "pollard/testkit/sim/network.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "pollard/testkit/sim/addresses.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/testkit/sim/tcp_socket.h"

namespace pollard::sim {

using platform::Endpoint;

namespace {

// Linux's net.ipv4.ip_local_port_range.
constexpr std::uint16_t kFirstPort = 32768;
constexpr std::uint16_t kLastPort = 60999;
constexpr std::uint64_t kPorts = kLastPort - kFirstPort + 1;

bool covers(const Endpoint& rule, const Endpoint& address) {
  return rule.family == address.family && (is_any(rule) || rule.ip == address.ip) &&
         (rule.port == 0 || rule.port == address.port);
}

// Whether a socket at `bound` hears what is sent to this address.
bool hears(const TcpSocket& socket, const Endpoint& to) {
  const Endpoint& bound = socket.local();
  if (same_ip(bound, to)) return true;
  if (!is_any(bound)) return false;
  return bound.family == to.family || socket.takes_ipv4();
}

}  // namespace

// Ports go round and round from a place that the seed says, so that a port that was given up is
// given out again after all others.
Network::Network(const KernelOptions& options, SplitMix64& random)
    : options_(options),
      balance_seed_(random.next()),
      next_port_(static_cast<std::uint16_t>(kFirstPort + random.up_to(kPorts - 1))) {}

bool Network::is_local(const Endpoint& address) const {
  const auto is_ours = [&](const Endpoint& own) { return same_ip(own, address); };
  return is_loopback(address) || std::ranges::any_of(options_.addresses, is_ours);
}

Route Network::route(const Endpoint& to) const {
  const auto rule =
      std::ranges::find_if(rules_, [&](const Rule& each) { return covers(each.address, to); });
  if (rule != rules_.end()) return rule->route;
  return is_local(to) ? Route::kHere : Route::kNowhere;
}

void Network::set_rule(const Endpoint& address, Route route) {
  drop_rule(address);
  rules_.push_back({address, route});
}

void Network::drop_rule(const Endpoint& address) {
  std::erase_if(rules_, [&](const Rule& rule) { return rule.address == address; });
}

int Network::bind(TcpSocket& socket, Endpoint& address) {
  if (!is_any(address) && !is_local(address)) return -EADDRNOTAVAIL;
  if (address.port == 0) {
    address.port = free_port(socket, address);
    if (address.port == 0) return -EADDRINUSE;
  } else if (conflicts(socket, address)) {
    return -EADDRINUSE;
  }
  ports_.emplace(address.port, &socket);
  return 0;
}

void Network::unbind(TcpSocket& socket) {
  const auto [first, last] = ports_.equal_range(socket.local().port);
  const auto found =
      std::find_if(first, last, [&](auto& entry) { return entry.second == &socket; });
  if (found != last) ports_.erase(found);
}

// Two sockets may share a port at different addresses; at the same if both want to reuse it and
// neither listens (SO_REUSEADDR), or both want to share it (SO_REUSEPORT): socket(7).
bool Network::conflicts(const TcpSocket& socket, const Endpoint& wanted) const {
  const auto [first, last] = ports_.equal_range(wanted.port);
  return std::any_of(first, last, [&](const auto& entry) {
    const TcpSocket& other = *entry.second;
    if (&other == &socket) return false;
    const Endpoint& taken = other.local();
    const bool other_family = taken.family != wanted.family;
    const bool overlap =
        other_family
            ? (is_any(taken) && other.takes_ipv4() && wanted.family == platform::Family::kIpv4) ||
                  (is_any(wanted) && socket.takes_ipv4() && taken.family == platform::Family::kIpv4)
            : same_ip(taken, wanted) || is_any(taken) || is_any(wanted);
    if (!overlap) return false;
    const SocketOptions& ours = socket.options();
    const SocketOptions& theirs = other.options();
    const bool reused = ours.reuse_address && theirs.reuse_address && !other.is_listening();
    return !reused && !(ours.reuse_port && theirs.reuse_port);
  });
}

std::uint16_t Network::free_port(TcpSocket& socket, Endpoint wanted) {
  for (std::uint64_t tried = 0; tried < kPorts; ++tried) {
    wanted.port = next_port_;
    next_port_ = next_port_ == kLastPort ? kFirstPort : static_cast<std::uint16_t>(next_port_ + 1);
    if (!ports_.contains(wanted.port) || !conflicts(socket, wanted)) return wanted.port;
  }
  return 0;
}

int Network::may_listen(const TcpSocket& socket) const {
  const auto [first, last] = ports_.equal_range(socket.local().port);
  const bool taken = std::any_of(first, last, [&](const auto& entry) {
    const TcpSocket& other = *entry.second;
    return &other != &socket && other.is_listening() && same_ip(other.local(), socket.local()) &&
           !(other.options().reuse_port && socket.options().reuse_port);
  });
  return taken ? -EADDRINUSE : 0;
}

// The most specific address wins: one of its own, then any of the family, then any of both.
TcpSocket* Network::listener_for(const Endpoint& to, const Endpoint& from) const {
  const auto rank = [&](const TcpSocket& socket) {
    if (!is_any(socket.local())) return 0;
    return socket.local().family == to.family ? 1 : 2;
  };
  std::vector<TcpSocket*> best;
  const auto [first, last] = ports_.equal_range(to.port);
  for (auto entry = first; entry != last; ++entry) {
    TcpSocket* const socket = entry->second;
    if (!socket->is_listening() || !hears(*socket, to)) continue;
    if (!best.empty() && rank(*socket) > rank(*best.front())) continue;
    if (!best.empty() && rank(*socket) < rank(*best.front())) best.clear();
    best.push_back(socket);
  }
  if (best.empty()) return nullptr;
  SplitMix64 choice(balance_seed_ ^ (std::uint64_t{from.port} << 32U) ^ to.port);
  return best[choice.up_to(best.size() - 1)];
}

bool Network::is_connected(const Endpoint& local, const Endpoint& peer) const {
  return std::ranges::any_of(connections_, [&](const std::shared_ptr<TcpSocket>& socket) {
    return socket->local() == local && socket->peer_address() == peer;
  });
}

std::shared_ptr<TcpSocket> Network::find_connection(const Endpoint& local) const {
  const auto [first, last] = ports_.equal_range(local.port);
  const auto found = std::find_if(first, last, [&](const auto& entry) {
    return entry.second->local() == local && entry.second->is_connected();
  });
  if (found == last) return nullptr;
  return std::static_pointer_cast<TcpSocket>(found->second->shared_from_this());
}

void Network::forget(TcpSocket& socket) {
  const auto found =
      connections_.find(std::static_pointer_cast<TcpSocket>(socket.shared_from_this()));
  if (found != connections_.end()) connections_.erase(found);
}

void Network::forget_all() {
  while (!connections_.empty()) connections_.erase(connections_.begin());
}

bool Network::add_name(const std::string& name, std::weak_ptr<UnixSocket> socket) {
  return names_.emplace(name, Name{std::move(socket), ++names_made_}).second;
}

const Network::Name* Network::find_name(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : &found->second;
}

}  // namespace pollard::sim
