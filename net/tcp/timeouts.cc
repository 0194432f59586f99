#include "pollard/net/tcp/timeouts.h"

#include <algorithm>
#include <initializer_list>

#include "pollard/net/timers/internal/coarse_timers.h"

namespace pollard {

Duration Timeouts::shortest() const {
  Duration least = Duration::max();
  for (const Duration limit :
       {first_byte, read_idle, write_idle, write_stall, idle, max_lifetime}) {
    if (limit > Duration::zero()) least = std::min(least, limit);
  }
  return least;
}

LimitVerdict judge(const Timeouts& limits, const ConnectionProgress& progress, MonotonicTime now) {
  LimitVerdict verdict{.next = MonotonicTime::max()};
  // What doesn't count at present is judged as if it began now, so that it is looked at again.
  const auto consider = [&](Duration limit, bool counts, MonotonicTime since, Error error) {
    if (limit <= Duration::zero()) return;
    const MonotonicTime deadline = CoarseTimers::deadline(counts ? since : now, limit);
    if (deadline <= now && !verdict.exceeded) verdict.exceeded = error;
    verdict.next = std::min(verdict.next, deadline);
  };
  const bool output_waits = progress.output_waits != MonotonicTime{};
  const bool listening = !progress.reading_paused && !progress.peer_ended;
  const MonotonicTime heard =
      std::max({progress.began, progress.received, progress.reading_resumed});
  const MonotonicTime sent = std::max(progress.began, progress.sent);

  consider(limits.first_byte, listening && progress.received == MonotonicTime{}, heard,
           Error::kFirstByteTimeout);
  consider(limits.read_idle, listening, heard, Error::kReadIdleTimeout);
  consider(limits.write_idle, !progress.sending_ended, sent, Error::kWriteIdleTimeout);
  consider(limits.write_stall, output_waits, std::max(sent, progress.output_waits),
           Error::kWriteStallTimeout);
  consider(limits.idle, !progress.reading_paused || output_waits, std::max(heard, sent),
           Error::kIdleTimeout);
  consider(limits.max_lifetime, true, progress.began, Error::kLifetimeTimeout);
  return verdict;
}

}  // namespace pollard
