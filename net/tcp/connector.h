// Connects, and tries again: with a deadline for each attempt, exponential backoff with jitter
// between them, and a say in the matter for whoever waits. An attempt looks the target's name up
// anew, and races its addresses.
//
//     kIdle ──start──▶ kWaiting ──▶ kConnecting ──▶ kIdle (on_connected, or on_give_up)
//                         ▲              │
//                         └── failed ────┘           cancel() enters kIdle from any state
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>

#include "pollard/base/backoff.h"
#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/address.h"
#include "pollard/net/names/host_port.h"
#include "pollard/net/names/resolver.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/failure.h"

namespace pollard {

/// How patient a connector is.
struct ConnectorOptions {
  /// An address that hasn't answered by then has failed with timed_out, and so has a lookup of the
  /// target's name after resolve_timeout.
  Duration connect_timeout = std::chrono::seconds(10);
  /// Of the lookup of the target's name; see Resolver.
  Duration resolve_timeout = Resolver::kDefaultDeadline;
  /// Of each address before the next is tried beside it (RFC 8305).
  Duration connection_attempt_delay = std::chrono::milliseconds(250);
  /// Of the delays between attempts.
  BackoffOptions backoff = {};
  /// Attempts in all; zero: without end, as far as errors are worth a retry.
  unsigned max_attempts = 0;
  /// No attempt but the first begins later than this after start().
  Duration total_timeout = Duration::max();
  /// Of the jitter; absent: another one for each connector.
  std::optional<std::uint64_t> seed = {};
  /// Where to connect from (bind(2)); empty: the system chooses. With port 0 the kernel chooses a
  /// port for each destination, where it can (platform::set_bind_address_no_port).
  Address local = {};
  /// Looks the target's name up; absent: Resolver::shared().
  std::shared_ptr<Resolver> resolver = {};
};

/// What a connector calls, in the loop's thread, never inside start().
struct ConnectorHandlers {
  /// Once for each start(): connected, non-blocking, close-on-exec.
  MoveFunction<void(platform::Descriptor socket, Address peer)> on_connected;
  /// An attempt failed; whether another follows stands in it.
  MoveFunction<void(const FailedAttempt&)> on_attempt_failed = {};
  /// No attempt follows.
  MoveFunction<void(std::error_code last_error)> on_give_up = {};
  /// A socket was made for this address, and is about to connect: the time for options such as the
  /// size of its receive buffer, which the handshake tells the peer (RFC 7323 2.2). What it throws
  /// goes to EventLoop::report_exception, and the address has failed with operation_canceled.
  MoveFunction<void(int fd, const Address& address)> on_socket = {};
};

/// Whether an attempt that failed with `error` may succeed later: all errors but those that time
/// can't mend (another family, no socket, a service or an address that doesn't exist), as
/// platform::classify has them for `operation`. False for no error. Any thread.
[[nodiscard]] bool is_worth_a_retry(std::error_code error,
                                    platform::Operation operation = platform::Operation::kConnect);

/// The loop's thread, which each function asserts; may be destroyed in any state, also by its own
/// handlers, none of which runs afterwards. No handler runs inside start().
class Connector {
 public:
  /// As in the diagram above.
  enum class State : std::uint8_t { kIdle, kConnecting, kWaiting };

  /// Doesn't begin yet; a name is looked up for each attempt.
  Connector(EventLoop& loop, const HostPort& target, ConnectorHandlers handlers,
            const ConnectorOptions& options = {});
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  /// Begins, after `delay`. Attempts are counted from one, and the backoff goes on where it was
  /// until reset_backoff(). Fails with connection_already_in_progress unless idle, with
  /// not_enough_memory, and with Error::kLoopClosed; then it changes nothing.
  std::error_code start(Duration delay = Duration::zero());

  /// Ends without a further handler. No effect when idle.
  void cancel();

  /// Begins the schedule of delays anew: for after a connection that was good.
  void reset_backoff();
  /// Takes the next delay of the schedule.
  [[nodiscard]] Duration next_delay();

  /// Returns the state; kIdle once the loop is gone.
  [[nodiscard]] State state() const;
  /// Returns the target that it was made with.
  [[nodiscard]] const HostPort& target() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace pollard
