// Pipes in libev's loop.
#include <ev.h>

#include <vector>

#include "pipes/pipes.h"

namespace {

class Watches {
 public:
  explicit Watches(bench::Pipes& pipes) : pipes_(pipes), watches_(pipes.size()) {
    for (std::size_t i = 0; i < pipes.size(); ++i) {
      ev_io& watch = watches_[i];
      watch.cb = on_readable;
      watch.data = this;
      watch.fd = pipes.reading_end(i);
      watch.events = EV_READ | EV__IOFDSET;
      ev_io_start(loop_, &watch);
    }
  }

  void run_once() { ev_run(loop_, EVRUN_ONCE); }

 private:
  static void on_readable(struct ev_loop* /*loop*/, ev_io* watch, int /*ready*/) {
    auto& watches = *static_cast<Watches*>(watch->data);
    watches.pipes_.readable(static_cast<std::size_t>(watch - watches.watches_.data()));
  }

  bench::Pipes& pipes_;
  struct ev_loop* loop_ = ev_default_loop(EVFLAG_AUTO);
  std::vector<ev_io> watches_;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of_pipes<Watches>(argc, argv); }
