// A client: connects, and connects again if asked to.
//
//     TcpClient client(loop, "example.org:7007", {.on_message = …}, {.reconnect = true});
//     client.connect();
//
// A name is looked up anew for every attempt, and when it has several addresses they are raced
// (RFC 8305).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <system_error>

#include "pollard/base/clock.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/host_port.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/connector.h"
#include "pollard/net/tcp/tcp_connection.h"

namespace pollard {

/// How a client connects, and its connections behave.
struct TcpClientOptions {
  /// Connect again when a connection has ended, unless disconnect() ended it.
  bool reconnect = false;
  /// The backoff begins anew after a connection that lasted this long; a server that accepts and
  /// closes at once isn't asked again at once.
  Duration backoff_reset_after = std::chrono::seconds(5);
  ConnectorOptions connector = {};    ///< patience, delays, addresses
  ConnectionOptions connection = {};  ///< of each connection
};

/// A client of TCP, or of a Unix-domain path. The loop's thread, which each function asserts, where
/// nothing else is said.
class TcpClient {
 public:
  /// kDisconnecting: our side has ended, the connection hasn't.
  enum class State : std::uint8_t { kIdle, kConnecting, kConnected, kDisconnecting };

  /// `server` may be an Address or a text that HostPort reads. Throws std::system_error:
  /// operation_not_supported when edge-triggered connections are asked for and the loop's poller
  /// has none, invalid_argument for a text that is no host and port.
  TcpClient(EventLoop& loop, const HostPort& server, ConnectionHandlers handlers,
            TcpClientOptions options = {});

  /// In any state, also inside of its own handlers: an open connection is closed, with its
  /// on_disconnect, before this returns, and no handler is called afterwards. In another thread
  /// than the loop's: soon after, in the loop's.
  ~TcpClient();
  TcpClient(const TcpClient&) = delete;
  TcpClient& operator=(const TcpClient&) = delete;

  // From any thread, while the client exists.

  /// Stops connecting, or ends the connection as TcpConnection::shutdown() does; no reconnect
  /// follows. In the loop's thread before it returns, from another soon after, in the loop's
  /// thread; then it throws std::bad_alloc, with nothing changed, when the loop's mailbox can't
  /// grow. No effect when the loop is gone.
  void disconnect();

  // In the loop's thread.

  /// Starts connecting, with the shortest delay of the backoff after the first failure. The result
  /// is reported through the handlers. In a wrong state it changes nothing and says so:
  /// connection_already_in_progress, or already_connected (also while the old connection is
  /// ending); inside the destructor operation_canceled; and as Connector::start().
  std::error_code connect();

  /// Returns the state; kIdle once the loop is gone.
  [[nodiscard]] State state() const;
  /// Returns the connection; null unless there is one.
  [[nodiscard]] TcpConnectionPtr connection() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

/// "idle", "connecting", "connected" or "disconnecting".
[[nodiscard]] std::string_view to_string(TcpClient::State state);

}  // namespace pollard
