// A server: listens, and serves its connections in one loop or in several.
//
//     TcpServer echo(loop, Address::any(7007), {
//         .on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
//         connection->send(input); },
//     });
//     echo.start();
//     loop.run();
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "pollard/base/clock.h"
#include "pollard/net/acceptor.h"
#include "pollard/net/address.h"
#include "pollard/net/connection_handlers.h"
#include "pollard/net/event_loop.h"
#include "pollard/net/tcp_connection.h"

namespace pollard {

/// Which of a server's loops a new connection goes to.
enum class Balance : std::uint8_t {
  kRoundRobin,
  kLeastConnections,
  /// Each loop listens by itself and the kernel balances: no hand-over between threads. Fails to
  /// start, with operation_not_supported, where the kernel doesn't (see
  /// ListenOptions::reuse_port_balanced).
  kKernel,
};

/// What happens to who comes when there are max_connections.
enum class WhenFull : std::uint8_t {
  kRefuse,  ///< accepted, and closed at once
  kWait,    ///< left in the backlog until somebody goes
};

struct TcpServerOptions {
  /// Loops in threads of their own, which serve all connections; zero: the server's loop does.
  unsigned threads = 0;
  Balance balance = Balance::kRoundRobin;
  /// Runs in each of those threads, before it serves.
  MoveFunction<void(EventLoop&)> on_thread_start = {};

  std::size_t max_connections = SIZE_MAX;
  WhenFull when_full = WhenFull::kRefuse;

  ListenOptions listen = {};
  ConnectionOptions connection = {};
};

/// What a server has done since it was made.
struct TcpServerStats {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;        ///< for max_connections
  std::uint64_t turned_away = 0;    ///< for want of descriptors
  std::uint64_t aborted = 0;        ///< gone before they were accepted
  std::uint64_t accept_pauses = 0;  ///< for want of anything
  std::uint64_t failed = 0;         ///< accepted, but the poller could not watch them
  std::size_t open = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t sends_dropped = 0;
  /// By DisconnectReason::Kind.
  std::array<std::uint64_t, 5> closed{};
};

/// The thread of the loop it is given, where nothing else is said; its handlers run in the threads
/// of the connections' loops.
class TcpServer {
 public:
  /// Binds. Throws std::system_error naming the call and the address (`bind 0.0.0.0:80: Permission
  /// denied`), or operation_not_supported for edges that the poller lacks.
  TcpServer(EventLoop& loop, const Address& address, ConnectionHandlers handlers,
            TcpServerOptions options = {});

  /// As stop(). Not from a handler that runs in one of the server's own threads.
  ~TcpServer();
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;

  /// Starts the threads and listens; no effect when it has started. Throws std::system_error naming
  /// the call, which after a stop() may again be bind: the port was free meanwhile; and
  /// operation_in_progress in a handler that a stop() calls.
  void start();

  /// Ends everything now: listening, the connections (each with its on_disconnect) and the threads.
  /// No handler runs after it returns. start() begins again, at the same address.
  void stop();

  /// Stops listening, and ends each connection as TcpConnection::shutdown(limit) does; when the
  /// last has gone, stops and calls `done`. A stop() meanwhile ends it without `done`.
  void stop_gracefully(Duration limit, Task done = {});

  [[nodiscard]] bool started() const;

  /// Where it listens, with the port that the system chose for port 0. Any thread.
  [[nodiscard]] const Address& address() const;

  /// Open connections in all loops. Any thread.
  [[nodiscard]] std::size_t connection_count() const;
  [[nodiscard]] TcpServerStats stats() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace pollard
