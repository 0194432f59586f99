#include <chrono>
#include <csignal>
#include <vector>

#include "pollard/net/loop/signal_watcher.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_signals(Stage& stage) {
  std::vector<int> seen;
  const SignalWatcher watcher(stage.loop(), {SIGUSR1, SIGUSR2}, [&](int signal) {
    const Truce truce;
    seen.push_back(signal);
  });
  const auto sent = [&](int signal) {
    const MonotonicTime patience = stage.kernel().now() + 20s;
    static_cast<void>(std::raise(signal));
    stage.until("a signal", [&] {
      return (!seen.empty() && seen.back() == signal) ||
             (!stage.unharmed() && stage.kernel().now() > patience);
    });
  };
  sent(SIGUSR1);
  sent(SIGUSR2);
  stage.require_unharmed(seen.size() == 2, "a signal is reported twice");
}

}  // namespace pollard::fault_run
