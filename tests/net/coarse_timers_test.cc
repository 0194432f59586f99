// Timers that may be late: how late, and what they cost. Time is the test's own.
#include "pollard/net/timers/internal/coarse_timers.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <optional>

#include "pollard/base/random.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/effort.h"

namespace pollard::testing {
namespace {

using namespace std::chrono_literals;

// A loop that waits for events of the test's making, on a clock of the test's making.
class ImaginaryLoop {
 public:
  ImaginaryLoop() {
    faults.replace<&platform::SystemCalls::clock_gettime>([this](clockid_t, timespec* time) {
      time->tv_sec = static_cast<time_t>(now / 1s);
      time->tv_nsec = static_cast<long>((now % 1s).count());
      return 0;
    });
  }

  // Waits until the event, or for as long as the timers allow; whether the event came.
  bool turn(Duration until_event) {
    const Duration allowed = timers.active() ? timers.longest_wait() : Duration::max();
    shortest_wait = std::min(shortest_wait, allowed);
    const bool found = until_event <= allowed;
    now += found ? until_event : allowed;
    ++turns;
    timers.waited(found);
    return found;
  }
  void run_timers() {
    if (timers.due()) timers.run_due();
  }

  [[nodiscard]] std::size_t readings() const { return faults.count(Call::kClockGettime); }

  Faults faults;
  Duration now = 1000s;
  std::size_t turns = 0;
  Duration shortest_wait = Duration::max();  // that the timers allowed
  CoarseTimers timers;
};

// An idle limit such as a connection has.
class IdleLimit {
 public:
  IdleLimit(ImaginaryLoop& loop, Duration limit) : loop_(loop), limit_(limit) {
    active_ = loop.timers.begin(limit);
    really_active_ = loop.now;
    look();
  }

  void be_active() {
    active_ = loop_.timers.stamp();
    really_active_ = loop_.now;
  }
  [[nodiscard]] bool ended() const { return ended_after_.has_value(); }
  [[nodiscard]] Duration ended_after() const { return *ended_after_; }

 private:
  void look() {
    const MonotonicTime deadline = CoarseTimers::deadline(active_, limit_);
    if (deadline <= loop_.timers.now()) {
      ended_after_ = loop_.now - really_active_;
    } else {
      next_ = loop_.timers.at(deadline, [this] { look(); });
    }
  }

  ImaginaryLoop& loop_;
  Duration limit_;
  MonotonicTime active_{};
  Duration really_active_{};
  std::optional<Duration> ended_after_;
  Timer next_;
};

void expect_in_time(Duration took, Duration limit) {
  BOOST_TEST(took.count() >= limit.count(), "early");
  BOOST_TEST(took.count() <= (limit + limit / 8 + 2ms).count(), "late");
}

BOOST_AUTO_TEST_SUITE(coarse_timers)

BOOST_AUTO_TEST_CASE(an_idle_limit_is_never_early_and_late_by_an_eighth_at_most) {
  for (const Duration limit : {Duration(20ms), Duration(1s), Duration(60s), Duration(24h)}) {
    for (const Duration pace : {limit / 1000, limit / 40, limit / 3}) {
      for (unsigned seed = 1; seed <= repeated(20); ++seed) {
        SplitMix64 random(seed);
        ImaginaryLoop loop;
        IdleLimit idle(loop, limit);
        const std::uint64_t events = random.next() % 500;
        for (std::uint64_t event = 0; event < events; ++event) {
          const auto until = Duration(static_cast<std::int64_t>(
              random.next() % static_cast<std::uint64_t>(pace.count() * 2)));
          const Duration at = loop.now + until;
          bool came = false;
          while (!came) {
            came = loop.turn(at - loop.now);
            if (came) idle.be_active();
            loop.run_timers();
          }
        }
        BOOST_TEST_REQUIRE(!idle.ended());
        while (!idle.ended()) {
          static_cast<void>(loop.turn(Duration::max()));
          loop.run_timers();
        }
        expect_in_time(idle.ended_after(), limit);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_loop_that_is_busy_reads_the_clock_once_in_many_turns) {
  ImaginaryLoop loop;
  IdleLimit idle(loop, 60s);
  for (int message = 0; message < 64'000; ++message) {
    BOOST_TEST_REQUIRE(loop.turn(10us));
    idle.be_active();
    loop.run_timers();
  }
  BOOST_TEST(loop.readings() <= 1010U);
}

// A timeout that comes before the kernel's next tick costs more than a reading of the clock.
BOOST_AUTO_TEST_CASE(a_loop_that_is_busy_waits_for_longer_than_a_tick) {
  const auto shortest_wait = [](Duration limit) {
    ImaginaryLoop loop;
    IdleLimit idle(loop, limit);
    for (int message = 0; message < 10'000; ++message) {
      BOOST_TEST_REQUIRE(loop.turn(10us));
      idle.be_active();
    }
    BOOST_TEST(loop.readings() <= 2500U);
    return loop.shortest_wait;
  };
  BOOST_TEST((shortest_wait(60s) >= 20ms));
  BOOST_TEST((shortest_wait(5s) >= 20ms));
  BOOST_TEST((shortest_wait(1s) >= 7ms));
}

BOOST_AUTO_TEST_CASE(a_loop_that_is_idle_sleeps_until_the_first_deadline) {
  ImaginaryLoop loop;
  IdleLimit idle(loop, 60s);
  IdleLimit other(loop, 120s);
  while (!other.ended()) {
    static_cast<void>(loop.turn(Duration::max()));
    loop.run_timers();
  }
  BOOST_TEST(idle.ended());
  BOOST_TEST(loop.turns <= 4U);
}

BOOST_AUTO_TEST_CASE(messages_now_and_then_cost_few_turns_more) {
  ImaginaryLoop loop;
  IdleLimit idle(loop, 60s);
  for (int message = 0; message < 1000; ++message) {
    for (const Duration at = loop.now + 20ms; loop.now < at;) {
      static_cast<void>(loop.turn(at - loop.now));
    }
    idle.be_active();
    loop.run_timers();
  }
  BOOST_TEST(loop.turns <= 1250U);
}

BOOST_AUTO_TEST_CASE(time_in_which_handlers_hold_the_loop_up_does_not_count) {
  ImaginaryLoop loop;
  IdleLimit idle(loop, 1s);
  static_cast<void>(loop.turn(1ms));
  idle.be_active();
  loop.now += 10s;  // in a handler
  static_cast<void>(loop.turn(Duration::max()));
  loop.run_timers();
  BOOST_TEST(!idle.ended(), "nobody could have heard the peer");
  while (!idle.ended()) {
    static_cast<void>(loop.turn(Duration::max()));
    loop.run_timers();
  }
  expect_in_time(idle.ended_after() - 10s, 1s);
}

// A stamp may be as old as the slack of the limits that were pending then.
BOOST_AUTO_TEST_CASE(a_shorter_limit_that_comes_later_is_as_exact_and_spoils_no_other) {
  ImaginaryLoop loop;
  IdleLimit patient(loop, 60s);
  static_cast<void>(loop.turn(1ms));
  loop.now += 3s;  // unnoticed: less than the slack
  patient.be_active();
  IdleLimit hasty(loop, 100ms);
  while (!patient.ended()) {
    static_cast<void>(loop.turn(Duration::max()));
    loop.run_timers();
  }
  expect_in_time(hasty.ended_after(), 100ms);
  expect_in_time(patient.ended_after(), 60s);
}

BOOST_AUTO_TEST_CASE(a_limit_that_comes_after_a_time_without_any_starts_from_its_own_time) {
  ImaginaryLoop loop;
  { const IdleLimit gone(loop, 1s); }
  BOOST_TEST(!loop.timers.active());
  loop.now += 1h;
  IdleLimit idle(loop, 1s);
  while (!idle.ended()) {
    static_cast<void>(loop.turn(Duration::max()));
    loop.run_timers();
  }
  expect_in_time(idle.ended_after(), 1s);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
