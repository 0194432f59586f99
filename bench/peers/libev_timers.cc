// libev's timers.
#include <ev.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "timers/timers.h"

namespace {

class Timers {
 public:
  explicit Timers(std::size_t count) : timers_(count) {
    for (ev_timer& timer : timers_) {
      timer.cb = on_time;
      timer.data = this;
    }
  }

  void set(std::size_t which, bench::Delay delay) {
    timers_[which].at = seconds(delay);
    ev_timer_start(loop_, &timers_[which]);
  }
  void cancel(std::size_t which) { ev_timer_stop(loop_, &timers_[which]); }
  void put_off(std::size_t which, bench::Delay delay) {
    timers_[which].repeat = seconds(delay);
    ev_timer_again(loop_, &timers_[which]);
  }
  void run_due() { ev_run(loop_, EVRUN_NOWAIT); }
  // Its loop knows the time of its last turn everywhere.
  static void inside(const bench::Work& work) { work(); }
  [[nodiscard]] std::uint64_t happened() const { return happened_; }

 private:
  static double seconds(bench::Delay delay) { return static_cast<double>(delay.count()) / 1000; }

  static void on_time(struct ev_loop* /*loop*/, ev_timer* timer, int /*ready*/) {
    ++static_cast<Timers*>(timer->data)->happened_;
  }

  struct ev_loop* loop_ = ev_default_loop(EVFLAG_AUTO);
  std::vector<ev_timer> timers_;
  std::uint64_t happened_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Timers>(argc, argv); }
