// Pipes in our loop, on the backend of your choice: --poller=NAMES.
#include <deque>

#include "pipes/pipes.h"
#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/event_loop.h"

namespace {

pollard::PollerChoice& chosen_poller() {
  static pollard::PollerChoice choice;
  return choice;
}

class Watches {
 public:
  explicit Watches(bench::Pipes& pipes) : loop_({.poller = chosen_poller()}) {
    for (std::size_t i = 0; i < pipes.size(); ++i) {
      channels_.emplace_back(loop_, pipes.reading_end(i), pollard::Interest::kRead,
                             [&pipes, i](pollard::Readiness) { pipes.readable(i); });
    }
  }

  void run_once() { loop_.run_once(); }

 private:
  pollard::EventLoop loop_;
  std::deque<pollard::Channel> channels_;
};

}  // namespace

int main(int argc, char** argv) {
  chosen_poller() = pollard::poller_from_args(argc, argv);
  return bench::main_of_pipes<Watches>(argc, argv);
}
