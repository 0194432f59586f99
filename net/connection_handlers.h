// What a connection calls, and how it behaves: one struct each, given to the server or client that
// makes the connections, with the names of the fields at the place where they are written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/buffer.h"

namespace pollard {

class TcpConnection;
using TcpConnectionPtr = std::shared_ptr<TcpConnection>;

/// Why a connection ended: who or what was first.
struct DisconnectReason {
  enum class Kind : std::uint8_t {
    kPeer,       ///< the peer ended its stream in good order
    kLocal,      ///< shutdown or force_close here, or the end of the server or client
    kTimeout,    ///< a limit of time ran out: error is timed_out
    kError,      ///< the system or a limit said no: error says what
    kException,  ///< a handler threw: exception is what
  };
  Kind kind = Kind::kLocal;
  std::error_code error = {};
  std::exception_ptr exception = {};

  /// "peer", "local", "timeout", "error: Connection reset by peer", "exception: …".
  [[nodiscard]] std::string to_string() const;
};

/// One failed attempt of a client to connect.
struct FailedAttempt {
  std::error_code error;
  unsigned attempt = 1;  ///< counted from 1 since start, or since the last connection
  /// Until the next attempt; nothing when there is none, and on_give_up follows.
  std::optional<Duration> next_delay = {};
};

/// All run in the thread of the connection's loop; each may be left out, and each may end the
/// connection, or its server or client. A connection has on_connect once, then messages, then
/// on_disconnect once (if on_connect ran), then its close callbacks. A server's handlers are shared
/// by all of its loops, and so run in several threads at a time, for different connections.
struct ConnectionHandlers {
  MoveFunction<void(const TcpConnectionPtr&)> on_connect = {};

  /// There is new input. What the handler leaves in `input` comes again, with more behind it.
  /// Without this handler, input is read and dropped.
  MoveFunction<void(const TcpConnectionPtr&, Buffer& input)> on_message = {};

  /// The peer has ended its stream (half-close). With this handler the connection stays open for
  /// sending until shutdown(); without it, it ends as soon as what is queued has left.
  MoveFunction<void(const TcpConnectionPtr&)> on_peer_end = {};

  MoveFunction<void(const TcpConnectionPtr&, const DisconnectReason&)> on_disconnect = {};

  /// Everything that was sent has been handed to the kernel.
  MoveFunction<void(const TcpConnectionPtr&)> on_write_complete = {};

  /// The unsent output has grown past ConnectionOptions::high_water, and fallen to low_water again.
  MoveFunction<void(const TcpConnectionPtr&)> on_high_water = {};
  MoveFunction<void(const TcpConnectionPtr&)> on_low_water = {};

  /// Clients only: an attempt to connect failed; it was the last.
  MoveFunction<void(const FailedAttempt&)> on_attempt_failed = {};
  MoveFunction<void(std::error_code last_error)> on_give_up = {};
};

/// Whether a connection runs edge-triggered: registered once, for both directions, with no change
/// of interest ever after.
enum class TriggerChoice : std::uint8_t {
  kBest,  ///< edges where the backend has them
  kEdge,  ///< operation_not_supported where it doesn't
  kLevel,
};

struct ConnectionOptions {
  TriggerChoice trigger = TriggerChoice::kBest;

  bool no_delay = true;     ///< TCP_NODELAY (tcp(7)): small messages leave at once
  bool keep_alive = false;  ///< SO_KEEPALIVE (RFC 1122 4.2.3.6)

  std::size_t high_water = std::size_t{1} << 20U;  ///< unsent bytes, but those of files
  std::size_t low_water = std::size_t{1} << 18U;   ///< or high_water, if that is lower

  /// Stop reading from a connection while its own output is above high_water, until it falls to
  /// low_water: for servers that answer in proportion to what they are asked. Not for two peers
  /// that both do it and both send without reading: they would wait for each other.
  bool pause_reading_when_full = false;

  /// What exceeds these ends the connection, with Error::kInputLimit or kOutputLimit: input that
  /// on_message leaves unread, output that the peer doesn't take.
  std::size_t input_limit = std::size_t{64} << 20U;
  std::size_t output_limit = std::size_t{64} << 20U;

  /// SO_SNDBUF and SO_RCVBUF in bytes; zero leaves them to the system, which adapts them.
  int send_buffer_bytes = 0;
  int receive_buffer_bytes = 0;
};

}  // namespace pollard
