// What the connections of one owner in one loop share: their loop, handlers, options and counts,
// and the list of those that are open. A server has a group for each of its loops, a client has
// one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/base/counter.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/address.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/internal/loop_connections.h"
#include "pollard/platform/descriptor.h"

namespace pollard {

/// What the connections of a group have done; written by its loop, read by anybody.
struct ConnectionStats {
  Counter opened;                               ///< connections that were made
  Counter bytes_received;                       ///< by all of them
  Counter bytes_sent;                           ///< handed to the kernel
  std::atomic<std::uint64_t> sends_dropped{0};  ///< counted by any thread
  std::array<Counter, 5> closed;                ///< by DisconnectReason::Kind
  Counter failed;                               ///< accepted or connected, but not to be watched
};

/// For the groups that are to share them; where nobody hears messages, they are dropped.
[[nodiscard]] std::shared_ptr<const ConnectionHandlers> share_handlers(ConnectionHandlers handlers);

/// Lives for as long as one of its connections; the owner may end before. A connection that another
/// thread keeps may keep its group beyond the loop, but not what belongs to the loop: the handlers.
/// The loop's thread, where nothing else is said.
class ConnectionGroup : public std::enable_shared_from_this<ConnectionGroup> {
 public:
  /// Throws std::system_error (operation_not_supported) when edges are asked for and the loop's
  /// poller has none.
  ConnectionGroup(EventLoop& loop, std::shared_ptr<const ConnectionHandlers> handlers,
                  const ConnectionOptions& options);
  ConnectionGroup(const ConnectionGroup&) = delete;
  ConnectionGroup& operator=(const ConnectionGroup&) = delete;

  /// Called after each connection's last callback, until it is replaced.
  void set_on_closed(Task on_closed);

  /// Makes a connection of a connected socket and runs its on_connect; fails when it can't be
  /// watched.
  [[nodiscard]] std::error_code open(platform::Descriptor&& socket, Address&& peer);

  /// One that is open; null when there is none.
  [[nodiscard]] TcpConnectionPtr any() const;

  /// Ends all, now: no callback of theirs comes after it returns.
  void close_all(const DisconnectReason& reason);
  /// Asks all to end within `limit`: see TcpServer::stop_gracefully().
  void drain_all(Duration limit);
  /// Calls `visit` for each that is open; what it throws ends that connection.
  void for_each(const MoveFunction<void(const TcpConnectionPtr&)>& visit);

  /// Ends the owner's part: no connection is opened any more, and the handlers are destroyed when
  /// the last connection has left the loop, whatever keeps the group itself alive. The loop's
  /// thread, or any when the loop is gone.
  void abandon();

  /// Heap memory that all of them hold, in bytes.
  [[nodiscard]] std::size_t buffer_memory() const;

  /// Any thread.
  [[nodiscard]] std::size_t open_count() const {
    return open_count_.load(std::memory_order_relaxed);
  }
  /// Any thread.
  [[nodiscard]] const ConnectionStats& counts() const { return counts_; }

 private:
  friend class LoopConnections;
  friend class TcpConnection;

  [[nodiscard]] std::vector<TcpConnectionPtr> all_open() const;
  [[nodiscard]] std::span<TcpConnection* const> open_ones() const {
    return std::span(members_).first(open_count());
  }
  void assert_in_loop_thread() const;
  void make_room();
  void insert(TcpConnection& connection);
  void remove(TcpConnection& connection, DisconnectReason::Kind why);
  void swap_places(std::size_t one, std::size_t other);
  void closed();
  void retire(TcpConnection& ended);
  void finish_retired();
  void let_leave(TcpConnection& ended);

  EventLoop* loop_;
  LoopConnections* shared_;  // the loop's, for as long as it exists
  LoopHandle handle_;
  std::shared_ptr<const ConnectionHandlers> handlers_;
  ConnectionOptions options_;
  bool edge_;
  bool has_timeouts_;                      // in options_
  std::shared_ptr<const Task> on_closed_;  // shared: it may be replaced while it runs
  // Those that are open, and behind them those that have ended in this turn: so that an end, which
  // nobody can refuse, needs no memory.
  std::vector<TcpConnection*> members_;
  std::atomic<std::size_t> open_count_{0};
  std::shared_ptr<ConnectionGroup> next_retiring_;  // of the loop's list, which owns its members
  bool retiring_ = false;                           // it is in that list
  bool abandoned_ = false;
  ConnectionStats counts_;
  // To copy: the default constructor of an error_code asks the C++ library for its category.
  const std::error_code no_error_;
};

/// Applies what of `options` belongs to the socket. On a listener it is inherited by what is
/// accepted, which saves the calls on each. Failures are ignored: they are wishes, and a socket
/// whose peer has gone refuses them all on Darwin.
void apply_socket_options(int fd, const Address& address, const ConnectionOptions& options);

}  // namespace pollard
