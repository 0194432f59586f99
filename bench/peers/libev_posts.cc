// Posts to libev's loop: a queue, and its wake-up, which it merges while one is pending.
#include <ev.h>

#include <utility>

#include "posts/posts.h"
#include "posts/task_queue.h"

namespace {

class Loop {
 public:
  Loop() {
    wake_.cb = [](struct ev_loop*, ev_async* wake, int) {
      static_cast<Loop*>(wake->data)->tasks_.run_all();
    };
    wake_.data = this;
    ev_async_start(loop_, &wake_);
  }

  template <class Task>
  void post(Task task) {
    tasks_.push(std::move(task));
    ev_async_send(loop_, &wake_);
  }
  void run() { ev_run(loop_, 0); }
  void stop() { ev_break(loop_, EVBREAK_ALL); }

 private:
  struct ev_loop* loop_ = ev_default_loop(EVFLAG_AUTO);
  ev_async wake_{};
  bench::TaskQueue tasks_;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Loop>(argc, argv); }
