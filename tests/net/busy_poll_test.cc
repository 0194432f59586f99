// A loop that looks again and again before it sleeps, for as long as it was told.
#include <time.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/tests/support/await_wait.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

using platform::SystemCalls;

// A clock that goes on by so much with each reading, beside what time itself does.
class TickingClock {
 public:
  TickingClock(Faults& faults, std::chrono::nanoseconds tick) {
    faults.replace<&SystemCalls::clock_gettime>(
        [this, &faults, tick](clockid_t clock, timespec* time) {
          const int result = faults.underlying().clock_gettime(clock, time);
          const auto ahead = tick * ++readings_;
          const auto all =
              std::chrono::seconds(time->tv_sec) + std::chrono::nanoseconds(time->tv_nsec) + ahead;
          const auto seconds = std::chrono::floor<std::chrono::seconds>(all);
          time->tv_sec = static_cast<time_t>(seconds.count());
          time->tv_nsec = static_cast<decltype(time->tv_nsec)>((all - seconds).count());
          return result;
        });
  }

 private:
  std::atomic<int> readings_{0};
};

POLLARD_EACH_BACKEND(a_loop_that_polls_busily_need_not_be_woken) {
  Faults faults;
  const TickingClock clock(faults, std::chrono::nanoseconds(10));
  EventLoop loop({.poller = backend, .busy_poll = std::chrono::hours(1)});
  const std::size_t before = faults.count(Call::kWait);
  const std::size_t writes = faults.count(Call::kWrite);
  bool ran = false;
  std::thread poster([&] {
    await_wait(faults, before);
    loop.post([&] { ran = true; });
    loop.stop();
  });
  loop.run();
  poster.join();
  BOOST_TEST(ran);
  BOOST_TEST(faults.count(Call::kWrite) == writes);
  BOOST_TEST(loop.stats().wakeups == 0U);
}

POLLARD_EACH_BACKEND(a_loop_polls_busily_for_no_longer_than_it_was_told) {
  const auto waits_of_a_turn = [&](Duration busy_poll) {
    EventLoop loop({.poller = backend, .busy_poll = busy_poll});
    loop.run_once(20ms);
    return loop.stats().waits;
  };
  Faults faults;
  BOOST_TEST(waits_of_a_turn({}) == 1U);
  const TickingClock clock(faults, 1ms);
  const std::uint64_t waits = waits_of_a_turn(10ms);
  BOOST_TEST(waits >= 2U);
  BOOST_TEST(waits <= 11U);  // ten looks and the sleep
  const std::uint64_t limited = waits_of_a_turn(1h);
  BOOST_TEST(limited <= 21U);
}

POLLARD_EACH_BACKEND(a_clock_that_stands_still_does_not_keep_a_loop_busy) {
  Faults faults;
  faults.replace<&SystemCalls::clock_gettime>([](clockid_t, timespec* time) {
    *time = {.tv_sec = 1000, .tv_nsec = 0};
    return 0;
  });
  EventLoop loop({.poller = backend, .busy_poll = 1h});
  loop.run_once(1ms);
  BOOST_TEST(loop.stats().waits <= 3U);
}

POLLARD_EACH_BACKEND(events_and_timers_come_to_a_loop_that_polls_busily) {
  Faults faults;
  const TickingClock clock(faults, 1us);
  EventLoop loop({.poller = backend, .busy_poll = 1h});
  const Pair pair = socket_pair();
  std::string heard;
  const Channel channel(loop, pair.near.get(), Interest::kRead,
                        [&](Readiness) { heard += read_text(pair.near.get()); });
  int ticks = 0;
  const MonotonicTime began = loop.now();
  const Timer timer = loop.every(2ms, [&] {
    write_text(pair.far.get(), "x");
    if (++ticks == 3) loop.stop();
  });
  loop.run();
  BOOST_TEST((heard == "xx" || heard == "xxx"), heard);
  BOOST_TEST((loop.now() - began >= 6ms));
}

}  // namespace
}  // namespace pollard::testing
