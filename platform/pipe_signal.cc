#include "pollard/platform/pipe_signal.h"

#include "pollard/platform/features.h"

namespace pollard::platform {
namespace {

sigset_t pipe_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

bool is_pending() {
  sigset_t pending;
  sigemptyset(&pending);
  ::sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

HeldPipeSignal::HeldPipeSignal() {
  const sigset_t set = pipe_signal();
  sigemptyset(&before_);
  ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  // A signal that the thread doesn't block is delivered, never pending.
  was_pending_ = sigismember(&before_, SIGPIPE) == 1 && is_pending();
}

HeldPipeSignal::~HeldPipeSignal() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void HeldPipeSignal::take_away() const {
  if (was_pending_ || !is_pending()) return;
  const sigset_t set = pipe_signal();
#if POLLARD_HAS_SIGTIMEDWAIT
  constexpr timespec kAtOnce = {};
  ::sigtimedwait(&set, nullptr, &kAtOnce);
#else
  int signal = 0;
  ::sigwait(&set, &signal);
#endif
}

}  // namespace pollard::platform
