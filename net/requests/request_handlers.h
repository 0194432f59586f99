// What a server with workers calls, and how it behaves.
#pragma once

#include <any>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/loop/worker_pool.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/tcp_server.h"

namespace pollard {

class RequestConnection;

/// A function of the connection that returns the connection's context, of any type that can be
/// copied, or nothing.
class OnConnect {
 public:
  OnConnect() = default;

  /// Takes the function over.
  template <class Handler>
  requires(!std::same_as<std::remove_cvref_t<Handler>, OnConnect> &&
           std::invocable<std::decay_t<Handler>&, RequestConnection&>)
      OnConnect(Handler&& handler)  // NOLINT(google-explicit-constructor): takes any lambda
      : function_(wrap(std::forward<Handler>(handler))) {}

  /// Whether there is a function.
  explicit operator bool() const { return static_cast<bool>(function_); }
  /// What the function returned; empty when that was nothing.
  std::any operator()(RequestConnection& connection) const { return function_(connection); }

 private:
  using Function = MoveFunction<std::any(RequestConnection&)>;

  template <class Handler>
  static Function wrap(Handler&& handler) {
    if constexpr (std::is_void_v<std::invoke_result_t<Handler&, RequestConnection&>>) {
      return [handler = std::forward<Handler>(handler)](RequestConnection& connection) mutable {
        handler(connection);
        return std::any();
      };
    } else {
      return std::forward<Handler>(handler);
    }
  }

  Function function_;
};

/// Runs when input has arrived; see RequestHandlers::on_request.
using OnRequest = MoveFunction<void(RequestConnection&)>;
/// Runs once, at the end of a connection; see RequestHandlers::on_disconnect.
using OnDisconnect = MoveFunction<void(RequestConnection&, const DisconnectReason&)>;
/// Gets what another handler threw; see RequestHandlers::on_error.
using OnError = MoveFunction<void(RequestConnection&, std::exception_ptr)>;

/// All run on workers, and may block. For one connection they run one after the other, in order, on
/// whatever workers; for different ones at the same time, so what they share is theirs to guard.
/// What a handler throws closes its connection, with DisconnectReason::Kind::kException.
struct RequestHandlers {
  /// First, also when input has come already. What it returns is RequestConnection::context().
  OnConnect on_connect = {};

  /// There is new input. While the handler takes some and leaves some, it is called again; what it
  /// leaves untouched comes again with more behind it, or a last time when no more will come.
  /// Without this handler, input is dropped.
  OnRequest on_request = {};

  /// Once, if on_connect ran, and after it; then the close callbacks.
  OnDisconnect on_disconnect = {};

  /// What a handler or a close callback threw. Without it, it is logged.
  OnError on_error = {};
};

/// What happens to who comes when the workers' queue is full. Nobody is read from who waits.
enum class WhenWorkersFull : std::uint8_t {
  kWait,            ///< waits behind the queue
  kCloseNewcomers,  ///< new connections are closed, before on_connect; the others wait
};

/// A step in the life of a connection on workers, for who wants to watch it.
enum class RequestStep : std::uint8_t {
  kQueued,    ///< waits for a worker; in the thread that saw a reason: a loop's, or a worker's
  kTaken,     ///< a worker begins with it
  kReturned,  ///< a handler has returned; whether it is called again is not decided yet
  kIdle,      ///< the worker has left it, until something new comes
  kEnded,     ///< its last callback has run
};

/// How a server with workers behaves.
struct RequestServerOptions {
  /// The threads that run the handlers.
  WorkerPoolOptions workers = {};
  /// See WhenWorkersFull.
  WhenWorkersFull when_full = WhenWorkersFull::kWait;

  /// Bytes of input that wait for a handler before reading stops; a handler that awaits more raises
  /// it for itself. Reading stops behind what one call received: the loop's receive buffer more at
  /// the most. A handler that leaves so much and takes nothing of it loses its connection, with
  /// Error::kInputLimit.
  std::size_t input_limit = std::size_t{1} << 20U;

  /// How long one connection may keep a worker while it always has input, before its answers leave
  /// and other connections have their turn. A handler that is running is never interrupted: see
  /// RequestConnection::should_yield().
  Duration time_slice = std::chrono::milliseconds(10);

  /// How long a peer may take to end its side after we have ended ours.
  Duration close_limit = std::chrono::seconds(10);

  /// Called at each step, in the thread that makes it: for traces, and for tests of what happens
  /// between two steps. Must not throw.
  MoveFunction<void(const RequestConnection&, RequestStep)> on_step = {};

  /// Of the part that reads and sends.
  TcpServerOptions server = {};
};

/// What a server with workers has done since it was made.
struct RequestServerStats {
  std::uint64_t requests = 0;             ///< calls of on_request
  std::uint64_t exceptions = 0;           ///< thrown by handlers and close callbacks
  std::uint64_t rejected_queue_full = 0;  ///< new connections closed: the workers' queue was full
  std::uint64_t read_pauses = 0;          ///< connections that were not read from for a while
  std::size_t open = 0;                   ///< connections whose last callback hasn't run
  WorkerPoolStats workers;                ///< of the present threads
  TcpServerStats server;                  ///< of the part that reads and sends
};

}  // namespace pollard
