// What our servers of the bench do once they are made.
#pragma once

#include <csignal>
#include <exception>
#include <iostream>
#include <string_view>
#include <utility>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/signal_watcher.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/report.h"

namespace bench {

/// Serves until SIGTERM, and reports what `stats()` says then.
template <class Server, class Stats>
void serve_until_ended(pollard::EventLoop& loop, Server& server, Stats stats) {
  const pollard::SignalWatcher stop(loop, {SIGTERM}, [&loop](int) { loop.stop(); });
  server.start();
  announce(server.address().port());
  loop.run();
  const pollard::TcpServerStats counted = stats();
  report({.accepted = counted.accepted, .bytes = counted.bytes_received});
}

/// A whole main(): `serve(poller, options)` with what `read_options(argc, argv)` finds.
template <class ReadOptions, class Serve>
int run_server(std::string_view name, int argc, char** argv, ReadOptions read_options,
               Serve serve) {
  try {
    pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
    serve(std::move(poller), read_options(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace bench
