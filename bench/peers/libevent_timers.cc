// libevent's timers.
#include <event2/event.h>
#include <event2/event_struct.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "timers/timers.h"

namespace {

class Timers {
 public:
  explicit Timers(std::size_t count) : base_(event_base_new()), timers_(count) {
    for (event& timer : timers_) evtimer_assign(&timer, base_, on_time, this);
  }

  void set(std::size_t which, bench::Delay delay) {
    const timeval interval{delay.count() / 1000, delay.count() % 1000 * 1000};
    evtimer_add(&timers_[which], &interval);
  }
  void cancel(std::size_t which) { evtimer_del(&timers_[which]); }
  void put_off(std::size_t which, bench::Delay delay) { set(which, delay); }
  void run_due() { event_base_loop(base_, EVLOOP_NONBLOCK); }
  void inside(const bench::Work& work) {
    const timeval now{};
    const auto call = [](int, short, void* argument) {
      (*static_cast<const bench::Work*>(argument))();
    };
    event_base_once(base_, -1, EV_TIMEOUT, call, const_cast<bench::Work*>(&work), &now);
    event_base_loop(base_, EVLOOP_ONCE);
  }
  [[nodiscard]] std::uint64_t happened() const { return happened_; }

 private:
  static void on_time(int /*fd*/, short /*ready*/, void* argument) {
    ++static_cast<Timers*>(argument)->happened_;
  }

  event_base* base_;
  std::vector<event> timers_;
  std::uint64_t happened_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Timers>(argc, argv); }
