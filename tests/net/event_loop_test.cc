// The loop and its mailbox: tasks, stops, wake-ups, timers, exceptions and failures, on every
// backend.
#include "pollard/net/loop/event_loop.h"

#include <stdlib.h>
#include <time.h>

#include <atomic>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/net/loop/channel.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/await_wait.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

using platform::SystemCalls;

// The clock as it is, and as far ahead as a test says: a handler that takes an hour takes no time.
class ShiftedClock {
 public:
  explicit ShiftedClock(Faults& faults) {
    faults.replace<&SystemCalls::clock_gettime>([this, &faults](clockid_t clock, timespec* time) {
      const int result = faults.underlying().clock_gettime(clock, time);
      time->tv_sec += seconds_.load();
      return result;
    });
  }
  void advance(int seconds) { seconds_ += seconds; }

 private:
  std::atomic<int> seconds_{0};
};

// Counts how often it was called and destroyed, however often it was moved.
class Probe {
 public:
  Probe(int& calls, int& ends) : calls_(&calls), ends_(&ends, [](int* count) { ++*count; }) {}
  void operator()() const { ++*calls_; }

 private:
  int* calls_;
  std::unique_ptr<int, void (*)(int*)> ends_;
};

// ---- Tasks and stops

POLLARD_EACH_BACKEND(tasks_run_in_the_order_of_posting_once_also_those_before_a_stop) {
  EventLoop loop({.poller = backend});
  std::string ran;
  for (char name = 'a'; name <= 'e'; ++name) loop.post([&ran, name] { ran += name; });
  loop.stop();
  BOOST_TEST(ran == "");
  loop.run();
  BOOST_TEST(ran == "abcde");
  loop.stop();
  loop.run();
  BOOST_TEST(ran == "abcde");
  BOOST_TEST(loop.stats().tasks == 5U);
}

POLLARD_EACH_BACKEND(a_stop_before_run_ends_the_next_run_and_no_other) {
  EventLoop loop({.poller = backend});
  loop.stop();
  loop.stop();
  loop.run();
  int ran = 0;
  const Timer timer = loop.after(1ms, [&] {
    ++ran;
    loop.stop();
  });
  loop.run();
  BOOST_TEST(ran == 1);
  BOOST_TEST(!loop.run_once(Duration::zero()));
}

POLLARD_EACH_BACKEND(a_stop_in_a_handler_of_any_kind_ends_the_run) {
  EventLoop loop({.poller = backend});
  loop.post([&] { loop.stop(); });
  loop.run();
  const Timer timer = loop.after(Duration::zero(), [&] { loop.stop(); });
  loop.run();
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  const Channel channel(loop, pair.near.get(), Interest::kRead, [&](Readiness) { loop.stop(); });
  loop.run();
}

POLLARD_EACH_BACKEND(a_stop_of_another_thread_ends_a_sleeping_loop) {
  const Faults faults;
  EventLoop loop({.poller = backend});
  for (int i = 0; i < 20; ++i) {
    const std::size_t before = faults.count(Call::kWait);
    std::thread stopper([&] {
      await_wait(faults, before);
      loop.stop();
    });
    loop.run();
    stopper.join();
  }
  BOOST_TEST(loop.stats().wakeups <= 20U);
}

POLLARD_EACH_BACKEND(the_tasks_of_many_threads_run_once_and_in_each_threads_order) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 2000;
  EventLoop loop({.poller = backend});
  std::vector<int> next(kThreads, 0);
  int disorder = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int number = 0; number < kTasks; ++number) {
        loop.post([&, thread, number] {
          if (next[static_cast<std::size_t>(thread)]++ != number) ++disorder;
          const int ran = std::accumulate(next.begin(), next.end(), 0);
          if (ran == kThreads * kTasks) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(disorder == 0);
  BOOST_TEST(loop.stats().tasks == static_cast<std::uint64_t>(kThreads * kTasks));
}

POLLARD_EACH_BACKEND(a_post_wakes_a_sleeping_loop_by_one_call_and_those_behind_it_by_none) {
  const Faults faults;
  EventLoop loop({.poller = backend});
  const std::size_t before = faults.count(Call::kWait);
  const std::size_t writes = faults.count(Call::kWrite);
  std::atomic<bool> all_posted{false};
  int ran = 0;
  std::thread poster([&] {
    await_wait(faults, before);
    loop.post([&] {
      while (!all_posted) std::this_thread::yield();
    });
    for (int i = 0; i < 100; ++i) loop.post([&] { ++ran; });
    loop.stop();
    all_posted = true;
  });
  loop.run();
  poster.join();
  BOOST_TEST(ran == 100);
  BOOST_TEST(faults.count(Call::kWrite) == writes + 1);
  BOOST_TEST(loop.stats().wakeups == 1U);
}

POLLARD_EACH_BACKEND(a_post_to_a_loop_that_runs_makes_no_call) {
  const Faults faults;
  EventLoop loop({.poller = backend});
  const std::size_t writes = faults.count(Call::kWrite);
  int ran = 0;
  loop.post([&] {
    for (int i = 0; i < 100; ++i) loop.post([&] { ++ran; });
    std::thread([&] { loop.post([&] { loop.stop(); }); }).join();
  });
  loop.run();
  BOOST_TEST(ran == 100);
  BOOST_TEST(faults.count(Call::kWrite) == writes);
  BOOST_TEST(loop.stats().wakeups == 0U);
}

POLLARD_EACH_BACKEND(a_task_that_posts_itself_for_ever_starves_nobody) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  int left = 2;
  const Channel channel(loop, pair.near.get(), Interest::kRead, [&](Readiness) {
    read_text(pair.near.get());
    if (--left == 0) loop.stop();
  });
  const Timer timer = loop.after(1ms, [&] {
    if (--left == 0) loop.stop();
  });
  std::function<void()> again = [&] { loop.post([&] { again(); }); };
  again();
  loop.run();
  BOOST_TEST(left == 0);
}

POLLARD_EACH_BACKEND(dispatch_runs_here_in_the_loops_thread_and_posts_elsewhere) {
  EventLoop loop({.poller = backend});
  bool ran = false;
  loop.dispatch([&] { ran = true; });
  BOOST_TEST(ran);
  ran = false;
  std::thread::id where;
  std::thread([&] {
    loop.dispatch([&] {
      ran = true;
      where = std::this_thread::get_id();
    });
  }).join();
  BOOST_TEST(!ran);
  loop.stop();
  loop.run();
  BOOST_TEST(ran);
  BOOST_TEST((where == std::this_thread::get_id()));
}

POLLARD_EACH_BACKEND(a_post_to_a_loop_that_is_gone_fails_and_its_task_is_destroyed) {
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  const LoopHandle handle = loop->handle();
  BOOST_TEST(handle.alive());
  BOOST_TEST(handle.in_loop_thread());
  int calls = 0;
  int ends = 0;
  BOOST_TEST(handle.post(Probe(calls, ends)));
  loop.reset();
  BOOST_TEST(ends == 1);
  BOOST_TEST(!handle.alive());
  BOOST_TEST(!handle.post(Probe(calls, ends)));
  BOOST_TEST(ends == 2);
  BOOST_TEST(calls == 0);
  handle.stop();
}

POLLARD_EACH_BACKEND(posts_may_race_with_the_end_of_the_loop) {
  for (int i = 0; i < 30; ++i) {
    std::optional<EventLoop> loop;
    loop.emplace(EventLoopOptions{.poller = backend});
    std::atomic<bool> begun{false};
    int ran = 0;
    std::thread poster([&, handle = loop->handle()] {
      while (handle.post([&ran] { ++ran; })) begun = true;
    });
    while (!begun) std::this_thread::yield();
    loop.reset();
    poster.join();
    BOOST_TEST(ran == 0);
  }
}

POLLARD_EACH_BACKEND(a_task_is_destroyed_once_after_it_ran_or_unrun_with_the_loop) {
  int calls = 0;
  int ends = 0;
  {
    EventLoop loop({.poller = backend});
    loop.post(Probe(calls, ends));
    loop.post([&] {
      BOOST_TEST(ends == 1);
      loop.stop();
    });
    loop.run();
    BOOST_TEST(calls == 1);
    loop.post([] { throw std::runtime_error("thrown"); });
    loop.post(Probe(calls, ends));
    BOOST_CHECK_THROW(loop.run(), std::runtime_error);
    loop.post(Probe(calls, ends));
    BOOST_TEST(ends == 1);
  }
  BOOST_TEST(calls == 1);
  BOOST_TEST(ends == 3);
}

POLLARD_EACH_BACKEND(a_task_that_is_destroyed_with_the_loop_may_post_and_cancel) {
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  Timer timer = loop->after(1s, [] {});
  bool posted = true;
  struct Guard {
    std::function<void()> at_end;
    ~Guard() { at_end(); }
  };
  auto guard = std::make_shared<Guard>();
  guard->at_end = [&, handle = loop->handle()] {
    posted = handle.post([] {});
    timer.cancel();
  };
  loop->post([guard = std::move(guard)] {});
  loop.reset();
  BOOST_TEST(!posted);
}

POLLARD_EACH_BACKEND(a_loop_is_used_in_its_own_thread) {
  EventLoop loop({.poller = backend});
  BOOST_TEST(loop.in_loop_thread());
  std::thread([&] {
    BOOST_TEST(!loop.in_loop_thread());
    BOOST_TEST(!loop.handle().in_loop_thread());
    BOOST_TEST(aborts([&] { loop.run(); }));
    BOOST_TEST(aborts([&] { std::ignore = loop.at(MonotonicTime(), [] {}); }));
    BOOST_TEST(aborts([&] { loop.assert_in_loop_thread(); }));
  }).join();
}

POLLARD_EACH_BACKEND(a_handler_can_neither_run_its_loop_nor_destroy_it) {
  auto loop = std::make_unique<EventLoop>(EventLoopOptions{.poller = backend});
  loop->post([&] {
    BOOST_TEST(aborts([&] { loop->run(); }));
    BOOST_TEST(aborts([&] { std::ignore = loop->run_once(); }));
    BOOST_TEST(aborts([&] { loop.reset(); }));
    loop->stop();
  });
  loop->run();
}

// ---- One turn at a time

POLLARD_EACH_BACKEND(one_turn_waits_for_its_limit_at_the_most_and_says_whether_to_stop) {
  EventLoop loop({.poller = backend});
  BOOST_TEST(!loop.run_once(Duration::zero()));
  BOOST_TEST(!loop.run_once(-1s));
  const MonotonicTime start = platform::monotonic_now();
  BOOST_TEST(!loop.run_once(3ms));
  BOOST_TEST((platform::monotonic_now() - start >= 3ms));
  int ran = 0;
  loop.post([&] { ++ran; });
  BOOST_TEST(!loop.run_once());
  BOOST_TEST(ran == 1);
  const Timer timer = loop.after(1ms, [&] { ++ran; });
  while (ran == 1) BOOST_TEST(!loop.run_once(kPatience));
  loop.stop();
  BOOST_TEST(loop.run_once());
  BOOST_TEST(!loop.run_once(Duration::zero()));
}

// ---- Timers

POLLARD_EACH_BACKEND(a_timer_is_never_early) {
  EventLoop loop({.poller = backend});
  for (const Duration delay : {Duration(0), Duration(1), Duration(1us), Duration(100us),
                               Duration(999us), Duration(1ms), Duration(2500us)}) {
    const MonotonicTime start = platform::monotonic_now();
    Duration taken{};
    const Timer timer = loop.after(delay, [&] {
      taken = platform::monotonic_now() - start;
      loop.stop();
    });
    loop.run();
    BOOST_TEST((taken >= delay), taken.count() << " ns are less than " << delay.count());
  }
}

POLLARD_EACH_BACKEND(a_timer_that_is_set_late_in_a_long_handler_is_not_early) {
  Faults faults;
  ShiftedClock clock(faults);
  EventLoop loop({.poller = backend});
  MonotonicTime set;
  MonotonicTime happened;
  Timer timer;
  loop.post([&] {
    std::ignore = loop.now();
    clock.advance(3600);
    set = platform::monotonic_now();
    timer = loop.after(2ms, [&] {
      happened = platform::monotonic_now();
      loop.stop();
    });
  });
  loop.run();
  BOOST_TEST((happened - set >= 2ms));
}

POLLARD_EACH_BACKEND(a_loop_that_was_held_up_runs_a_periodic_timer_once) {
  Faults faults;
  ShiftedClock clock(faults);
  EventLoop loop({.poller = backend});
  int ran = 0;
  const Timer timer = loop.every(10ms, [&] { ++ran; });
  clock.advance(3600);
  loop.run_once(Duration::zero());
  loop.run_once(Duration::zero());
  BOOST_TEST(ran == 1);
}

POLLARD_EACH_BACKEND(timers_happen_in_order_and_until_they_are_cancelled) {
  EventLoop loop({.poller = backend});
  std::string ran;
  const MonotonicTime now = loop.now();
  const Timer c = loop.at(now + 2ms, [&] { ran += 'c'; });
  const Timer a = loop.at(now + 1ms, [&] { ran += 'a'; });
  const Timer b = loop.at(now + 1ms, [&] { ran += 'b'; });
  Timer never = loop.at(now, [&] { ran += 'x'; });
  never.cancel();
  int left = 3;
  Timer periodic;
  periodic = loop.every(1ms, [&] {
    if (--left > 0) return;
    periodic.cancel();
    loop.stop();
  });
  loop.run();
  BOOST_TEST(ran == "abc");
  BOOST_TEST(left == 0);
  BOOST_TEST(!periodic.active());
  BOOST_TEST(loop.stats().timers == 6U);
}

POLLARD_EACH_BACKEND(a_deadline_that_has_passed_is_due_and_one_without_end_never) {
  const Faults faults;
  EventLoop loop({.poller = backend});
  std::string ran;
  const Timer past = loop.at(MonotonicTime::min(), [&] { ran += 'p'; });
  const Timer before = loop.after(-1h, [&] { ran += 'b'; });
  const Timer never = loop.at(MonotonicTime::max(), [&] { ran += 'n'; });
  const Timer endless = loop.after(Duration::max(), [&] { ran += 'e'; });
  const Timer rare = loop.every(Duration::max(), [&] { ran += 'r'; });
  loop.run_once(Duration::zero());
  BOOST_TEST(ran == "pb");
  const Timer stop = loop.after(5ms, [&] { loop.stop(); });
  const std::uint64_t waits = loop.stats().waits;
  loop.run();
  BOOST_TEST(ran == "pb");
  BOOST_TEST(loop.stats().waits - waits <= 3U);
}

POLLARD_EACH_BACKEND(a_timer_that_sets_timers_for_the_past_starves_nobody) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  std::function<void()> again = [&] { loop.at(MonotonicTime(), [&] { again(); }).detach(); };
  again();
  const Channel channel(loop, pair.near.get(), Interest::kRead, [&](Readiness) { loop.stop(); });
  loop.run();
}

POLLARD_EACH_BACKEND(a_timer_is_put_off_and_forward_from_now_on) {
  EventLoop loop({.poller = backend});
  const MonotonicTime began = platform::monotonic_now();
  Duration put_off_took{};
  Duration put_forward_took{};
  Timer put_off = loop.after(1ms, [&] {
    put_off_took = platform::monotonic_now() - began;
    loop.stop();
  });
  Timer put_forward = loop.after(1h, [&] { put_forward_took = platform::monotonic_now() - began; });
  put_off.restart_after(50ms);
  put_forward.restart_after(2ms);
  loop.run();
  BOOST_TEST((put_off_took >= 50ms));
  BOOST_TEST((put_forward_took >= 2ms));
  put_off.restart_after(1ms);  // no effect: it has happened
  BOOST_TEST(!put_off.active());
}

POLLARD_EACH_BACKEND(a_timers_handle_may_outlive_its_loop) {
  Timer once;
  Timer periodic;
  {
    EventLoop loop({.poller = backend});
    once = loop.after(1s, [] {});
    periodic = loop.every(1s, [] {});
  }
  BOOST_TEST(!once.active());
  once.restart_at(MonotonicTime());
  periodic.cancel();
}

// ---- What a turn costs

POLLARD_EACH_BACKEND(a_loop_without_timers_reads_no_clock) {
  const Faults faults;
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  const std::size_t reads = faults.count(Call::kClockGettime);
  int left = 50;
  const Channel channel(loop, pair.near.get(), Interest::kBoth, [&](Readiness) {
    if (--left > 0) return;
    loop.stop();
  });
  loop.run();
  loop.stop();
  loop.run();
  BOOST_TEST(faults.count(Call::kClockGettime) == reads);
}

POLLARD_EACH_BACKEND(the_time_of_a_turn_is_read_once) {
  Faults faults;
  ShiftedClock clock(faults);
  EventLoop loop({.poller = backend});
  loop.post([&] {
    const std::size_t before = faults.count(Call::kClockGettime);
    const MonotonicTime first = loop.now();
    clock.advance(1);
    for (int i = 0; i < 100; ++i) BOOST_TEST((loop.now() == first));
    BOOST_TEST(faults.count(Call::kClockGettime) == before + 1);
    loop.post([&loop, first] {
      BOOST_TEST((loop.now() >= first + 1s));
      loop.stop();
    });
  });
  loop.run();
}

POLLARD_EACH_BACKEND(an_idle_loop_sleeps_once_whatever_is_paused) {
  EventLoop loop({.poller = backend});
  Pair pair = socket_pair();
  Pair reset = tcp_pair();
  const auto unexpected = [](Readiness) { BOOST_ERROR("a paused channel was called"); };
  const Channel paused(loop, pair.near.get(), Interest::kNone, unexpected);
  Channel hung_up(loop, reset.near.get(), Interest::kRead, unexpected);
  hung_up.set_interest(Interest::kNone);
  write_text(pair.far.get(), "data");
  pair.far.reset();
  reset_connection(reset.far);
  wait_for_end(reset.near.get());
  const Timer stop = loop.after(10ms, [&] { loop.stop(); });
  loop.run();
  BOOST_TEST(loop.stats().waits <= 2U);
  BOOST_TEST(loop.stats().events == 0U);
}

// ---- The choice of a poller, and the counts

POLLARD_EACH_BACKEND(the_loop_runs_on_the_poller_that_was_chosen) {
  EventLoop loop({.poller = backend});
  BOOST_TEST(loop.poller_name() == backend);
  const char* const variable = ::getenv("POLLARD_POLLER");
  const std::optional<std::string> before =
      variable == nullptr ? std::nullopt : std::optional<std::string>(variable);
  ::setenv("POLLARD_POLLER", backend.c_str(), 1);
  const EventLoop other;
  BOOST_TEST(other.poller_name() == backend);
  before.has_value() ? ::setenv("POLLARD_POLLER", before->c_str(), 1)
                     : ::unsetenv("POLLARD_POLLER");
}

POLLARD_EACH_BACKEND(a_loop_counts_what_it_does) {
  const Faults faults;
  EventLoop loop({.poller = backend});
  BOOST_TEST(loop.stats().watched == 1U);
  const Pair pair = socket_pair();
  int left = 5;
  const Channel channel(loop, pair.near.get(), Interest::kWrite, [&](Readiness) {
    if (--left > 0) return;
    loop.stop();
  });
  BOOST_TEST(loop.stats().watched == 2U);
  loop.post([] {});
  const Timer timer = loop.after(Duration::zero(), [] {});
  loop.run();
  const LoopStats stats = loop.stats();
  BOOST_TEST(stats.events == 5U);
  BOOST_TEST(stats.iterations == 5U);
  BOOST_TEST(stats.waits == 5U);
  BOOST_TEST(stats.tasks == 1U);
  BOOST_TEST(stats.timers == 1U);
  BOOST_TEST(stats.wakeups == 0U);
  BOOST_TEST(stats.stale_events == 0U);
  BOOST_TEST((stats.longest_iteration == Duration::zero()));
}

POLLARD_EACH_BACKEND(the_longest_turn_is_measured_on_request_and_without_the_wait) {
  Faults faults;
  ShiftedClock clock(faults);
  EventLoop loop({.poller = backend, .measure_iterations = true});
  const Timer timer = loop.after(5ms, [&] { loop.stop(); });
  loop.run();
  loop.post([&] {
    clock.advance(60);
    loop.stop();
  });
  loop.run();
  BOOST_TEST((loop.stats().longest_iteration >= 60s));
  BOOST_TEST((loop.stats().longest_iteration < 3600s));
}

}  // namespace
}  // namespace pollard::testing
