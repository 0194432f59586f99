// Watches a descriptor that is none of the library's own: standard input.
//
//     (echo hello; sleep 1; echo again) | watch_stdin --poller=poll
//
// A pipe or a terminal is watched by every poller. A regular file is always "ready", so watching it
// says nothing: poll and select do it all the same, epoll refuses (try: watch_stdin < README.md).
#include <array>
#include <cstddef>
#include <exception>
#include <iostream>
#include <span>
#include <string_view>
#include <system_error>

#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "support/options.h"
#include "support/stop_signals.h"

int main(int argc, char** argv) try {
  constexpr int kStandardInput = 0;
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  examples::Options app("Says how much comes from standard input, as it comes, until its end.");
  if (const auto status = app.parse(argc, argv)) return *status;

  pollard::EventLoop loop({.poller = poller});
  const examples::StopSignals signals(loop, [&loop] { loop.stop(); });

  // One read for each time that the channel says "readable": it says so again while there is more,
  // and one read never blocks. That is why the descriptor, which other programs may share, stays as
  // it is.
  const auto read_once = [&loop](pollard::Readiness) {
    std::array<std::byte, 4096> space;
    std::size_t count = 0;
    const std::error_code error = pollard::read_available(kStandardInput, space, count);
    if (error == std::errc::resource_unavailable_try_again) return;
    if (error) throw std::system_error(error, "reading standard input");
    std::cout << count << " bytes" << std::endl;
    if (count == 0) loop.stop();  // the end
  };
  const pollard::Channel input(loop, kStandardInput, pollard::Interest::kRead, read_once);

  std::cout << "watching standard input with " << loop.poller_name() << std::endl;
  loop.run();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "watch_stdin: " << error.what() << '\n';
  return 1;
}
