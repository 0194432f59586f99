// Signals as ringing bells: what a signal handler may do is next to nothing (signal-safety(7)), so
// this one counts the signal and rings a WakeDescriptor that a poller watches.
//
// Of the three ways to get a signal into a loop this is the one that works everywhere and disturbs
// nobody. A signalfd needs the signal blocked in every thread, those of other libraries included,
// and a program that forgets one loses signals to it; the mask is also inherited by what the
// program executes. EVFILT_SIGNAL reports a signal only beside its disposition, which would still
// have to be changed, and exists with one of the four backends. A handler set by sigaction(2) is
// run in whichever thread does not block the signal, and exec resets it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "pollard/platform/result.h"
#include "pollard/platform/wake.h"

namespace pollard::platform {

/// While it lives, each `signal` that this process gets is counted here, and rings the bell. The
/// first of a signal sets our handler, the last restores what was there before, unless somebody
/// has set another one meanwhile. A forked child gets its signals as if nobody watched.
///
/// All operations: any thread, but no signal handler.
class WatchedSignal {
 public:
  /// Throws std::system_error saying why a signal can't be watched: SIGKILL and SIGSTOP can't be
  /// caught, and a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL) would come again for ever when its
  /// handler returned.
  WatchedSignal(int signal, WakeDescriptor& bell);
  ~WatchedSignal();
  WatchedSignal(const WatchedSignal&) = delete;
  WatchedSignal& operator=(const WatchedSignal&) = delete;

  /// The number that it was made with.
  [[nodiscard]] int signal() const { return signal_; }

  /// How often the signal came since the last call. The system merges signals of one kind that come
  /// faster than they are handled.
  [[nodiscard]] std::uint32_t take_count();

 private:
  int signal_;
  std::size_t place_;
};

/// "SIGTERM" for those that have a name in POSIX, else "signal 42".
[[nodiscard]] std::string signal_name(int signal);

}  // namespace pollard::platform
