// Functions of the loop's thread that another thread calls end the program by an assertion, and
// those for any thread don't.
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/loop_thread.h"
#include "pollard/net/loop/signal_watcher.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

template <class Call>
bool aborts_elsewhere(Call call) {
  return aborts([&] { std::thread([&] { call(); }).join(); });
}

POLLARD_EACH_BACKEND(loop_asserts_its_thread) {
  EventLoop loop({.poller = backend});
  const std::vector<std::pair<std::string, std::function<void()>>> calls = {
      {"run", [&] { loop.run(); }},
      {"run_once", [&] { static_cast<void>(loop.run_once(Duration::zero())); }},
      {"at", [&] { loop.at(MonotonicTime{}, [] {}).detach(); }},
      {"after", [&] { loop.after(1ms, [] {}).detach(); }},
      {"every", [&] { loop.every(1ms, [] {}).detach(); }},
      {"now", [&] { static_cast<void>(loop.now()); }},
      {"stats", [&] { static_cast<void>(loop.stats()); }},
      {"retire", [&] { loop.retire([] {}); }},
      {"assert_in_loop_thread", [&] { loop.assert_in_loop_thread(); }},
      {"handle", [&] { loop.handle().assert_in_loop_thread(); }},
  };
  loop.stop();
  for (const auto& [name, call] : calls) {
    BOOST_TEST(aborts_elsewhere(call), name);
    call();  // in the loop's own thread it is welcome
  }
}

POLLARD_EACH_BACKEND(loop_answers_any_thread_what_never_changes) {
  EventLoop loop({.poller = backend});
  std::string name;
  bool scales = false;
  std::thread([&] {
    name = loop.poller_name();
    scales = loop.poller_capabilities().scales_with_ready;
  }).join();
  BOOST_TEST(name == backend);
  BOOST_TEST(scales == loop.poller_capabilities().scales_with_ready);
}

POLLARD_EACH_BACKEND(active_timer_asserts_its_loops_thread) {
  EventLoop loop({.poller = backend});
  std::optional<Timer> timer(loop.after(1h, [] {}));
  Timer other = loop.after(1h, [] {});
  const std::vector<std::pair<std::string, std::function<void()>>> calls = {
      {"cancel", [&] { timer->cancel(); }},
      {"restart_at", [&] { timer->restart_at(MonotonicTime::max()); }},
      {"restart_after", [&] { timer->restart_after(2h); }},
      {"detach", [&] { timer->detach(); }},
      {"move", [&] { const Timer moved = std::move(*timer); }},
      {"assignment", [&] { *timer = {}; }},
      {"replacement", [&] { *timer = std::move(other); }},
      {"destructor", [&] { timer.reset(); }},
  };
  for (const auto& [name, call] : calls) {
    BOOST_TEST(aborts_elsewhere(call), name);
    BOOST_TEST(!aborts(call), name);
  }
}

POLLARD_EACH_BACKEND(timer_that_is_over_may_end_in_any_thread) {
  EventLoop loop({.poller = backend});
  Timer cancelled = loop.after(1h, [] {});
  cancelled.cancel();
  Timer ran = loop.after(Duration::zero(), [&] { loop.stop(); });
  loop.run();
  std::thread([one = std::move(cancelled), other = std::move(ran)]() mutable {
    one.restart_after(1h);
    one.cancel();
    other.detach();
  }).join();
}

POLLARD_EACH_BACKEND(watching_channel_asserts_its_loops_thread) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  std::optional<Channel> channel(std::in_place, loop, pair.near.get(), Interest::kRead,
                                 [](Readiness) {});
  BOOST_TEST(aborts_elsewhere([&] { channel->set_interest(Interest::kNone); }));
  BOOST_TEST(aborts_elsewhere([&] { channel->set_interest(Interest::kRead); }), "no change");
  BOOST_TEST(aborts_elsewhere([&] { channel.reset(); }));
  BOOST_TEST(aborts_elsewhere(
      [&] { const Channel made(loop, pair.far.get(), Interest::kRead, [](Readiness) {}); }));
}

POLLARD_EACH_REAL_BACKEND(signal_watcher_asserts_its_loops_thread, "signals are the kernel's") {
  EventLoop loop({.poller = backend});
  std::optional<SignalWatcher> watcher(std::in_place, loop, std::initializer_list<int>{SIGUSR1},
                                       [](int) {});
  BOOST_TEST(aborts_elsewhere([&] { watcher.reset(); }));
  BOOST_TEST(aborts_elsewhere([&] { const SignalWatcher other(loop, {SIGUSR2}, [](int) {}); }));
}

POLLARD_EACH_BACKEND(handle_of_a_loop_that_ended_with_its_thread_is_of_no_other_thread) {
  std::optional<LoopHandle> handle;
  std::thread([&] {
    const EventLoop loop({.poller = backend});
    handle = loop.handle();
  }).join();
  for (int i = 0; i < 20; ++i) {  // most get the memory of the one before
    bool mistaken = true;
    std::thread([&] { mistaken = handle->in_loop_thread(); }).join();
    BOOST_TEST_REQUIRE(!mistaken);
  }
}

// ---- The end of the process in a handler

// Ends by std::exit() in a handler while `Owner`, of static storage duration, owns the loop.
constexpr int kExited = 42;

template <class Scene>
bool exits_well(Scene scene) {
  int status = status_of_child([&] {
    // Runs behind the destructors of what the scene makes, and before those of the test program.
    std::atexit([] { std::_Exit(kExited); });
    scene();
    return 1;
  });
  return WIFEXITED(status) && WEXITSTATUS(status) == kExited;
}

POLLARD_EACH_BACKEND(static_loop_survives_exit_in_its_handlers) {
  BOOST_TEST(exits_well([&] {
    static EventLoop loop({.poller = backend});
    loop.post([] { std::exit(kExited); });
    loop.run();
  }));
  BOOST_TEST(exits_well([&] {
    static EventLoop loop({.poller = backend});
    static const Pair pair = socket_pair();
    static const Timer timer = loop.after(1h, [] {});
    static const Channel channel(loop, pair.near.get(), Interest::kWrite,
                                 [](Readiness) { std::exit(kExited); });
    loop.run();
  }));
  BOOST_TEST(exits_well([&] {
    static EventLoop loop({.poller = backend});
    static const Timer timer = loop.after(Duration::zero(), [] { std::exit(kExited); });
    static_cast<void>(loop.run_once());
  }));
}

POLLARD_EACH_BACKEND(static_loop_thread_survives_exit_in_its_handler) {
  BOOST_TEST(exits_well([&] {
    static LoopThread thread({.poller = backend});
    thread.run_and_wait([](EventLoop&) { std::exit(kExited); });
  }));
}

POLLARD_EACH_BACKEND(loop_is_not_destroyed_by_its_own_handler) {
  BOOST_TEST(aborts([&] {
    auto loop = std::make_unique<EventLoop>(EventLoopOptions{.poller = backend});
    loop->post([&] { loop.reset(); });
    loop->run();
  }));
  BOOST_TEST(aborts([&] {
    auto thread = std::make_unique<LoopThread>(EventLoopOptions{.poller = backend});
    thread->run_and_wait([&](EventLoop&) { thread.reset(); });
  }));
}

}  // namespace
}  // namespace pollard::testing
