// Calls a function in the loop when somebody asks the program to end, by Ctrl-C or kill.
#pragma once

#include <csignal>
#include <utility>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/signal_watcher.h"

namespace examples {

class StopSignals {
 public:
  StopSignals(pollard::EventLoop& loop, pollard::Task on_stop)
      : watcher_(loop, {SIGINT, SIGTERM}, [on_stop = std::move(on_stop)](int) { on_stop(); }) {}

 private:
  pollard::SignalWatcher watcher_;
};

}  // namespace examples
