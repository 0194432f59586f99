#include <atomic>

#include "pollard/net/loop/loop_thread.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_posts(Stage& stage) {
  // The tasks that count it may run after this scene has ended by an exception.
  static int before;
  before = 0;
  LoopThread other({.poller = stage.poller(), .on_exception = [](const std::exception_ptr&) {}});
  std::atomic<int> there{0};
  const LoopHandle here = stage.loop().handle();
  for (int i = 0; i < 3; ++i) {
    other.run_and_wait([&](EventLoop&) {
      ++there;
      here.post([] { ++before; });
    });
  }
  stage.until("the tasks", [] { return before == 3; });
  stage.require(there == 3, "a task ran twice, or never");
}

}  // namespace pollard::fault_run
