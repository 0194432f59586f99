// Ticks, and stops by itself: what a loop does when there is nothing to wait for but time.
//
//     timer --poller=select
#include <chrono>
#include <exception>
#include <iostream>

#include "pollard/net/loop/event_loop.h"
#include "support/options.h"
#include "support/stop_signals.h"

using namespace std::chrono_literals;

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  examples::Options app("Ticks for a second, and says how many timers happened.");
  if (const auto status = app.parse(argc, argv)) return *status;

  pollard::EventLoop loop({.poller = poller});
  const examples::StopSignals signals(loop, [&loop] { loop.stop(); });

  const pollard::Timer tick = loop.every(100ms, [] { std::cout << "tick" << std::endl; });

  // A timer that is put off before its time has come never happens: here is how an idle limit is
  // kept.
  pollard::Timer idle = loop.after(250ms, [] { std::cout << "idle, which never happens\n"; });
  const pollard::Timer busy = loop.every(50ms, [&] { idle.restart_after(250ms); });

  // Timers are cancelled when they are destroyed. This one lives as long as main, and ends it.
  const pollard::Timer end = loop.after(1s, [&loop] { loop.stop(); });

  loop.run();
  std::cout << loop.stats().timers << " timers happened, in " << loop.stats().waits << " waits of "
            << loop.poller_name() << '\n';
  return 0;
} catch (const std::exception& error) {
  std::cerr << "timer: " << error.what() << '\n';
  return 1;
}
