// What an event loop does when handlers throw, waits fail, descriptors are short, or the process
// forks.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/await_wait.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

using platform::SystemCalls;

template <class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// ---- Exceptions

POLLARD_EACH_BACKEND(a_task_that_throws_ends_the_run_and_the_others_wait_for_the_next) {
  EventLoop loop({.poller = backend});
  std::string ran;
  loop.post([&] { ran += 'a'; });
  loop.post([] { throw std::runtime_error("first"); });
  loop.post([&] { ran += 'b'; });
  loop.post([] { throw std::runtime_error("second"); });
  loop.post([&] { ran += 'c'; });
  loop.stop();
  BOOST_TEST(message_of([&] { loop.run(); }) == "first");
  BOOST_TEST(ran == "a");
  BOOST_TEST(message_of([&] { loop.run(); }) == "second");
  BOOST_TEST(ran == "ab");
  loop.run();  // until the stop that was asked for
  BOOST_TEST(ran == "abc");
}

POLLARD_EACH_BACKEND(a_stop_is_kept_when_the_last_task_before_it_throws) {
  EventLoop loop({.poller = backend});
  loop.post([] { throw std::runtime_error("thrown"); });
  loop.stop();
  BOOST_CHECK_THROW(loop.run(), std::runtime_error);
  bool ran = false;
  loop.post([&] { ran = true; });
  loop.run();
  BOOST_TEST(ran);
}

POLLARD_EACH_BACKEND(timers_that_throw_end_one_run_each_and_none_is_lost) {
  EventLoop loop({.poller = backend});
  std::string ran;
  const MonotonicTime now = loop.now();
  const Timer a = loop.at(now, [] { throw std::runtime_error("first"); });
  const Timer b = loop.at(now, [&] { ran += 'b'; });
  const Timer c = loop.at(now, [] { throw std::runtime_error("second"); });
  const Timer d = loop.at(now, [&] {
    ran += 'd';
    loop.stop();
  });
  BOOST_TEST(message_of([&] { loop.run(); }) == "first");
  BOOST_TEST(message_of([&] { loop.run(); }) == "second");
  BOOST_TEST(ran == "b");
  loop.run();
  BOOST_TEST(ran == "bd");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_throws_ends_the_run_and_no_event_is_lost) {
  EventLoop loop({.poller = backend.poller});
  constexpr int kPairs = 8;
  std::vector<Pair> pairs;
  std::vector<std::unique_ptr<Channel>> channels;
  int handled = 0;
  for (int i = 0; i < kPairs; ++i) {
    pairs.push_back(socket_pair());
    const int fd = pairs.back().near.get();
    write_text(pairs.back().far.get(), "data");
    channels.push_back(std::make_unique<Channel>(
        loop, fd, Interest::kRead,
        [&handled, fd](Readiness) {
          read_text(fd);
          ++handled;
          throw std::runtime_error("thrown");
        },
        backend.trigger));
  }
  int thrown = 0;
  loop.post([] { throw std::runtime_error("thrown"); });
  const Timer timer = loop.after(Duration::zero(), [] { throw std::runtime_error("thrown"); });
  while (thrown < kPairs + 2) {
    BOOST_TEST(message_of([&] { loop.run(); }) == "thrown");
    ++thrown;
  }
  BOOST_TEST(handled == kPairs);
  loop.stop();
  loop.run();
}

POLLARD_EACH_BACKEND(with_on_exception_the_loop_lives_on) {
  std::vector<std::string> caught;
  EventLoop loop({.poller = backend, .on_exception = [&](std::exception_ptr exception) {
                    caught.push_back(message_of([&] { std::rethrow_exception(exception); }));
                  }});
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  const Channel channel(loop, pair.near.get(), Interest::kRead, [&](Readiness) {
    read_text(pair.near.get());
    throw std::runtime_error("channel");
  });
  const Timer timer = loop.after(Duration::zero(), [] { throw std::runtime_error("timer"); });
  const Timer other = loop.after(Duration::zero(), [] { throw std::runtime_error("timer"); });
  loop.post([] { throw std::runtime_error("task"); });
  loop.post([] { throw std::runtime_error("task"); });
  loop.post([&] { loop.post([&] { loop.post([&] { loop.stop(); }); }); });
  loop.run();
  std::ranges::sort(caught);
  BOOST_TEST(caught == (std::vector<std::string>{"channel", "task", "task", "timer", "timer"}),
             boost::test_tools::per_element());
}

POLLARD_EACH_BACKEND(what_on_exception_throws_ends_the_run) {
  EventLoop loop({.poller = backend, .on_exception = [](std::exception_ptr) {
                    throw std::runtime_error("too much");
                  }});
  loop.post([] { throw std::logic_error("a task"); });
  BOOST_TEST(message_of([&] { loop.run(); }) == "too much");
  loop.stop();
  loop.run();
}

// Asks to be called again in the next turn, and throws whenever it is called.
class Thrower final : public Watcher {
 public:
  Thrower(EventLoop& loop, int fd, int& calls) : Watcher(loop), calls_(calls) {
    BOOST_TEST_REQUIRE(!watch(fd, Interest::kNone, Trigger::kLevel));
    continue_next_turn({.readable = true});
  }

 private:
  void on_ready(Readiness) override {
    ++calls_;
    throw std::runtime_error("thrown");
  }

  int& calls_;
};

POLLARD_EACH_BACKEND(handlers_that_are_continued_and_throw_end_one_run_each) {
  EventLoop loop({.poller = backend});
  int calls = 0;
  const Pair first = socket_pair();
  const Pair second = socket_pair();
  const Thrower one(loop, first.near.get(), calls);
  const Thrower other(loop, second.near.get(), calls);
  const Thrower third(loop, second.far.get(), calls);
  for (int i = 1; i <= 3; ++i) {
    BOOST_TEST(message_of([&] { loop.run(); }) == "thrown");
    BOOST_TEST(calls == i);
  }
  loop.stop();
  loop.run();
  BOOST_TEST(calls == 3);
}

// Throws at the end of each turn for which it was asked.
class ThrowerAtTurnEnd final : public Watcher {
 public:
  ThrowerAtTurnEnd(EventLoop& loop, int fd) : Watcher(loop) {
    BOOST_TEST_REQUIRE(!watch(fd, Interest::kNone, Trigger::kLevel));
  }
  using Watcher::at_turn_end;

 private:
  void on_ready(Readiness) override {}
  void on_turn_end() override { throw std::runtime_error("thrown"); }
};

POLLARD_EACH_BACKEND(a_stop_is_kept_when_the_end_of_its_turn_throws) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  ThrowerAtTurnEnd thrower(loop, pair.near.get());
  loop.post([&] { thrower.at_turn_end(); });
  loop.stop();
  BOOST_CHECK_THROW(loop.run(), std::runtime_error);
  bool ran = false;
  loop.post([&] { ran = true; });
  loop.run();
  BOOST_TEST(ran);
}

// ---- Failures

POLLARD_EACH_BACKEND(a_wait_that_fails_ends_the_run_and_names_the_poller) {
  for (const std::errc error : {std::errc::bad_file_descriptor, std::errc::invalid_argument}) {
    Faults faults;
    EventLoop loop({.poller = backend});
    faults.fail(Call::kWait, error, {.times = kForever});
    const std::size_t before = faults.count(Call::kWait);
    BOOST_CHECK_EXCEPTION(loop.run(), std::system_error, [&](const std::system_error& thrown) {
      return thrown.code() == error &&
             std::string(thrown.what()).find(backend) != std::string::npos;
    });
    BOOST_TEST(faults.count(Call::kWait) - before <= 2U);
    faults.restore(Call::kWait);
    loop.post([&] { loop.stop(); });
    loop.run();
    const std::size_t again = faults.count(Call::kWait);
    std::thread stopper([&] {  // the loop still wakes up
      await_wait(faults, again);
      loop.stop();
    });
    loop.run();
    stopper.join();
  }
}

constexpr std::errc kShortages[] = {std::errc::not_enough_memory,
                                    std::errc::resource_unavailable_try_again,
                                    std::errc::too_many_files_open_in_system,
                                    std::errc::too_many_files_open, std::errc::no_buffer_space};

POLLARD_EACH_BACKEND(shortages_at_a_wait_are_waited_out_and_counted) {
  for (const std::errc error : kShortages) {
    Faults faults;
    EventLoop loop({.poller = backend});
    const Pair pair = socket_pair();
    std::string heard;
    const Channel channel(loop, pair.near.get(), Interest::kRead, [&](Readiness) {
      heard = read_text(pair.near.get());
      loop.stop();
    });
    write_text(pair.far.get(), "data");
    faults.fail(Call::kWait, error, {.times = 4});
    loop.run();
    BOOST_TEST(heard == "data");
    // On the backends whose wait is the call that pauses as well, a pause may fail in its place.
    BOOST_TEST(loop.stats().failed_waits >= 2U);
    BOOST_TEST(loop.stats().failed_waits <= 4U);
  }
}

POLLARD_EACH_BACKEND(loop_without_memory_to_wait_serves_timers_and_posts_and_does_not_spin) {
  Faults faults;
  EventLoop loop({.poller = backend});
  faults.fail(Call::kWait, std::errc::not_enough_memory, {.times = kForever});
  int ticks = 0;
  // Not by the loop's clock: on the simulated kernel only a wait that succeeds makes time pass.
  std::thread poster([handle = loop.handle(), &ticks] {
    for (int i = 0; i < 5; ++i) handle.post([&] { ++ticks; });
    handle.stop();
  });
  loop.run();
  poster.join();
  BOOST_TEST(ticks == 5);
  const Timer past = loop.at(MonotonicTime{}, [&] { ++ticks; });
  static_cast<void>(loop.run_once(1h));
  BOOST_TEST(ticks == 6);
  // Without anything to do there is a pause after each: 1, 2, 4, 8, 16, 32 and 64 ms.
  const auto began = std::chrono::steady_clock::now();
  for (int turn = 0; turn < 7; ++turn) static_cast<void>(loop.run_once(1h));
  BOOST_TEST((std::chrono::steady_clock::now() - began >= 60ms), "the loop spins");
  faults.restore(Call::kWait);
  loop.post([&] { loop.stop(); });
  loop.run();
}

POLLARD_EACH_BACKEND(first_pause_of_each_shortage_is_short) {
  Faults faults;
  EventLoop loop({.poller = backend});
  faults.fail(Call::kWait, std::errc::not_enough_memory, {.times = kForever});
  for (int turn = 0; turn < 7; ++turn) static_cast<void>(loop.run_once(1h));
  const auto best = [&] {  // of several: a busy machine makes some of them long
    auto least = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 20; ++i) {
      faults.restore(Call::kWait);
      static_cast<void>(loop.run_once(Duration::zero()));
      faults.fail(Call::kWait, std::errc::not_enough_memory, {.times = kForever});
      const auto began = std::chrono::steady_clock::now();
      static_cast<void>(loop.run_once(1h));
      least = std::min(least, std::chrono::steady_clock::now() - began);
    }
    return least;
  };
  BOOST_TEST((best() < 60ms));
  faults.restore(Call::kWait);
}

POLLARD_EACH_BACKEND(signals_without_end_do_not_end_the_run) {
  Faults faults;
  EventLoop loop({.poller = backend});
  constexpr std::size_t kSignals = 1000;
  faults.fail(Call::kWait, std::errc::interrupted, {.times = kSignals});
  bool ran = false;
  const Timer timer = loop.after(1ms, [&] { ran = true; });
  while (!ran || loop.stats().waits <= kSignals) loop.run_once(Duration::zero());
  loop.stop();
  loop.run();
}

POLLARD_EACH_BACKEND(a_forked_child_cannot_run_its_parents_loop_and_the_parent_goes_on) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  int handled = 0;
  const Channel channel(loop, pair.near.get(), Interest::kRead, [&](Readiness) {
    read_text(pair.near.get());
    ++handled;
    loop.stop();
  });
  write_text(pair.far.get(), "data");
  BOOST_TEST(true_in_child([&] {
    try {
      loop.run();
    } catch (const std::system_error& error) {
      return error.code() == Error::kForked && handled == 0;
    }
    return false;
  }));
  loop.run();
  BOOST_TEST(handled == 1);
}

POLLARD_EACH_BACKEND(a_forked_child_can_have_a_loop_of_its_own) {
  EventLoop parents({.poller = backend});
  BOOST_TEST(true_in_child([&] {
    EventLoop loop({.poller = backend});
    bool ran = false;
    const Timer timer = loop.after(1ms, [&] {
      ran = true;
      loop.stop();
    });
    loop.run();
    return ran;
  }));
  parents.stop();
  parents.run();
}

POLLARD_EACH_BACKEND(without_eventfd_a_pipe_wakes_the_loop_however_often) {
  Faults faults;
  faults.fail(Call::kEventfd, std::errc::function_not_supported, {.times = kForever});
  EventLoop loop({.poller = backend});
  constexpr int kWakes = 3000;
  int ran = 0;
  std::atomic<std::size_t> before{faults.count(Call::kWait)};
  std::thread poster([&] {
    for (int i = 0; i < kWakes; ++i) {
      await_wait(faults, before);
      before = faults.count(Call::kWait);
      loop.post([&] { ++ran; });
    }
    loop.stop();
  });
  loop.run();
  poster.join();
  BOOST_TEST(ran == kWakes);
  BOOST_TEST(faults.count(Call::kPipe2) + faults.count(Call::kPipe) > 0U);
}

// Filled before the loop reads, a pipe must neither block who wakes nor stay readable.
POLLARD_EACH_BACKEND(a_loop_whose_pipe_is_full_of_wakes_wakes_once_more_and_sleeps_again) {
  Faults faults;
  faults.fail(Call::kEventfd, std::errc::function_not_supported, {.times = kForever});
  int writer = -1;
  faults.replace<&SystemCalls::write>([&](int fd, const void* bytes, std::size_t size) {
    writer = fd;
    return faults.underlying().write(fd, bytes, size);
  });
  EventLoop loop({.poller = backend});
  const std::size_t before = faults.count(Call::kWait);
  std::thread poster([&] {
    await_wait(faults, before);
    loop.stop();
  });
  loop.run();
  poster.join();
  BOOST_TEST_REQUIRE(writer >= 0);
  fill(writer);
  const std::size_t filled = faults.count(Call::kWait);
  std::thread other([&] {
    await_wait(faults, filled);
    loop.stop();
  });
  loop.run();
  other.join();
  const std::uint64_t waits = loop.stats().waits;
  loop.run_once(Duration::zero());
  loop.run_once(1ms);
  BOOST_TEST(loop.stats().waits - waits == 2U);
}

BOOST_AUTO_TEST_SUITE(event_loop)

BOOST_AUTO_TEST_CASE(a_loop_that_cannot_have_its_descriptors_says_which_call_failed) {
  Faults faults;
  faults.fail(Call::kEventfd, std::errc::too_many_files_open);
  BOOST_TEST(message_of([] { const EventLoop loop; }).find("eventfd") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_unknown_poller_is_an_error_that_lists_what_there_is) {
  const std::string message = message_of([] { const EventLoop loop({.poller = "nonsense"}); });
  for (const char* word : {"nonsense", "epoll", "kqueue", "poll", "select"}) {
    BOOST_TEST(message.find(word) != std::string::npos, message);
  }
  BOOST_CHECK_EXCEPTION(
      EventLoop({.poller = "nonsense"}), std::system_error,
      [](const std::system_error& error) { return error.code() == Error::kPollerUnknown; });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
