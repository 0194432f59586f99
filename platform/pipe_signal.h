// Calls that raise SIGPIPE and have no flag against it: Linux's sendfile, and writing to what is no
// socket. A library must not end the process with that signal, nor change how the process handles
// it.
#pragma once

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigset_t is POSIX's

namespace pollard::platform {

/// While it lives, SIGPIPE is blocked in the calling thread. It lives and dies in one thread.
class HeldPipeSignal {
 public:
  HeldPipeSignal();
  ~HeldPipeSignal();  ///< Restores the thread's signal mask.
  HeldPipeSignal(const HeldPipeSignal&) = delete;
  HeldPipeSignal& operator=(const HeldPipeSignal&) = delete;

  /// Takes SIGPIPE away if it came since the constructor. To be called after each call that failed
  /// or did less than was asked: Linux's sendfile may return a count and raise the signal, too. A
  /// signal that was pending before stays.
  void take_away() const;

 private:
  sigset_t before_;
  bool was_pending_ = false;
};

}  // namespace pollard::platform
