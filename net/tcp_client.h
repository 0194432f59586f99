// A client: connects, and connects again if asked to.
//
//     TcpClient client(loop, Address::parse("192.0.2.1:7007"), {.on_message = …}, {.reconnect =
//     true}); client.connect();
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <system_error>

#include "pollard/base/clock.h"
#include "pollard/net/address.h"
#include "pollard/net/connection_handlers.h"
#include "pollard/net/connector.h"
#include "pollard/net/event_loop.h"
#include "pollard/net/tcp_connection.h"

namespace pollard {

struct TcpClientOptions {
  /// Connect again when a connection has ended, unless disconnect() ended it.
  bool reconnect = false;
  /// The backoff begins anew after a connection that lasted this long; a server that accepts and
  /// closes at once isn't asked again at once.
  Duration lasting = std::chrono::seconds(5);
  ConnectorOptions connector = {};
  ConnectionOptions connection = {};
};

/// Of TCP, or of a Unix-domain path. The loop's thread, where nothing else is said.
class TcpClient {
 public:
  enum class State : std::uint8_t { kIdle, kConnecting, kConnected, kDisconnecting };

  /// Throws std::system_error (operation_not_supported) when edge-triggered connections are asked
  /// for and the loop's poller has none.
  TcpClient(EventLoop& loop, const Address& server, ConnectionHandlers handlers,
            TcpClientOptions options = {});

  /// In any state, also inside of its own handlers: an open connection is closed, with its
  /// on_disconnect, before this returns, and no handler is called afterwards. In another thread
  /// than the loop's: soon after, in the loop's.
  ~TcpClient();
  TcpClient(const TcpClient&) = delete;
  TcpClient& operator=(const TcpClient&) = delete;

  /// Begins. What becomes of it, the handlers hear. In a wrong state it changes nothing and says
  /// so: connection_already_in_progress, or already_connected (also while the old connection is
  /// ending).
  std::error_code connect();

  /// Stops connecting, or ends the connection as TcpConnection::shutdown() does; no reconnect
  /// follows.
  void disconnect();

  [[nodiscard]] State state() const;
  /// Null unless there is one.
  [[nodiscard]] TcpConnectionPtr connection() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

/// "idle", "connecting", "connected" or "disconnecting".
[[nodiscard]] std::string_view to_string(TcpClient::State state);

}  // namespace pollard
