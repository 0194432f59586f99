// libuv's timers.
#include <uv.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "timers/timers.h"

namespace {

class Timers {
 public:
  explicit Timers(std::size_t count) : timers_(count) {
    for (uv_timer_t& timer : timers_) {
      uv_timer_init(loop_, &timer);
      timer.data = this;
    }
  }

  void set(std::size_t which, bench::Delay delay) {
    uv_timer_start(&timers_[which], on_time, static_cast<std::uint64_t>(delay.count()), 0);
  }
  void cancel(std::size_t which) { uv_timer_stop(&timers_[which]); }
  void put_off(std::size_t which, bench::Delay delay) { set(which, delay); }
  void run_due() { uv_run(loop_, UV_RUN_NOWAIT); }
  // Its loop knows the time of its last turn everywhere.
  static void inside(const bench::Work& work) { work(); }
  [[nodiscard]] std::uint64_t happened() const { return happened_; }

 private:
  static void on_time(uv_timer_t* timer) { ++static_cast<Timers*>(timer->data)->happened_; }

  uv_loop_t* loop_ = uv_default_loop();
  std::vector<uv_timer_t> timers_;
  std::uint64_t happened_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Timers>(argc, argv); }
