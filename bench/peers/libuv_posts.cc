// Posts to libuv's loop: a queue, and its wake-up, which it merges while the loop is awake.
#include <uv.h>

#include <utility>

#include "posts/posts.h"
#include "posts/task_queue.h"

namespace {

class Loop {
 public:
  Loop() {
    uv_async_init(loop_, &wake_,
                  [](uv_async_t* wake) { static_cast<Loop*>(wake->data)->tasks_.run_all(); });
    wake_.data = this;
  }

  template <class Task>
  void post(Task task) {
    tasks_.push(std::move(task));
    uv_async_send(&wake_);
  }
  void run() { uv_run(loop_, UV_RUN_DEFAULT); }
  void stop() { uv_stop(loop_); }

 private:
  uv_loop_t* loop_ = uv_default_loop();
  uv_async_t wake_{};
  bench::TaskQueue tasks_;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Loop>(argc, argv); }
