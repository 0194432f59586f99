// Couples two connections: what comes from one goes to the other, both ways.
//
//     TcpServer server(loop, address, relay_handlers({.on_connect = [&](auto& client) {
//       … begin to connect to the other side, whose handlers are relay_handlers() too, and there:
//       couple(client, upstream);
//     }}));
//
// Memory is bounded: reading of one side pauses while the other's unsent output is above its
// ConnectionOptions::high_water, and goes on when that has fallen to low_water. The end of a stream
// is passed on behind its data, so that one direction can end before the other (half-close). When
// one side ends altogether, what is queued for the other still leaves, and then that one ends too:
// by a reset (RST) if the first one was reset, timed out or failed in another way, so that its
// receiver can't take the truncated stream for a complete one.
#pragma once

#include <chrono>

#include "pollard/base/clock.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/tcp_connection.h"

namespace pollard {

/// How a coupling ends.
struct RelayOptions {
  /// How long a connection may live whose other side has died: to take what is queued for it, and
  /// to end its own stream, of which nothing is kept.
  Duration linger = std::chrono::seconds(10);
};

/// Handlers for connections that are going to be coupled. Such a connection isn't read until it is
/// (no byte of it is lost meanwhile); its context() is the relay's from couple() on. Of `own`,
/// on_connect, on_disconnect, on_attempt_failed and on_give_up are called as well, the first two
/// after the relay has done its part; on_message is called for connections that were resumed
/// before they were coupled, such as to read a request that says where to go. (Who ends its stream
/// as early as that is ended.)
[[nodiscard]] ConnectionHandlers relay_handlers(ConnectionHandlers own = {});

/// Couples two connections of one loop, whose handlers are from relay_handlers(), and begins to
/// read them. When one of them has ended already, the other ends as well. The loop's thread.
void couple(const TcpConnectionPtr& first, const TcpConnectionPtr& second,
            const RelayOptions& options = {});

}  // namespace pollard
