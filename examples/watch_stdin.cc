// Watches a descriptor that is none of the library's own: standard input.
//
//     (echo hello; sleep 1; echo again) | watch_stdin --poller=poll
//
// A pipe or a terminal is watched by every poller. A regular file is always "ready", so watching it
// says nothing: poll and select do it all the same, epoll refuses (try: watch_stdin < README.md).
#include <CLI/CLI.hpp>
#include <array>
#include <cstddef>
#include <exception>
#include <iostream>
#include <span>
#include <string_view>
#include <system_error>

#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/platform/io.h"
#include "support/options.h"
#include "support/stop_signals.h"

int main(int argc, char** argv) try {
  constexpr int kStandardInput = 0;
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  CLI::App app("Says how much comes from standard input, as it comes, until its end.");
  app.footer(examples::kAboutPoller);
  CLI11_PARSE(app, argc, argv);

  pollard::EventLoop loop({.poller = poller});
  const examples::StopSignals signals(loop, [&loop] { loop.stop(); });

  // One read for each time that the channel says "readable": it says so again while there is more,
  // and one read never blocks. That is why the descriptor, which other programs may share, stays as
  // it is.
  const pollard::Channel input(loop, kStandardInput, pollard::Interest::kRead,
                               [&](pollard::Readiness) {
                                 std::array<std::byte, 4096> space;
                                 const auto got = pollard::platform::read(kStandardInput, space);
                                 if (got.interrupted() || got.would_block()) return;
                                 if (!got.ok())
                                   throw std::system_error(got.error(), "reading standard input");
                                 std::cout << got.count() << " bytes" << std::endl;
                                 if (got.count() == 0) loop.stop();  // the end
                               });

  std::cout << "watching standard input with " << loop.poller_name() << std::endl;
  loop.run();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "watch_stdin: " << error.what() << '\n';
  return 1;
}
