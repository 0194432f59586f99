// What the servers among the programs do in the end: serve until somebody asks them to stop.
#pragma once

#include <iostream>
#include <string_view>

#include "pollard/base/clock.h"
#include "pollard/net/loop/event_loop.h"
#include "support/stop_signals.h"
#include "support/where.h"

namespace examples {

/// Starts the server, tells that it is `doing` so, and where, and runs the loop. Who asks for the
/// end leaves `patience` to what is under way; who asks twice is in a hurry.
template <class Server>
void serve_until_stopped(pollard::EventLoop& loop, Server& server, pollard::Duration patience,
                         std::string_view doing = "listening") {
  bool stopping = false;
  const StopSignals signals(loop, [&] {
    if (stopping) return loop.stop();
    stopping = true;
    server.stop_gracefully(patience, [&loop] { loop.stop(); });
  });
  server.start();
  std::cout << doing << " on " << where(server) << " with " << loop.poller_name() << std::endl;
  loop.run();
}

}  // namespace examples
