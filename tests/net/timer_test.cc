// Timers: the queue by itself, under a clock of its own, and the handles to what is in it.
#include "pollard/net/timers/timer.h"

#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pollard/net/timers/internal/timer_queue.h"
#include "pollard/tests/support/failing_allocation.h"

namespace pollard::testing {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime time_of(std::int64_t ticks) { return MonotonicTime(Duration(ticks)); }

// A queue, and the names of the timers that have run.
struct Fixture {
  std::optional<TimerQueue> queue{std::in_place};
  std::string ran;

  Timer add(char name, std::int64_t deadline, std::int64_t period = 0) {
    return queue->add(time_of(deadline), Duration(period), [this, name] { ran += name; });
  }
  Timer add_task(std::int64_t deadline, Task task, std::int64_t period = 0) {
    return queue->add(time_of(deadline), Duration(period), std::move(task));
  }
  void run_due(std::int64_t now) {
    now_ = now;
    queue->run_due(time_of(now));
  }
  // For who asks before the time has moved on.
  std::optional<MonotonicTime> next_deadline() { return queue->next_deadline(time_of(now_)); }

  // The names of what ran.
  std::string run(std::int64_t now) {
    ran.clear();
    run_due(now);
    return ran;
  }

 private:
  std::int64_t now_ = 0;
};

BOOST_AUTO_TEST_SUITE(timer)

// A member that is set anew: the old task may own, alone by now, whoever has the timer.
BOOST_AUTO_TEST_CASE(a_timer_is_set_before_the_task_that_it_replaces_is_destroyed) {
  struct Owner {
    Timer timer;
  };
  Fixture f;
  auto owner = std::make_shared<Owner>();
  owner->timer = f.add_task(10, [owner] {});
  Owner& still_there = *owner;
  owner.reset();
  still_there.timer = f.add('b', 20);  // and with this it is gone, and the new timer with it
  BOOST_TEST(f.run(100) == "");
  BOOST_TEST(f.queue->empty());
}

BOOST_AUTO_TEST_CASE(timers_happen_in_the_order_of_their_deadlines) {
  Fixture f;
  const Timer c = f.add('c', 30);
  const Timer a = f.add('a', 10);
  const Timer d = f.add('d', 40);
  const Timer b = f.add('b', 20);
  BOOST_TEST((f.next_deadline() == time_of(10)));
  BOOST_TEST(f.run(9) == "");
  BOOST_TEST(f.run(10) == "a");
  BOOST_TEST((f.next_deadline() == time_of(20)));
  BOOST_TEST(f.run(39) == "bc");
  BOOST_TEST(f.run(1000) == "d");
  BOOST_TEST(f.run(1000) == "");
  BOOST_TEST(f.queue->empty());
  BOOST_TEST((f.next_deadline() == std::nullopt));
  BOOST_TEST(f.queue->ran() == 4U);
}

BOOST_AUTO_TEST_CASE(timers_of_one_deadline_happen_in_the_order_in_which_they_were_set) {
  Fixture f;
  std::vector<Timer> timers;
  std::string expected;
  for (char name = 'A'; name <= 'z'; ++name) {
    timers.push_back(f.add(name, 10));
    expected += name;
  }
  BOOST_TEST(f.run(10) == expected);
}

BOOST_AUTO_TEST_CASE(a_handle_is_active_until_its_timer_has_happened) {
  Fixture f;
  BOOST_TEST(!Timer().active());
  bool active_inside = true;
  Timer timer;
  timer = f.add_task(10, [&] { active_inside = timer.active(); });
  BOOST_TEST(timer.active());
  f.run_due(10);
  BOOST_TEST(!active_inside);
  BOOST_TEST(!timer.active());
  timer.cancel();
  timer.restart_at(time_of(20));
  timer.detach();
  BOOST_TEST(f.queue->empty());
}

BOOST_AUTO_TEST_CASE(a_cancelled_timer_does_not_happen) {
  Fixture f;
  Timer a = f.add('a', 10);
  Timer b = f.add('b', 20);
  { const Timer dies = f.add('x', 15); }
  b.cancel();
  b.cancel();
  BOOST_TEST(!b.active());
  BOOST_TEST(f.queue->size() == 1U);
  BOOST_TEST(f.run(100) == "a");
  a.cancel();
  BOOST_TEST(f.queue->empty());
}

BOOST_AUTO_TEST_CASE(the_next_deadline_is_that_of_a_living_timer) {
  Fixture f;
  Timer first = f.add('a', 10);
  const Timer second = f.add('b', 20);
  first.cancel();
  BOOST_TEST((f.next_deadline() == time_of(20)));
}

BOOST_AUTO_TEST_CASE(a_cancelled_task_is_destroyed_at_once) {
  Fixture f;
  const auto held = std::make_shared<int>(0);
  Timer timer = f.add_task(10, [held] {});
  BOOST_TEST(held.use_count() == 2);
  timer.cancel();
  BOOST_TEST(held.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(what_a_task_holds_lives_until_it_returns_and_no_longer) {
  for (const std::int64_t period : {0, 10}) {
    Fixture f;
    auto held = std::make_shared<int>(0);
    const std::weak_ptr<int> watched = held;
    Timer timer;
    bool alive_inside = false;
    timer = f.add_task(
        10,
        [&, held = std::move(held)] {
          timer.cancel();
          alive_inside = watched.lock() != nullptr;
        },
        period);
    f.run_due(10);
    BOOST_TEST(alive_inside);
    BOOST_TEST(watched.expired());
    BOOST_TEST(f.queue->empty());
  }
}

BOOST_AUTO_TEST_CASE(a_handle_may_die_inside_its_own_callback) {
  for (const std::int64_t period : {0, 10}) {
    Fixture f;
    auto owner = std::make_unique<Timer>();
    int ran = 0;
    *owner = f.add_task(
        10,
        [&] {
          owner.reset();
          ++ran;
        },
        period);
    f.run_due(10);
    f.run_due(100);
    BOOST_TEST(ran == 1);
    BOOST_TEST(f.queue->empty());
  }
}

BOOST_AUTO_TEST_CASE(a_callback_may_cancel_timers_that_are_due_already) {
  Fixture f;
  Timer b;
  Timer d;
  const Timer a = f.add_task(1, [&] {
    f.ran += 'a';
    b.cancel();
    d.cancel();
  });
  b = f.add('b', 1);
  const Timer c = f.add('c', 1);
  d = f.add('d', 1, 5);
  BOOST_TEST(f.run(10) == "ac");
  BOOST_TEST(f.run(100) == "");
}

BOOST_AUTO_TEST_CASE(a_handle_is_moved_and_its_timer_goes_with_it) {
  Fixture f;
  Timer first = f.add('a', 10);
  Timer second = std::move(first);
  BOOST_TEST(!first.active());  // NOLINT(bugprone-use-after-move)
  BOOST_TEST(second.active());
  first.cancel();
  BOOST_TEST(second.active());
  Timer other = f.add('b', 10);
  other = std::move(second);  // the timer that it had is cancelled
  BOOST_TEST(f.queue->size() == 1U);
  Timer& itself = other;
  other = std::move(itself);
  BOOST_TEST(other.active());
  BOOST_TEST(f.run(10) == "a");
  BOOST_TEST(!other.active());
}

BOOST_AUTO_TEST_CASE(a_handle_that_is_moved_inside_its_callback_still_cancels) {
  Fixture f;
  Timer first;
  Timer second;
  first = f.add_task(
      10,
      [&] {
        f.ran += 'p';
        if (first.active()) second = std::move(first);
      },
      10);
  BOOST_TEST(f.run(10) == "p");
  BOOST_TEST(second.active());
  second.cancel();
  BOOST_TEST(f.run(100) == "");
}

BOOST_AUTO_TEST_CASE(handles_in_a_growing_vector_stay_theirs) {
  Fixture f;
  std::vector<Timer> timers;
  for (int i = 0; i < 1000; ++i) timers.push_back(f.add('x', i));
  for (std::size_t i = 0; i < timers.size(); i += 2) timers[i].cancel();
  BOOST_TEST(f.run(2000).size() == 500U);
}

BOOST_AUTO_TEST_CASE(a_handle_may_outlive_its_queue) {
  Fixture f;
  Timer once = f.add('a', 10);
  Timer periodic = f.add('b', 10, 10);
  Timer moved = f.add('c', 10);
  Timer target = std::move(moved);
  f.queue.reset();
  for (Timer* timer : {&once, &periodic, &target}) {
    BOOST_TEST(!timer->active());
    timer->restart_at(time_of(20));
    timer->detach();
    timer->cancel();
  }
  BOOST_TEST(f.ran == "");
}

BOOST_AUTO_TEST_CASE(a_queue_destroys_the_tasks_that_it_holds_with_the_handles_inside) {
  Fixture f;
  const auto held = std::make_shared<int>(0);
  auto inner = std::make_unique<Timer>(f.add('a', 10));
  f.add_task(20, [held, inner = std::move(inner)] {}).detach();
  f.queue.reset();
  BOOST_TEST(held.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_detached_timer_happens_without_a_handle) {
  Fixture f;
  f.add('a', 10).detach();
  Timer periodic = f.add('b', 10, 10);
  periodic.detach();
  BOOST_TEST(!periodic.active());
  periodic.cancel();  // nothing of it any more
  BOOST_TEST(f.run(10) == "ab");
  BOOST_TEST(f.run(20) == "b");
}

BOOST_AUTO_TEST_CASE(a_timer_is_put_off_and_forward) {
  Fixture f;
  Timer a = f.add('a', 10);
  Timer b = f.add('b', 20);
  a.restart_at(time_of(30));
  BOOST_TEST((f.next_deadline() == time_of(20)));
  BOOST_TEST(f.run(29) == "b");
  BOOST_TEST(f.run(30) == "a");
  a = f.add('a', 100);
  a.restart_at(time_of(50));
  BOOST_TEST((f.next_deadline() == time_of(50)));
  a.restart_at(time_of(70));
  BOOST_TEST((f.next_deadline() == time_of(70)));
  a.restart_at(time_of(60));
  a.restart_at(time_of(65));
  BOOST_TEST(f.run(64) == "");
  BOOST_TEST(f.run(65) == "a");
  BOOST_TEST(f.run(1000) == "");
}

BOOST_AUTO_TEST_CASE(a_timer_that_is_restarted_all_the_time_costs_no_memory) {
  Fixture f;
  Timer later = f.add('a', 1);
  Timer earlier = f.add('b', 1'000'000);
  const std::size_t capacity = f.queue->capacity();
  for (std::int64_t i = 1; i <= 100'000; ++i) {
    later.restart_at(time_of(i));
    earlier.restart_at(time_of(1'000'000 - i));
  }
  BOOST_TEST(f.queue->capacity() == capacity);
  BOOST_TEST(f.queue->size() == 2U);
  BOOST_TEST((f.next_deadline() == time_of(100'000)));
  BOOST_TEST(f.run(899'999) == "a");
  BOOST_TEST(f.run(900'000) == "b");
}

BOOST_AUTO_TEST_CASE(timers_that_are_set_and_cancelled_all_the_time_cost_no_memory) {
  Fixture f;
  std::vector<Timer> living;
  for (int i = 0; i < 100; ++i) living.push_back(f.add('x', 1'000'000));
  for (int i = 0; i < 100'000; ++i) const Timer timer = f.add('y', 1000 + i);
  BOOST_TEST(f.queue->capacity() <= 256U);
  BOOST_TEST(f.run(1'000'000).size() == 100U);
}

BOOST_AUTO_TEST_CASE(a_periodic_timer_stays_in_step) {
  Fixture f;
  const Timer timer = f.add('p', 10, 10);
  BOOST_TEST(f.run(10) == "p");
  BOOST_TEST(f.run(19) == "");
  BOOST_TEST(f.run(23) == "p");  // late, and yet the next is due at 30
  BOOST_TEST(f.run(29) == "");
  BOOST_TEST(f.run(30) == "p");
  BOOST_TEST(timer.active());
}

BOOST_AUTO_TEST_CASE(a_periodic_timer_that_missed_turns_runs_once_and_not_in_a_burst) {
  Fixture f;
  const Timer timer = f.add('p', 10, 10);
  BOOST_TEST(f.run(75) == "p");
  BOOST_TEST((f.next_deadline() == time_of(80)));
  BOOST_TEST(f.run(79) == "");
  BOOST_TEST(f.run(100) == "p");  // exactly on a turn: that one has happened
  BOOST_TEST((f.next_deadline() == time_of(110)));
}

BOOST_AUTO_TEST_CASE(a_periodic_timer_can_be_restarted_from_its_callback) {
  Fixture f;
  Timer timer;
  timer = f.add_task(
      10,
      [&] {
        f.ran += 'p';
        timer.restart_at(time_of(25));
      },
      10);
  BOOST_TEST(f.run(10) == "p");
  BOOST_TEST((f.next_deadline() == time_of(25)));
  BOOST_TEST(f.run(24) == "");
  BOOST_TEST(f.run(25) == "p");
}

BOOST_AUTO_TEST_CASE(deadlines_at_the_ends_of_the_time_line_are_deadlines) {
  Fixture f;
  const Timer never = f.add_task(
      0, [&] { f.ran += 'n'; }, 0);
  const Timer last = f.queue->add(MonotonicTime::max(), Duration::zero(), [&] { f.ran += 'l'; });
  const Timer first = f.queue->add(MonotonicTime::min(), Duration(3), [&] { f.ran += 'f'; });
  const Timer endless = f.queue->add(time_of(5), Duration::max(), [&] { f.ran += 'e'; });
  BOOST_TEST(f.run(10) == "nfe");
  BOOST_TEST((f.next_deadline() == time_of(12)));
  BOOST_TEST(f.run(12) == "f");
  BOOST_TEST(f.run(INT64_MAX - 1) == "f");
}

BOOST_AUTO_TEST_CASE(a_timer_that_throws_leaves_the_others_due) {
  Fixture f;
  const Timer a = f.add('a', 10);
  const Timer thrower = f.add_task(10, [] { throw std::runtime_error("thrown"); });
  const Timer b = f.add('b', 10);
  BOOST_CHECK_THROW(f.run_due(10), std::runtime_error);
  BOOST_TEST(f.ran == "a");
  BOOST_TEST(!thrower.active());
  BOOST_TEST((f.next_deadline() == time_of(10)));
  BOOST_TEST(f.run(10) == "b");
}

BOOST_AUTO_TEST_CASE(a_periodic_timer_that_throws_goes_on) {
  Fixture f;
  const Timer thrower = f.add_task(
      10,
      [&] {
        f.ran += 't';
        throw std::runtime_error("thrown");
      },
      10);
  BOOST_CHECK_THROW(f.run_due(10), std::runtime_error);
  BOOST_TEST(thrower.active());
  BOOST_CHECK_THROW(f.run_due(20), std::runtime_error);
  BOOST_TEST(f.ran == "tt");
}

BOOST_AUTO_TEST_CASE(what_a_callback_sets_for_the_past_waits_for_the_next_run) {
  Fixture f;
  int ran = 0;
  std::function<void()> again = [&] {
    ++ran;
    f.add_task(0, [&] { again(); }).detach();
  };
  f.add_task(10, [&] { again(); }).detach();
  for (int turn = 1; turn <= 5; ++turn) {
    f.run_due(10);
    BOOST_TEST(ran == turn);
  }
}

BOOST_AUTO_TEST_CASE(what_is_set_for_the_past_again_and_again_holds_up_no_other_timer) {
  Fixture f;
  std::function<void()> again = [&] {
    f.ran += 'a';
    f.add_task(0, [&] { again(); }).detach();
  };
  f.add_task(1, [&] { again(); }).detach();
  const Timer b = f.add('b', 5);
  const Timer p = f.add('p', 6, 100);
  BOOST_TEST(f.run(10) == "abp");
  BOOST_TEST(f.run(10) == "a");
}

BOOST_AUTO_TEST_CASE(a_periodic_timer_that_restarts_itself_for_the_past_runs_once_a_turn) {
  Fixture f;
  Timer timer;
  timer = f.add_task(
      10,
      [&] {
        f.ran += 'p';
        timer.restart_at(time_of(0));
      },
      1000);
  BOOST_TEST(f.run(10) == "p");
  BOOST_TEST(f.run(10) == "p");
  BOOST_TEST(f.run(11) == "p");
}

BOOST_AUTO_TEST_CASE(a_due_timer_that_a_callback_puts_off_does_not_happen_yet) {
  Fixture f;
  Timer b;
  const Timer a = f.add_task(5, [&] { b.restart_at(time_of(50)); });
  b = f.add('b', 5);
  BOOST_TEST(f.run(10) == "");
  BOOST_TEST(f.run(50) == "b");
}

BOOST_AUTO_TEST_CASE(a_destroyed_task_may_cancel_and_set_other_timers) {
  Fixture f;
  Timer other = f.add('x', 10);
  struct Guard {
    std::function<void()> at_end;
    ~Guard() { at_end(); }
  };
  auto guard = std::make_shared<Guard>();
  guard->at_end = [&] {
    other.cancel();
    f.add('y', 10).detach();
  };
  Timer timer = f.add_task(10, [guard = std::move(guard)] {});
  timer.cancel();
  BOOST_TEST(f.run(10) == "y");
}

// Setting may fail, and nothing else may.
BOOST_AUTO_TEST_CASE(a_timer_that_was_set_needs_no_memory_to_be_moved) {
  with_each_allocation_failing([](std::uint64_t which) {
    constexpr int kTimers = 100;
    Fixture f;
    f.ran.reserve(kTimers);
    std::vector<Timer> timers(kTimers);
    std::optional<FailingAllocation> failing(which);
    f.run_due(1000);
    for (Timer& timer : timers) {
      try {
        timer = f.add('x', 2000);
      } catch (const std::bad_alloc&) {
        timer = f.add('x', 2000);
      }
    }
    for (Timer& timer : timers) timer.restart_at(time_of(900));  // among those that are sorted
    f.run_due(1000);
    const bool failed = failing->has_failed();
    failing.reset();
    BOOST_TEST(f.ran == std::string(kTimers, 'x'));
    return failed;
  });
}

// One that is far away, or whole crowds, are not in the way of what is set later and is due before.
BOOST_AUTO_TEST_CASE(a_deadline_that_is_far_away_does_not_hide_those_before_it) {
  Fixture f;
  const Timer never = f.queue->add(MonotonicTime::max(), Duration::zero(), [&] { f.ran += 'n'; });
  BOOST_TEST((f.next_deadline() == MonotonicTime::max()));
  std::vector<Timer> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(f.add('c', 3'600'000'000'000));
  BOOST_TEST((f.next_deadline() == time_of(3'600'000'000'000)));
  const Timer soon = f.add('s', 1'000'000);
  const Timer sooner = f.add('S', 5);
  BOOST_TEST((f.next_deadline() == time_of(5)));
  BOOST_TEST(f.run(1'000'000) == "Ss");
  BOOST_TEST((f.next_deadline() == time_of(3'600'000'000'000)));
  crowd.clear();
  BOOST_TEST((f.next_deadline() == MonotonicTime::max()));
  const Timer again = f.add('a', 2'000'000);
  BOOST_TEST(f.run(2'000'000) == "a");
  BOOST_TEST(never.active());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
