// What is done with the timers of a library, whichever it is:
//
//   cancel-add   one of many pending timers is cancelled and set anew
//   put-off      one of many pending timers gets a later deadline
//   arm-fire     as many timers are set, and happen
//
// A library offers a class with these functions, and a file of its own that calls main_of():
//
//   explicit Timers(std::size_t count);       // none is set
//   void set(std::size_t which, Delay delay); // it isn't set
//   void cancel(std::size_t which);           // it is set
//   void put_off(std::size_t which, Delay delay);
//   void run_due();                           // handles those whose deadline has come
//   void inside(const Work& work);            // calls it where loops know the time: in a handler
//   std::uint64_t happened();                 // how many have, so far
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include "support/repeat.h"

namespace bench {

using Delay = std::chrono::milliseconds;
using Work = std::function<void()>;

template <class Timers>
class TimerWork {
 public:
  explicit TimerWork(std::size_t count) : count_(count), timers_(count) {}

  void cancel_add(std::uint64_t repeat) {
    set_all_far_away();
    timers_.inside([&] {
      for (std::uint64_t i = 0; i < repeat; ++i) {
        const std::size_t which = dice_.roll(static_cast<std::uint32_t>(count_));
        timers_.cancel(which);
        timers_.set(which, far_away());
      }
    });
  }

  void put_off(std::uint64_t repeat) {
    set_all_far_away();
    timers_.inside([&] {
      for (std::uint64_t i = 0; i < repeat; ++i) {
        timers_.put_off(dice_.roll(static_cast<std::uint32_t>(count_)), kLater);
      }
    });
  }

  // All are due before anybody looks, so that one turn of the loop handles them, however slow the
  // machine is.
  void arm_fire(std::uint64_t repeat) {
    for (std::uint64_t i = 0; i < repeat; ++i) {
      timers_.inside([&] {
        for (std::size_t which = 0; which < count_; ++which) {
          timers_.set(which, Delay(1 + dice_.roll(kSoon)));
        }
      });
      std::this_thread::sleep_for(Delay(kSoon + 2));
      while (timers_.happened() < (i + 1) * count_) timers_.run_due();
    }
  }

 private:
  static constexpr std::uint32_t kSoon = 100;  // milliseconds
  static constexpr std::uint32_t kFarAway = 600'000;
  static constexpr Delay kLater{2 * kFarAway};

  Delay far_away() { return Delay(kFarAway + dice_.roll(kFarAway)); }

  void set_all_far_away() {
    for (std::size_t which = 0; which < count_; ++which) timers_.set(which, far_away());
  }

  std::size_t count_;
  Timers timers_;
  Dice dice_;
};

template <class Timers>
int main_of(int argc, char** argv) {
  const RepeatOptions options = read_repeat_options(
      argc, argv, {"cancel-add", "put-off", "arm-fire"}, {.count = 100'000, .repeat = 100'000});
  TimerWork<Timers> work(options.count);
  const Stopwatch stopwatch;
  if (options.work == "cancel-add") work.cancel_add(options.repeat);
  if (options.work == "put-off") work.put_off(options.repeat);
  if (options.work == "arm-fire") work.arm_fire(options.repeat);
  stopwatch.report(options.repeat);
  return 0;
}

}  // namespace bench
