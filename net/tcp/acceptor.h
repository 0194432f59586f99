// A listening socket, and the care it takes to keep accepting on bad days.
//
// Out of descriptors (EMFILE), a level-triggered listener would report the same pending connection
// for ever. The acceptor keeps one descriptor in reserve: it gives that up to accept the new
// connection, closes it at once so that the client learns of it, and takes the reserve again. When
// even that fails, or the whole system is short of something (ENFILE, ENOBUFS, ENOMEM), accepting
// pauses for a while, longer each time; so it does when one connection after another is reported as
// failed already.
//
// A listening socket can also end: a process that has inherited it can shut it down, and then it
// accepts nothing any more (EINVAL). The acceptor reports that, and listens anew at the same
// address with a new socket, again and again if need be, with the same growing pauses. Linux says
// of a Unix-domain socket in that state that it is readable, and that accept would block; such a
// socket is found out because connections to it are refused.
//
// Nothing spins, nothing aborts, and everything is counted. platform/failure.h says which error is
// of which kind.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "pollard/base/backoff.h"
#include "pollard/base/clock.h"
#include "pollard/base/counter.h"
#include "pollard/base/move_function.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/internal/watcher.h"
#include "pollard/net/names/address.h"
#include "pollard/net/timers/timer.h"
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
  /// listened for at the addresses of both. On OpenBSD a socket of IPv6 never takes IPv4.
  bool ipv6_only = false;
  /// A Unix-domain path that is left over from a dead server is removed first, and ours at the end.
  bool replace_unix_path = true;
};

/// A listening socket that accepts nothing any more, for a reason that can't pass.
struct ListenFailure {
  Address address;        ///< where it listened
  std::error_code error;  ///< of accept, or of the attempt to listen anew
  /// When the next attempt to listen there begins, from now on. Absent when there is none, because
  /// the loop has ended (Error::kLoopClosed).
  std::optional<Duration> next_attempt = {};

  /// "listening on 127.0.0.1:80 failed: Invalid argument; next attempt in 12 ms".
  [[nodiscard]] std::string to_string() const;
};

/// Written by the acceptor's loop, read by any thread.
struct AcceptCounts {
  Counter accepted;  ///< connections that were handed on
  Counter aborted;   ///< had failed before they were accepted (ECONNABORTED and others)
  Counter rejected_no_descriptors;  ///< accepted on the reserve descriptor, and closed
  Counter pauses;                   ///< times when accepting paused, for lack of something
  Counter listen_failures;          ///< times that on_failure was called
};

/// What an acceptor calls, in its loop's thread. Each may destroy the acceptor.
struct AcceptHandlers {
  /// Gets each new socket.
  MoveFunction<void(platform::Descriptor&& socket, Address&& peer)> on_accept;
  /// Called when accepting, or an attempt to listen anew, fails for a reason that can't pass, and
  /// when the loop ends. Without it the failure is logged.
  MoveFunction<void(const ListenFailure&)> on_failure = {};
  /// Gets each listening socket before it listens, to set options that accepted sockets inherit.
  MoveFunction<void(int fd, const Address& address)> on_bound = {};
};

/// The loop's thread.
class Acceptor final : private Watcher {
 public:
  /// See AcceptHandlers::on_accept.
  using OnAccept = MoveFunction<void(platform::Descriptor&& socket, Address&& peer)>;

  /// Binds. Throws std::system_error naming the call and the address: `bind 0.0.0.0:80: Permission
  /// denied`.
  Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
           OnAccept on_accept);
  /// Binds, for one of several acceptors that share their handlers. Throws as the other does.
  Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
           std::shared_ptr<const AcceptHandlers> handlers);
  ~Acceptor() override;

  /// Listens and begins to accept. Throws std::system_error naming the call.
  void listen();

  /// Stops accepting for now; new connections wait in the backlog.
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

  //    kBound ──▶ kListening ◀──▶ kResting
  //                  │  ▲
  //                  ▼  │
  //                 kDeaf
  //
  // Each may become kGone.
  enum class State : std::uint8_t {
    kBound,      // listen() has not been called
    kListening,  // accepts, unless its user has paused it
    kResting,    // something was short: accepts nothing until a timer ends
    kDeaf,       // accepting failed for good: listens anew when a timer ends
    kGone,       // the loop has ended
  };
  void enter(State next);
  [[nodiscard]] bool accepts() const { return state_ == State::kListening && !paused_; }

  [[nodiscard]] platform::Descriptor open_socket(const Address& address) const;
  void bind(const Address& address);
  void begin_listening();
  void on_ready(Readiness ready) override;
  void on_loop_gone() override;
  [[nodiscard]] bool accept_one();
  void found_nothing();
  [[nodiscard]] bool accept_failed(std::error_code error);
  [[nodiscard]] platform::Result turn_away();
  void take_reserve();
  void rest(std::error_code error);
  void go_deaf(std::error_code error);
  void listen_anew();
  void schedule_next_attempt();
  void report(const ListenFailure& failure);
  [[nodiscard]] bool owns_path() const;
  void update_interest();

  ListenOptions options_;
  // Apart, so that they can outlive the acceptor for as long as one of them runs.
  std::shared_ptr<const AcceptHandlers> handlers_;
  Running* running_ = nullptr;
  platform::Descriptor socket_;
  platform::Descriptor reserve_;
  Address address_;
  platform::PathIdentity path_;  // of the Unix-domain path that we have made
  std::uint32_t process_;        // see platform::fork_generation()
  State state_ = State::kBound;
  bool paused_ = false;  // by our user
  unsigned batch_ = 1;
  std::uint64_t last_turn_ = 0;  // in which something was announced
  unsigned aborted_in_a_row_ = 0;
  unsigned in_vain_ = 0;  // events in a row without a connection
  Backoff rest_length_;
  Duration next_attempt_{};  // the delay that rest_end_ has
  Timer rest_end_;           // of kResting and kDeaf
  AcceptCounts counts_;
};

}  // namespace pollard
