// Pipes in libevent's loop.
#include <event2/event.h>
#include <event2/event_struct.h>

#include <vector>

#include "pipes/pipes.h"

namespace {

class Watches {
 public:
  explicit Watches(bench::Pipes& pipes) : base_(event_base_new()), watches_(pipes.size()) {
    for (std::size_t i = 0; i < pipes.size(); ++i) {
      watches_[i] = {&pipes, i, {}};
      event_assign(&watches_[i].event, base_, pipes.reading_end(i), EV_READ | EV_PERSIST,
                   on_readable, &watches_[i]);
      event_add(&watches_[i].event, nullptr);
    }
  }

  void run_once() { event_base_loop(base_, EVLOOP_ONCE); }

 private:
  struct Watch {
    bench::Pipes* pipes;
    std::size_t which;
    struct event event;
  };

  static void on_readable(int /*fd*/, short /*ready*/, void* argument) {
    const auto& watch = *static_cast<Watch*>(argument);
    watch.pipes->readable(watch.which);
  }

  event_base* base_;
  std::vector<Watch> watches_;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of_pipes<Watches>(argc, argv); }
