// Calls a function in a loop when somebody asks the program to end, by Ctrl-C or kill.
//
// A signal handler may do next to nothing (signal-safety(7)). This one rings a descriptor that a
// Channel watches, and so the function runs in the loop, where everything is allowed.
#pragma once

#include <csignal>
#include <utility>

#include "pollard/net/channel.h"
#include "pollard/net/event_loop.h"
#include "pollard/platform/wake.h"

namespace examples {

/// One at a time, for signals belong to the whole process.
class StopSignals {
 public:
  StopSignals(pollard::EventLoop& loop, pollard::Task on_stop)
      : channel_(loop, bell().fd(), pollard::Interest::kRead,
                 [on_stop = std::move(on_stop)](pollard::Readiness) {
                   bell().drain();
                   on_stop();
                 }) {
    std::signal(SIGINT, ring);
    std::signal(SIGTERM, ring);
  }

  ~StopSignals() {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
  }

  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  static void ring(int) { bell().wake(); }

  // Never destroyed: a signal may come as late as it likes.
  static pollard::platform::WakeDescriptor& bell() {
    static auto& only = *new pollard::platform::WakeDescriptor;
    return only;
  }

  pollard::Channel channel_;
};

}  // namespace examples
