// A listening socket, and the care it takes to keep accepting on bad days.
//
// Out of descriptors (EMFILE), a level-triggered listener would report the same pending connection
// for ever. The acceptor keeps one descriptor in reserve: it is given up to accept the newcomer,
// who is closed at once and so learns that nobody is at home, and taken again. When even that
// fails, or the whole system is short of something (ENFILE, ENOBUFS, ENOMEM), accepting pauses for
// a while, longer each time; so it does when one newcomer after another is said to be gone already.
// Nothing spins, nothing aborts, and everything is counted.
#pragma once

#include <cstdint>
#include <memory>

#include "pollard/base/backoff.h"
#include "pollard/base/counter.h"
#include "pollard/base/move_function.h"
#include "pollard/net/address.h"
#include "pollard/net/event_loop.h"
#include "pollard/net/timer.h"
#include "pollard/net/watcher.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/result.h"
#include "pollard/platform/socket.h"

namespace pollard {

/// How a server listens.
struct ListenOptions {
  int backlog = 1024;  ///< of listen(2); the system has a maximum of its own
  /// SO_REUSEADDR: a restarted server gets its port although old connections linger in TIME_WAIT.
  bool reuse_address = true;
  /// Several listeners, one for each loop of a server, between which the kernel balances. Fails
  /// with operation_not_supported where it doesn't.
  bool reuse_port_balanced = false;
  /// IPv6 alone, where [::] would take IPv4 as well (RFC 3493 5.3), and a name or "*:80" would be
  /// listened for at the addresses of both.
  bool ipv6_only = false;
  /// A Unix-domain path that is left over from a dead server is removed first, and ours at the end.
  bool replace_unix_path = true;
};

/// Written by the acceptor's loop, read by any thread.
struct AcceptCounts {
  Counter accepted;     ///< newcomers that were handed on
  Counter aborted;      ///< gone again before they were accepted (ECONNABORTED and its like)
  Counter turned_away;  ///< accepted on the reserve descriptor, and closed
  Counter pauses;       ///< times when accepting paused, for lack of something
};

/// The loop's thread.
class Acceptor final : private Watcher {
 public:
  /// Gets each new socket. It may destroy the acceptor.
  using OnAccept = MoveFunction<void(platform::Descriptor&& socket, Address&& peer)>;

  /// Binds. Throws std::system_error naming the call and the address: `bind 0.0.0.0:80: Permission
  /// denied`.
  Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
           OnAccept on_accept);
  /// The same for several that share what gets their sockets.
  Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
           std::shared_ptr<const OnAccept> on_accept);
  ~Acceptor() override;

  /// Listens and begins to accept. Throws std::system_error naming the call.
  void listen();

  /// Stops accepting for now; who comes waits in the backlog.
  void pause();
  /// Goes on after pause().
  void resume();

  /// Where it is bound, with the port that the system chose for port 0.
  [[nodiscard]] const Address& address() const { return address_; }
  /// The listening socket, which stays the acceptor's.
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Any thread, while the acceptor lives.
  [[nodiscard]] const AcceptCounts& counts() const { return counts_; }

 private:
  class Running;

  void bind(const Address& address);
  void on_ready(Readiness ready) override;
  void on_loop_gone() override;
  [[nodiscard]] bool accept_one();
  [[nodiscard]] bool accept_failed(std::error_code error);
  [[nodiscard]] platform::Result turn_away();
  void take_reserve();
  void rest();
  void update_interest();

  ListenOptions options_;
  // Apart, so that it can outlive the acceptor for as long as it runs.
  std::shared_ptr<const OnAccept> on_accept_;
  Running* running_ = nullptr;
  platform::Descriptor socket_;
  platform::Descriptor reserve_;
  Address address_;
  platform::PathIdentity path_;  // of the Unix-domain path that is ours to remove
  std::uint32_t process_;        // see platform::fork_generation()
  bool paused_ = false;          // by our user
  bool resting_ = false;         // by ourselves
  unsigned batch_ = 1;
  std::uint64_t last_turn_ = 0;  // in which somebody was announced
  unsigned aborted_in_a_row_ = 0;
  Backoff rest_length_;
  Timer rest_end_;
  AcceptCounts counts_;
};

}  // namespace pollard
