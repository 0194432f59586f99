// Connects, and tries again: with a deadline for each attempt, exponential backoff with jitter
// between them, and a say in the matter for whoever waits.
//
//     kIdle ──start──▶ kConnecting ──▶ kIdle (on_connected, or on_give_up)
//                        │      ▲
//                        ▼      │
//                       kWaiting
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>

#include "pollard/base/backoff.h"
#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/address.h"
#include "pollard/net/connection_handlers.h"
#include "pollard/net/event_loop.h"
#include "pollard/platform/descriptor.h"

namespace pollard {

struct ConnectorOptions {
  /// An attempt that has no answer by then has failed with timed_out.
  Duration attempt_timeout = std::chrono::seconds(10);
  BackoffOptions backoff = {};
  /// Attempts in all; zero: without end, as far as errors are worth a retry.
  unsigned max_attempts = 0;
  /// No attempt begins later than this after start.
  Duration give_up_after = Duration::max();
  /// Of the jitter; absent: another one for each connector.
  std::optional<std::uint64_t> seed = {};
  /// Where to connect from (bind(2)); empty: the system chooses.
  Address local = {};
};

struct ConnectorHandlers {
  MoveFunction<void(platform::Descriptor socket, Address peer)> on_connected;
  MoveFunction<void(const FailedAttempt&)> on_attempt_failed = {};
  MoveFunction<void(std::error_code last_error)> on_give_up = {};
};

/// Whether a connect that failed like this may succeed later: refused, unreachable, timed out, out
/// of resources. Not when it was forbidden, or can't mean anything.
[[nodiscard]] bool is_worth_a_retry(std::error_code error);

/// The loop's thread; may be destroyed in any state, also by its own handlers, none of which runs
/// afterwards. No handler runs inside start().
class Connector {
 public:
  enum class State : std::uint8_t { kIdle, kConnecting, kWaiting };

  Connector(EventLoop& loop, const Address& target, ConnectorHandlers handlers,
            const ConnectorOptions& options = {});
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  /// Begins, after `delay`; connection_already_in_progress unless idle. Attempts are counted from
  /// one, and the backoff goes on where it was until reset_backoff().
  std::error_code start(Duration delay = Duration::zero());

  /// Ends without a further handler.
  void cancel();

  /// For after a connection that was good.
  void reset_backoff();
  /// The next delay of the schedule.
  [[nodiscard]] Duration next_delay();

  [[nodiscard]] State state() const;
  [[nodiscard]] const Address& target() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace pollard
