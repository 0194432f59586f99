// Signals as events of a loop, on every backend:
//
//     SignalWatcher stop(loop, {SIGINT, SIGTERM}, [&](int) { loop.stop(); });
//
// The handler runs in the loop's thread, where everything is allowed, whichever thread the signal
// interrupted. platform/signals.h says how, and why so.
#pragma once

#include <initializer_list>
#include <memory>

#include "pollard/base/move_function.h"
#include "pollard/net/loop/event_loop.h"

namespace pollard {

/// Watches while it lives; several may watch the same signal, in one loop or in many, and each is
/// told. When the last one dies, what the signal did before is restored; meanwhile the program's
/// own handler for it doesn't run. A signal that all threads block never comes. The library itself
/// changes no disposition but through this class.
///
/// The loop's thread; the handler may destroy the watcher.
class SignalWatcher {
 public:
  /// Called once for each signal that came since the last time; the system merges several of one
  /// kind that come at once.
  using Handler = MoveFunction<void(int signal)>;

  /// Throws std::system_error naming the signal, and why it can't be watched: SIGKILL, SIGSTOP, a
  /// fault such as SIGSEGV, or no signal at all.
  SignalWatcher(EventLoop& loop, std::initializer_list<int> signals, Handler handler);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace pollard
