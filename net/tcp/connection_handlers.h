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
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/bytes/buffer.h"
#include "pollard/net/names/address.h"
#include "pollard/net/tcp/timeouts.h"

namespace pollard {

class TcpConnection;
/// Keeps a connection for as long as it is held; the connection may have ended.
using TcpConnectionPtr = std::shared_ptr<TcpConnection>;

/// Why a connection ended: who or what was first.
struct DisconnectReason {
  /// Who or what ended it.
  enum class Kind : std::uint8_t {
    kPeer,       ///< the peer ended its stream in good order
    kLocal,      ///< shutdown or force_close here, or the end of the server or client
    kTimeout,    ///< a limit of time ran out: error says which, and equals std::errc::timed_out
    kError,      ///< the system or a limit said no: error says what
    kException,  ///< a handler threw: exception is what
  };
  Kind kind = Kind::kLocal;    ///< the first of them that happened
  std::error_code error = {};  ///< of kTimeout and kError
  std::exception_ptr exception = {};

  /// "peer", "local", "timeout", "timeout: nothing came for …", "error: Connection reset by peer",
  /// "exception: …".
  [[nodiscard]] std::string to_string() const;
};

/// An address that was tried in vain.
struct FailedAddress {
  Address address;        ///< where
  std::error_code error;  ///< why not
};

/// One failed attempt of a client to connect, at all addresses of its server.
struct FailedAttempt {
  std::error_code error;  ///< of the lookup, or of the last address that may work another time
  unsigned attempt = 1;   ///< counted from 1 since start, or since the last connection
  /// Until the next attempt; nothing when there is none, and on_give_up follows.
  std::optional<Duration> next_delay = {};
  /// In the order in which they failed; none when the server's name was not to be looked up.
  std::vector<FailedAddress> addresses = {};
};

/// All run in the thread of the connection's loop; each may be left out, and each may end the
/// connection, or its server or client. A connection has on_connect once, then messages, then
/// on_disconnect once (if on_connect ran), then its close callbacks. A server's handlers are shared
/// by all of its loops, and so run in several threads at a time, for different connections.
struct ConnectionHandlers {
  /// Once, first, before any input is read; sending is possible from here on.
  MoveFunction<void(const TcpConnectionPtr&)> on_connect = {};

  /// There is new input. What the handler leaves in `input` comes again, with more behind it.
  /// Without this handler, input is read and dropped.
  MoveFunction<void(const TcpConnectionPtr&, Buffer& input)> on_message = {};

  /// The peer has ended its stream (half-close). With this handler the connection stays open for
  /// sending until shutdown(); without it, it ends as soon as what is queued has left.
  MoveFunction<void(const TcpConnectionPtr&)> on_peer_end = {};

  /// Once, last but for the close callbacks. The connection can't send any more.
  MoveFunction<void(const TcpConnectionPtr&, const DisconnectReason&)> on_disconnect = {};

  /// Everything that was sent has been handed to the kernel.
  MoveFunction<void(const TcpConnectionPtr&)> on_write_complete = {};

  /// The unsent output has grown past ConnectionOptions::high_water.
  MoveFunction<void(const TcpConnectionPtr&)> on_high_water = {};
  /// It has fallen to ConnectionOptions::low_water again; only after on_high_water.
  MoveFunction<void(const TcpConnectionPtr&)> on_low_water = {};

  /// Asked once, when the connection ends, before its socket is closed: returns whether a part of
  /// an answer is still outside of the connection, in a queue of the user's or in a thread that
  /// writes it. Then the peer gets a reset, as for any output that is lost. What it throws counts
  /// as true.
  MoveFunction<bool(const TcpConnectionPtr&)> owes_output = {};

  /// Servers only: TcpServer::stop_gracefully() has begun. When this handler returns, the
  /// connection ends as by shutdown(), unless TcpConnection::set_busy(true) was called, here or
  /// before.
  MoveFunction<void(const TcpConnectionPtr&)> on_drain = {};

  /// Clients only: an attempt to connect failed.
  MoveFunction<void(const FailedAttempt&)> on_attempt_failed = {};
  /// Clients only: that was the last attempt.
  MoveFunction<void(std::error_code last_error)> on_give_up = {};
};

/// Whether a connection runs edge-triggered: registered once, for both directions, with no change
/// of interest ever after.
enum class TriggerChoice : std::uint8_t {
  kBest,  ///< edges where the backend has them
  kEdge,  ///< operation_not_supported where it doesn't
  kLevel,
};

/// How connections behave. Lengths are in bytes.
struct ConnectionOptions {
  /// See TriggerChoice.
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
  /// Bytes in memory; those of files don't count.
  std::size_t output_limit = std::size_t{64} << 20U;

  /// What exceeds these ends the connection, with Kind::kTimeout.
  Timeouts timeouts = {};

  /// SO_SNDBUF (socket(7)) in bytes; zero leaves it to the system, which adapts it.
  int send_buffer_bytes = 0;
  /// SO_RCVBUF (socket(7)), likewise.
  int receive_buffer_bytes = 0;
};

}  // namespace pollard
