// Durations and times at the ends of their ranges: never an overflow (the sanitizer watches), never
// early, never a hang.
#include <array>
#include <limits>

#include "pollard/base/backoff.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/timers/internal/timer_queue.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

constexpr std::array kExtremes = {Duration::min(), Duration(-1), Duration::zero(), Duration(1),
                                  Duration::max()};

MonotonicTime time_at(Duration since_origin) { return MonotonicTime(since_origin); }

POLLARD_EACH_BACKEND(timers_take_every_deadline) {
  for (const Duration first : kExtremes) {
    for (const Duration second : kExtremes) {
      EventLoop loop({.poller = backend});
      int ran = 0;
      Timer at = loop.at(time_at(first), [&] { ++ran; });
      Timer after = loop.after(first, [&] { ++ran; });
      const Timer end = loop.after(1ms, [&] { loop.stop(); });
      loop.run();
      const bool past = first <= Duration(1);
      BOOST_TEST(ran == (past ? 2 : 0));
      at = loop.at(time_at(first), [&] { ++ran; });
      after = loop.after(first, [&] { ++ran; });
      at.restart_at(time_at(second));
      after.restart_after(second);
      loop.post([&] { loop.stop(); });
      loop.run();
    }
  }
}

POLLARD_EACH_BACKEND(timers_set_and_moved_in_a_timers_task_take_every_deadline) {
  for (const Duration extreme : kExtremes) {
    EventLoop loop({.poller = backend});
    Timer at;
    Timer after;
    Timer periodic = loop.every(1ms, [&] {
      at = loop.at(time_at(extreme), [] {});
      after = loop.after(extreme, [] {});
      periodic.restart_at(time_at(extreme));
      loop.stop();
    });
    loop.run();
    static_cast<void>(loop.run_once(Duration::zero()));
  }
}

POLLARD_EACH_BACKEND(periods_from_the_shortest_to_the_longest_are_taken) {
  EventLoop loop({.poller = backend});
  int ran = 0;
  Timer shortest = loop.every(Duration(1), [&] {
    if (++ran == 3) loop.stop();
  });
  const Timer longest = loop.every(Duration::max(), [&] { ran = 100; });
  loop.run();
  BOOST_TEST(ran == 3);
}

POLLARD_EACH_BACKEND(a_turn_may_be_limited_to_any_duration) {
  for (const Duration extreme : kExtremes) {
    EventLoop loop({.poller = backend});
    loop.stop();
    BOOST_TEST(loop.run_once(extreme));
    if (extreme < 1s) BOOST_TEST(!loop.run_once(extreme));
  }
}

POLLARD_EACH_BACKEND(loops_take_every_duration_in_their_options) {
  for (const Duration extreme : kExtremes) {
    int slow = 0;
    EventLoop loop({.poller = backend,
                    .busy_poll = std::max(extreme, Duration::zero()),
                    .slow_iteration = {.limit = extreme, .callback = [&](Duration) { ++slow; }}});
    const Timer timer = loop.after(1ms, [&] { loop.stop(); });
    loop.run();
    BOOST_TEST((slow > 0) == (extreme < 1s));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(connections_take_every_time_limit) {
  for (Duration Timeouts::*const limit :
       {&Timeouts::first_byte, &Timeouts::read_idle, &Timeouts::write_idle, &Timeouts::write_stall,
        &Timeouts::idle, &Timeouts::max_lifetime}) {
    for (const Duration extreme : kExtremes) {
      Connected one(backend);
      one.options.timeouts.*limit = extreme;
      one.open();
      one.say("x");
      for (int turn = 0; turn < 3; ++turn) static_cast<void>(one.loop.run_once(1ms));
      if (extreme == Duration::max() || extreme <= Duration::zero()) {
        BOOST_TEST(one.connection->connected());
      }
      Timeouts both;
      both.*limit = extreme;
      both.max_lifetime = Duration::max();
      if (one.connection->connected()) one.connection->set_timeouts(both);
      static_cast<void>(one.loop.run_once(Duration::zero()));
    }
  }
}

BOOST_AUTO_TEST_SUITE(extreme_durations)

BOOST_AUTO_TEST_CASE(sums_and_distances_stay_on_the_time_line) {
  for (const Duration one : kExtremes) {
    for (const Duration other : kExtremes) {
      const MonotonicTime sum = saturating_add(time_at(one), other);
      const Duration distance = saturating_distance(time_at(one), time_at(other));
      using Wide = long double;
      const auto bound = [](Wide exact) {
        return std::min(std::max(exact, static_cast<Wide>(Duration::min().count())),
                        static_cast<Wide>(Duration::max().count()));
      };
      BOOST_TEST(static_cast<Wide>(sum.time_since_epoch().count()) ==
                 bound(static_cast<Wide>(one.count()) + static_cast<Wide>(other.count())));
      BOOST_TEST(static_cast<Wide>(distance.count()) ==
                 bound(static_cast<Wide>(other.count()) - static_cast<Wide>(one.count())));
    }
  }
}

BOOST_AUTO_TEST_CASE(backoffs_take_every_duration) {
  for (const Duration initial : kExtremes) {
    for (const Duration maximum : kExtremes) {
      Backoff backoff({.initial = initial, .maximum = maximum}, 1);
      for (int i = 0; i < 100; ++i) {
        const Duration delay = backoff.next();
        BOOST_TEST_REQUIRE((delay >= Duration::zero()));
        BOOST_TEST_REQUIRE((delay <= std::max(maximum, Duration::zero())));
      }
      backoff.reset();
      BOOST_TEST_REQUIRE((backoff.next() <= std::max(initial, Duration::zero())));
    }
  }
}

BOOST_AUTO_TEST_CASE(queue_takes_every_time_of_the_clock) {
  for (const Duration now : {Duration::zero(), Duration(1), Duration::max()}) {
    for (const Duration deadline : kExtremes) {
      for (const Duration period : {Duration::zero(), Duration(1), Duration::max()}) {
        TimerQueue queue;
        int ran = 0;
        const Timer timer = queue.add(time_at(deadline), period, [&] { ++ran; });
        BOOST_TEST_REQUIRE(queue.next_deadline(time_at(now)).has_value());
        queue.run_due(time_at(now));
        BOOST_TEST(ran == (deadline <= now ? 1 : 0));
        static_cast<void>(queue.next_deadline(time_at(now)));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
