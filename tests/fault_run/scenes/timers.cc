#include <chrono>
#include <string>

#include "pollard/net/loop/event_loop.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_timers(Stage& stage) {
  std::string order;
  int ticks = 0;
  {
    const Timer second = stage.loop().after(20ms, [&] { order += '2'; });
    const Timer first = stage.loop().after(10ms, [&] { order += '1'; });
    Timer never = stage.loop().after(15ms, [&] { order += 'x'; });
    const Timer tick = stage.loop().every(5ms, [&] { ++ticks; });
    never.cancel();
    stage.until("the timers", [&] { return order.size() >= 2 && ticks >= 3; });
  }
  const int before = ticks;
  stage.turn();
  stage.require(ticks == before, "a timer runs that has ended");
  stage.require_unharmed(order == "12", "timers run in the order " + order);
}

}  // namespace pollard::fault_run
