// In which order timers happen: by hundreds and thousands, beside a plain model, and when memory is
// short.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/net/timers/internal/timer_queue.h"
#include "pollard/tests/support/effort.h"
#include "pollard/tests/support/failing_allocation.h"

namespace pollard::testing {
namespace {

constexpr MonotonicTime time_of(std::int64_t ticks) { return MonotonicTime(Duration(ticks)); }

// Timers by name in a map beside the queue, and random operations on both.
class Model {
 public:
  Model(std::uint64_t seed, std::int64_t scale) : random_(seed), scale_(scale) {}

  void step() {
    switch (random_.up_to(9)) {
      case 0:
      case 1:
      case 2: add(); break;
      case 3: cancel(); break;
      case 4:
      case 5:
      case 6: restart(); break;
      case 7: move(); break;
      default: advance(); break;
    }
    BOOST_REQUIRE(queue_.size() == model_.size());
    most_ = std::max(most_, model_.size());
    BOOST_REQUIRE(queue_.capacity() <= std::max<std::size_t>(16, 2 * most_));
  }

 private:
  struct Expected {
    std::int64_t deadline;
    std::int64_t period;
  };

  void add() {
    const int name = next_++;
    const std::int64_t deadline = now_ + some(200) - 20;
    const std::int64_t period = random_.up_to(3) == 0 ? 1 + some(60) : 0;
    timers_[name] = queue_.add(time_of(deadline), Duration(period), [this, name] { ran(name); });
    model_[name] = {deadline, period};
  }

  void cancel() {
    const auto found = pick();
    if (found == timers_.end()) return;
    model_.erase(found->first);
    timers_.erase(found);
  }

  void restart() {
    const auto found = pick();
    if (found == timers_.end()) return;
    const std::int64_t deadline = now_ + some(300) - 20;
    found->second.restart_at(time_of(deadline));
    const auto expected = model_.find(found->first);
    if (expected != model_.end()) expected->second.deadline = deadline;
  }

  void move() {
    const auto found = pick();
    if (found == timers_.end()) return;
    Timer elsewhere = std::move(found->second);
    found->second = std::move(elsewhere);
    BOOST_REQUIRE(found->second.active() == (model_.count(found->first) == 1));
  }

  void advance() {
    const std::int64_t before = std::exchange(now_, now_ + some(40));
    std::int64_t earliest = INT64_MAX;
    for (const auto& [name, expected] : model_) earliest = std::min(earliest, expected.deadline);
    // Before anything is known to be due, or just before it is run.
    const auto next = queue_.next_deadline(time_of(random_.up_to(2) == 0 ? before : now_));
    BOOST_REQUIRE(next.has_value() == !model_.empty());
    if (next.has_value()) BOOST_REQUIRE((*next == time_of(earliest)));
    last_ = INT64_MIN;
    queue_.run_due(time_of(now_));
    for (const auto& [name, expected] : model_) BOOST_REQUIRE(expected.deadline > now_);
  }

  // In the callback: it was due, in order, and is never heard of again unless it is periodic.
  void ran(int name) {
    const auto found = model_.find(name);
    BOOST_REQUIRE(found != model_.end());
    Expected& expected = found->second;
    BOOST_REQUIRE(expected.deadline <= now_);
    BOOST_REQUIRE(expected.deadline >= last_);
    last_ = expected.deadline;
    if (expected.period == 0) {
      model_.erase(found);
    } else {
      while (expected.deadline <= now_) expected.deadline += expected.period;
    }
  }

  // So that what is pending lies close together, or far apart.
  std::int64_t some(std::uint64_t bound) {
    return static_cast<std::int64_t>(random_.up_to(bound * static_cast<std::uint64_t>(scale_)));
  }

  std::map<int, Timer>::iterator pick() {
    if (timers_.empty()) return timers_.end();
    const auto found =
        timers_.lower_bound(static_cast<int>(random_.up_to(static_cast<std::uint64_t>(next_))));
    return found == timers_.end() ? timers_.begin() : found;
  }

  SplitMix64 random_;
  std::int64_t scale_;
  std::size_t most_ = 0;
  TimerQueue queue_;
  std::map<int, Timer> timers_;
  std::map<int, Expected> model_;
  std::int64_t now_ = 1000;
  std::int64_t last_ = 0;
  int next_ = 0;
};

BOOST_AUTO_TEST_SUITE(timer_order)

BOOST_AUTO_TEST_CASE(it_does_what_a_sorted_list_does) {
  for (const std::int64_t scale : {1LL, 100LL, 10'000LL, 10'000'000LL, 100'000'000'000LL}) {
    for (std::uint64_t seed = 1; seed <= repeated(4); ++seed) {
      BOOST_TEST_CONTEXT("scale " << scale << ", seed " << seed) {
        Model model(seed, scale);
        for (int step = 0; step < 3000; ++step) model.step();
      }
    }
  }
}

// By deadline, and those of one deadline in the order of setting, wherever they were meanwhile.
// With one timer, and with so many that they don't stand in one list.
BOOST_AUTO_TEST_CASE(equal_deadlines_happen_as_set_though_one_was_set_in_a_task_for_the_past) {
  for (const int others : {0, 100}) {
    TimerQueue queue;
    std::vector<Timer> timers;
    std::string ran;
    for (int i = 0; i < others; ++i) timers.push_back(queue.add(time_of(1 << 30), {}, [] {}));
    const auto set = [&](char name) {
      timers.push_back(queue.add(time_of(40), {}, [&ran, name] { ran += name; }));
    };
    const Timer first = queue.add(time_of(50), {}, [&] {
      set('a');
      set('b');
    });
    queue.run_due(time_of(100));
    BOOST_TEST(ran == "");
    set('c');
    BOOST_TEST((queue.next_deadline(time_of(100)) == time_of(40)));
    queue.run_due(time_of(100));
    BOOST_TEST(ran == "abc");
  }
}

BOOST_AUTO_TEST_CASE(timers_set_in_a_run_wait_for_the_next_one_however_many_there_are) {
  for (const int count : {1, 15, 16, 17, 100, 1000}) {
    // For a time that has passed, for that of the run, and for what lies between ticks before it.
    for (const std::int64_t deadline : {0L, 3'000'000L, 4'998'000L, 4'999'999L, 5'000'000L}) {
      TimerQueue queue;
      std::vector<Timer> timers;
      int first = 0;
      int second = 0;
      for (int i = 0; i < count; ++i) {
        timers.push_back(queue.add(time_of(1000 * i), {}, [&] {
          ++first;
          timers.push_back(queue.add(time_of(deadline), {}, [&] { ++second; }));
        }));
      }
      queue.run_due(time_of(5'000'000));
      BOOST_TEST(first == count);
      BOOST_TEST(second == 0);
      queue.run_due(time_of(5'000'000));
      BOOST_TEST(second == count);
    }
  }
}

BOOST_AUTO_TEST_CASE(thousands_happen_in_order_whenever_they_were_set) {
  for (const std::uint64_t range : {10ULL, 5'000ULL, 1'000'000ULL, 60'000'000'000ULL}) {
    SplitMix64 random(range);
    TimerQueue queue;
    std::vector<std::tuple<std::int64_t, int>> expected;
    std::vector<std::tuple<std::int64_t, int>> ran;
    int number = 0;
    const auto add = [&](std::int64_t now) {
      const auto deadline = now + 1 + static_cast<std::int64_t>(random.up_to(range));
      const std::tuple<std::int64_t, int> name{deadline, number++};
      expected.push_back(name);
      queue.add(time_of(deadline), Duration::zero(), [&ran, name] { ran.push_back(name); })
          .detach();
    };
    for (int i = 0; i < 2000; ++i) add(0);
    const auto step = static_cast<std::int64_t>(range / 50 + 1);
    for (std::int64_t now = 0; !queue.empty(); now += step) {
      queue.run_due(time_of(now));
      if (number < 4000) {
        for (int i = 0; i < 100; ++i) add(now);
      }
    }
    std::ranges::sort(expected);
    BOOST_TEST((ran == expected));
  }
}

// Timers at random deadlines that are set in one go and are due together. A name is a deadline, and
// the number of its setting.
class Crowd {
 public:
  Crowd(std::size_t count, std::uint64_t range) : range_(range) {
    SplitMix64 random(range);
    ran_.reserve(count);
    for (std::size_t number = 0; number < count; ++number) {
      names_.emplace_back(random.up_to(range), number);
      timers_.push_back(queue_.add(deadline_of(number), Duration::zero(),
                                   [this, number] { ran_.push_back(names_[number]); }));
    }
  }

  // One in five of them each.
  void cancel_and_put_off_some() {
    for (std::size_t number = 0; number < names_.size(); number += 5) {
      timers_[number].cancel();
      names_[number + 1].first += range_ + number;
      timers_[number + 1].restart_at(deadline_of(number + 1));
    }
  }

  void run_due() { queue_.run_due(MonotonicTime::max()); }

  [[nodiscard]] bool all_ran_in_order(std::size_t count) const {
    return ran_.size() == count && std::ranges::is_sorted(ran_) &&
           std::ranges::adjacent_find(ran_) == ran_.end();
  }

 private:
  using Name = std::pair<std::uint64_t, std::size_t>;

  [[nodiscard]] MonotonicTime deadline_of(std::size_t number) const {
    return time_of(static_cast<std::int64_t>(names_[number].first));
  }

  std::uint64_t range_;
  TimerQueue queue_;
  std::vector<Name> names_;
  std::vector<Timer> timers_;
  std::vector<Name> ran_;
};

constexpr auto kAges = 1ULL << 61U;  // nanoseconds

BOOST_AUTO_TEST_CASE(a_crowd_that_is_due_together_happens_in_order) {
  for (const std::uint64_t range : {3ULL, 5'000ULL, 100'000'000ULL, 60'000'000'000ULL, kAges}) {
    for (const std::size_t count : {20U, 200U, 1000U, 20'000U}) {
      BOOST_TEST_CONTEXT(count << " timers within " << range << " ns") {
        Crowd crowd(count, range);
        crowd.cancel_and_put_off_some();
        crowd.run_due();
        BOOST_TEST(crowd.all_ran_in_order(count / 5 * 4));
      }
    }
  }
}

// Those that were put off come to their deadline behind who was set to it later.
BOOST_AUTO_TEST_CASE(a_crowd_may_be_put_off_to_one_deadline) {
  constexpr int kTimers = 600;
  for (const MonotonicTime common : {time_of(2'000'000'000), MonotonicTime::max()}) {
    TimerQueue queue;
    std::size_t ran = 0;
    std::vector<Timer> timers;
    const auto add = [&](MonotonicTime deadline) {
      timers.push_back(queue.add(deadline, Duration::zero(), [&ran] { ++ran; }));
    };
    for (int i = 0; i < kTimers; ++i) add(time_of(1'000'000'000));
    for (int i = 0; i < kTimers; ++i) add(common);
    for (int i = 0; i < kTimers; ++i) timers[static_cast<std::size_t>(i)].restart_at(common);
    queue.run_due(time_of(1'500'000'000));
    BOOST_TEST(ran == 0U);
    BOOST_TEST((queue.next_deadline(time_of(1'500'000'000)) == common));
    queue.run_due(common);
    BOOST_TEST(ran == timers.size());
  }
}

// In each turn one that is replaced in the next, and behind it one that stays. (Where each had to
// pass all others, that would take minutes.)
BOOST_AUTO_TEST_CASE(many_that_stay_are_not_in_the_way_of_the_next) {
  constexpr std::int64_t kTurn = 20'000;
  constexpr std::int64_t kReply = 8'000'000'000;
  constexpr std::int64_t kIdle = 16'000'000'000;
  constexpr std::int64_t kBegin =
      5 * (1LL << 34U) - kReply + 100'000'000;  // before a bucket of the wheel ends
  TimerQueue queue;
  std::vector<Timer> idle;
  Timer reply;
  for (std::int64_t now = kBegin; idle.size() < 350'000; now += kTurn) {
    idle.push_back(queue.add(time_of(now + kIdle), Duration::zero(), [] {}));
    reply = queue.add(time_of(now + kReply), Duration::zero(), [] {});
    const std::int64_t earliest = std::min(now + kReply, kBegin + kIdle);
    BOOST_REQUIRE((queue.next_deadline(time_of(now)) == time_of(earliest)));
    queue.run_due(time_of(now));
  }
  BOOST_TEST(queue.size() == idle.size() + 1);
}

// What can't be sorted in the quickest way for want of memory is sorted in another.
// Cancelled or run, alone or beside timers that stay.
BOOST_AUTO_TEST_CASE(memory_of_a_burst_is_given_back) {
  for (const bool cancelled : {false, true}) {
    for (const int staying : {0, 1, 100}) {
      const std::size_t before = large_blocks_in_use();
      TimerQueue queue;
      int ran = 0;
      std::vector<Timer> stay;
      for (int i = 0; i < staying; ++i) {
        stay.push_back(queue.add(time_of(1LL << 50), {}, [&] { ++ran; }));
      }
      for (std::int64_t now = 0; now < 3; ++now) {
        std::vector<Timer> burst(100'000);
        std::int64_t i = 0;
        for (Timer& timer : burst) timer = queue.add(time_of(now + i++ % 1000), {}, [] {});
        BOOST_TEST(large_blocks_in_use() > before);
        if (!cancelled) queue.run_due(time_of(now + 1000));
      }
      const Timer last = queue.add(time_of(2000), {}, [] {});
      queue.run_due(time_of(2000));
      BOOST_TEST(queue.capacity() <= 512U);
      BOOST_TEST(large_blocks_in_use() == before);
      BOOST_TEST(queue.size() == stay.size());
      queue.run_due(time_of(1LL << 50));
      BOOST_TEST(ran == staying);
    }
  }
}

// A task may end timers, and what they hold may set more, while memory is given back.
BOOST_AUTO_TEST_CASE(memory_is_given_back_when_the_last_timer_is_cancelled_by_what_another_held) {
  TimerQueue queue;
  std::vector<Timer> burst;
  burst.reserve(5000);
  struct EndsAll {
    explicit EndsAll(std::vector<Timer>& timers) : all(timers) {}
    EndsAll(const EndsAll&) = delete;
    EndsAll& operator=(const EndsAll&) = delete;
    ~EndsAll() { all.clear(); }
    std::vector<Timer>& all;
  };
  auto last = std::make_unique<EndsAll>(burst);
  for (int i = 0; i < 5000; ++i) burst.push_back(queue.add(time_of(1000), {}, [] {}));
  Timer one = queue.add(time_of(2000), {}, [last = std::move(last)] {});
  one.cancel();
  BOOST_TEST(queue.empty());
  BOOST_TEST(queue.capacity() <= 1024U);
  const Timer next = queue.add(time_of(1), {}, [] {});
  queue.run_due(time_of(1));
  BOOST_TEST(queue.ran() == 1U);
}

BOOST_AUTO_TEST_CASE(a_crowd_survives_memory_that_is_short) {
  with_each_allocation_failing([](std::uint64_t which) {
    Crowd crowd(20'000, 100'000'000);
    std::optional<FailingAllocation> failing(which);
    crowd.run_due();
    const bool failed = failing->has_failed();
    failing.reset();
    BOOST_TEST(crowd.all_ran_in_order(20'000));
    return failed;
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
