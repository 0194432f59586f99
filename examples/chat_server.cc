// A chat: what one says, all the others hear. Start it, then chat_client in two terminals.
//
//     chat_server --listen='*:7007' --poller=poll --threads=2
#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include "pollard/net/loop/event_loop.h"
#include "support/chat_room.h"
#include "support/options.h"
#include "support/stop_signals.h"

using namespace std::chrono_literals;

namespace {

void serve(const std::string& listen, unsigned threads, const pollard::PollerChoice& poller) {
  pollard::EventLoop loop({.poller = poller});
  examples::ChatRoom room(loop, listen, threads);
  const examples::StopSignals signals(loop, [&] { room.close(2s, [&loop] { loop.stop(); }); });
  std::cout << "chatting on " << room.where() << " with " << loop.poller_name() << std::endl;
  loop.run();
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  std::string listen = "127.0.0.1:7007";
  unsigned threads = 0;
  examples::Options app("What one says, all the others hear, line by line.");
  app.add("--listen", listen,
          "127.0.0.1:7007, localhost:7007, *:7007 (every interface) or unix:/path; 0: any\n"
          "port");
  app.add_threads(threads);
  if (const auto status = app.parse(argc, argv)) return *status;
  serve(listen, threads, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "chat_server: " << error.what() << '\n';
  return 1;
}
