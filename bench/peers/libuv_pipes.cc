// Pipes in libuv's loop.
#include <uv.h>

#include <vector>

#include "pipes/pipes.h"

namespace {

class Watches {
 public:
  explicit Watches(bench::Pipes& pipes) : pipes_(pipes), watches_(pipes.size()) {
    for (std::size_t i = 0; i < pipes.size(); ++i) {
      uv_poll_init(loop_, &watches_[i], pipes.reading_end(i));
      watches_[i].data = this;
      uv_poll_start(&watches_[i], UV_READABLE, on_readable);
    }
  }

  void run_once() { uv_run(loop_, UV_RUN_ONCE); }

 private:
  static void on_readable(uv_poll_t* watch, int /*status*/, int /*ready*/) {
    auto& watches = *static_cast<Watches*>(watch->data);
    watches.pipes_.readable(static_cast<std::size_t>(watch - watches.watches_.data()));
  }

  bench::Pipes& pipes_;
  uv_loop_t* loop_ = uv_default_loop();
  std::vector<uv_poll_t> watches_;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of_pipes<Watches>(argc, argv); }
