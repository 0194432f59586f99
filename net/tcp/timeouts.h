// How long a connection may be idle, and may live.
#pragma once

#include "pollard/base/clock.h"
#include "pollard/base/error.h"

namespace pollard {

/// Zero is no limit. Never early; late by at most an eighth of the limit (a millisecond or two for
/// the shortest), and by the time for which handlers hold their loop up. They cost a message two
/// stores, and no reading of the clock.
///
/// While the connection's reading is paused, first_byte and read_idle don't count, nor does idle
/// unless output waits for the peer: it is we who wait. They begin anew when reading resumes.
struct Timeouts {
  Duration first_byte{};  ///< nothing at all has come: for peers that connect, and keep a place
  Duration read_idle{};   ///< nothing has come for so long, until the peer ends its stream
  Duration write_idle{};  ///< nothing has been sent for so long, whether there was something or not
  Duration write_stall{};   ///< output waits, and for so long the peer has taken none of it
  Duration idle{};          ///< nothing has come and nothing has been sent for so long
  Duration max_lifetime{};  ///< since the connection was opened, or the limit was set

  /// Whether there is a limit at all.
  [[nodiscard]] bool any() const { return shortest() != Duration::max(); }
  /// Duration::max() when there is none.
  [[nodiscard]] Duration shortest() const;
};

/// What a connection's limits are judged by, in stamps of CoarseTimers.
struct ConnectionProgress {
  MonotonicTime began{};            ///< when it was opened, or the limits were set
  MonotonicTime received{};         ///< zero: never
  MonotonicTime sent{};             ///< zero: never
  MonotonicTime reading_resumed{};  ///< zero: it was never paused
  MonotonicTime output_waits{};     ///< zero: it doesn't
  bool reading_paused = false;      ///< now
  bool peer_ended = false;          ///< its stream
  bool sending_ended = false;       ///< ours
};

/// What judge() says.
struct LimitVerdict {
  std::error_code exceeded;  ///< the limit, or nothing
  MonotonicTime next;        ///< when to judge again
};

/// Returns whether a connection with this progress has exceeded one of its limits at `now`, and
/// when to ask again. Any thread.
[[nodiscard]] LimitVerdict judge(const Timeouts& limits, const ConnectionProgress& progress,
                                 MonotonicTime now);

}  // namespace pollard
