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
#include <string>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/address.h"
#include "pollard/net/names/host_port.h"
#include "pollard/net/tcp/acceptor.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/tcp_connection.h"

namespace pollard {

/// Which of a server's loops a new connection goes to.
enum class LoadBalancing : std::uint8_t {
  kRoundRobin,
  kLeastConnections,
  /// Each loop listens by itself and the kernel balances: no hand-over between threads. Fails to
  /// start, with operation_not_supported, where the kernel doesn't (see
  /// ListenOptions::reuse_port_balanced).
  kKernel,
};

/// What to do with a new connection when max_connections are open.
enum class WhenFull : std::uint8_t {
  kRefuse,  ///< accept it and close it at once
  kWait,    ///< leave it in the backlog until another connection ends
};

/// How a server is made.
struct TcpServerOptions {
  /// Loops in threads of their own, which serve all connections; zero: the server's loop does.
  unsigned threads = 0;
  /// See LoadBalancing; with threads only.
  LoadBalancing balance = LoadBalancing::kRoundRobin;
  /// Their options, made for each when it starts, in the thread of start(). The poller is that of
  /// the server's loop unless they name one; without an on_exception the server's loop throws what
  /// a thread's run() would throw.
  MoveFunction<EventLoopOptions(unsigned thread)> thread_options = {};
  /// Runs in each of those threads, before it serves.
  MoveFunction<void(EventLoop&)> on_thread_start = {};

  /// Open ones, in all loops.
  std::size_t max_connections = SIZE_MAX;
  /// See WhenFull.
  WhenFull when_full = WhenFull::kRefuse;

  /// Called when a listening socket accepts nothing any more, for a reason that can't pass: another
  /// process has shut it down, or closed its descriptor. The server tries again and again to listen
  /// there anew, as ListenFailure says. Runs in the thread of the loop that listens: with
  /// LoadBalancing::kKernel in those of the server's threads. Without it the failure is logged.
  MoveFunction<void(const ListenFailure&)> on_listen_failure = {};

  ListenOptions listen = {};          ///< of the listening socket
  ConnectionOptions connection = {};  ///< of each connection
};

/// What a server has done since it was made.
struct TcpServerStats {
  std::uint64_t accepted = 0;  ///< those that were refused included
  std::uint64_t refused = 0;   ///< closed at once: max_connections, or no thread is left
  std::uint64_t rejected_no_descriptors = 0;  ///< for want of descriptors
  std::uint64_t aborted = 0;                  ///< gone before they were accepted
  std::uint64_t accept_pauses = 0;            ///< for want of anything
  std::uint64_t listen_failures = 0;          ///< see TcpServerOptions::on_listen_failure
  std::uint64_t failed = 0;                   ///< accepted, but the poller could not watch them
  std::size_t open = 0;                       ///< connections, now
  std::uint64_t bytes_received = 0;           ///< by all connections
  std::uint64_t bytes_sent = 0;               ///< handed to the kernel
  std::uint64_t sends_dropped = 0;  ///< after the end of the connection or its sending side
  /// By DisconnectReason::Kind.
  std::array<std::uint64_t, 5> closed{};
};

/// One of the loops that serve a server's connections.
struct TcpServerThread {
  std::string poller;             ///< what its loop really runs on
  LoopStats loop;                 ///< of that thread
  std::size_t open = 0;           ///< connections
  std::size_t buffer_memory = 0;  ///< that they hold, in bytes
};

/// The thread of the loop it is given, where nothing else is said; its handlers run in the threads
/// of the connections' loops.
class TcpServer {
 public:
  /// See for_each_connection().
  using Visitor = MoveFunction<void(const TcpConnectionPtr&)>;

  /// Binds. `where` may be an Address or a text that HostPort reads: "localhost:80" is looked up,
  /// once, which blocks, and all of its addresses are listened at; "*:80" is every interface, of
  /// IPv4 and of IPv6. An address that this machine doesn't have is left out as long as there is
  /// another. Throws std::system_error naming the call and the address (`bind 0.0.0.0:80:
  /// Permission denied`), or operation_not_supported for edges that the poller lacks.
  TcpServer(EventLoop& loop, const HostPort& where, ConnectionHandlers handlers,
            TcpServerOptions options = {});

  /// Does what stop() does. It may be called by a handler, also by one that runs inside stop(), but
  /// not by a handler that runs in one of the server's own threads.
  ~TcpServer();
  TcpServer(const TcpServer&) = delete;
  TcpServer& operator=(const TcpServer&) = delete;

  /// Starts the threads and listens; no effect when it has started. Throws std::system_error naming
  /// the call, which after a stop() may again be bind: the port was free meanwhile; and
  /// operation_in_progress in a handler that a stop() calls.
  void start();

  /// Ends everything now: listening, the connections (each with its on_disconnect) and the threads.
  /// No handler runs after it returns, but for the close callbacks of a connection whose own
  /// on_disconnect calls it. start() begins again, at the same address.
  void stop();

  /// Stops accepting new connections; the open ones go on. Lasts until stop() and start().
  void stop_listening();

  /// Stops listening, and lets what is under way come to its end: in the thread of each connection,
  /// on_drain is called, and then the connection ends as by TcpConnection::shutdown(), at once
  /// unless it was marked by TcpConnection::set_busy(true), and else when that mark is taken away.
  /// What still lives after `limit` is closed with Kind::kTimeout. When the last has gone, the
  /// server stops and calls `done`. No handler runs before this function returns. A stop() before
  /// that ends it without `done`.
  void stop_gracefully(Duration limit, Task done = {});

  /// Calls `visit` soon for each connection that is open by then, in the thread of its loop: so for
  /// connections of different threads at the same time. What it throws ends that connection. Any
  /// thread.
  void for_each_connection(Visitor visit);

  /// Between start() and the end of stop().
  [[nodiscard]] bool started() const;

  /// The first address where it listens, with the port that the system chose for port 0. Any
  /// thread.
  [[nodiscard]] const Address& address() const { return addresses().front(); }
  /// All of them. Any thread.
  [[nodiscard]] const std::vector<Address>& addresses() const;

  /// Open connections in all loops. Any thread.
  [[nodiscard]] std::size_t connection_count() const;
  /// What it has done since it was made. Any thread.
  [[nodiscard]] TcpServerStats stats() const;

  /// Asks each thread, or the server's own loop where there are none, and waits for its answer: for
  /// as long as the longest of their handlers runs.
  [[nodiscard]] std::vector<TcpServerThread> threads() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace pollard
