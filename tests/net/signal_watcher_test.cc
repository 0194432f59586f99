// Signals as events: who is told, in which thread, and what is as it was before.
#include "pollard/net/loop/signal_watcher.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/net/loop/loop_thread.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// Each signal here is sent by a thread to itself, between its calls: what handles it may enter the
// simulated kernel, which it could not inside of one.

using Handler = void (*)(int);

Handler handler_of(int signal) {
  struct sigaction now {};
  ::sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

std::string refusal_of(EventLoop& loop, int signal) {
  try {
    const SignalWatcher watcher(loop, {signal}, [](int) {});
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "it was watched";
}

POLLARD_EACH_BACKEND(a_signal_is_an_event_of_the_loop) {
  EventLoop loop({.poller = backend});
  std::vector<int> seen;
  const SignalWatcher watcher(loop, {SIGUSR1, SIGUSR2}, [&](int signal) {
    loop.assert_in_loop_thread();
    seen.push_back(signal);
  });
  ::raise(SIGUSR2);
  BOOST_TEST(seen.empty(), "not in the signal's handler");
  run_until(loop, [&] { return seen.size() == 1; });
  ::raise(SIGUSR1);
  run_until(loop, [&] { return seen.size() == 2; });
  BOOST_TEST((seen == std::vector<int>{SIGUSR2, SIGUSR1}));
  expect_no_spin(loop);
}

POLLARD_EACH_BACKEND(a_signal_to_any_thread_ends_the_loops_sleep) {
  EventLoop loop({.poller = backend});
  const SignalWatcher watcher(loop, {SIGUSR1}, [&](int) { loop.stop(); });
  std::thread other([] { ::pthread_kill(::pthread_self(), SIGUSR1); });
  loop.run();
  other.join();
}

POLLARD_EACH_BACKEND(all_who_watch_a_signal_are_told) {
  EventLoop loop({.poller = backend});
  int first = 0;
  int second = 0;
  const SignalWatcher one(loop, {SIGUSR1}, [&](int) { ++first; });
  {
    const SignalWatcher two(loop, {SIGUSR1}, [&](int) { ++second; });
    LoopThread elsewhere({.poller = backend});
    std::atomic<int> third{0};
    std::optional<SignalWatcher> three;
    elsewhere.run_and_wait([&](EventLoop& other) {
      three.emplace(other, std::initializer_list<int>{SIGUSR1}, [&](int) { ++third; });
    });
    ::raise(SIGUSR1);
    run_until(loop, [&] { return first == 1 && second == 1 && third == 1; });
    elsewhere.run_and_wait([&](EventLoop&) { three.reset(); });
  }
  ::raise(SIGUSR1);
  run_until(loop, [&] { return first == 2; });
  BOOST_TEST(second == 1);
}

POLLARD_EACH_BACKEND(the_last_watcher_restores_what_was_before) {
  EventLoop loop({.poller = backend});
  const Handler mine = [](int) {};
  ::signal(SIGUSR1, mine);
  {
    const SignalWatcher outer(loop, {SIGUSR1}, [](int) {});
    BOOST_TEST((handler_of(SIGUSR1) != mine));
    {
      const SignalWatcher inner(loop, {SIGUSR1, SIGUSR2}, [](int) {});
    }
    BOOST_TEST((handler_of(SIGUSR1) != mine));
    BOOST_TEST((handler_of(SIGUSR2) == SIG_DFL));
  }
  BOOST_TEST((handler_of(SIGUSR1) == mine));
  ::signal(SIGUSR1, SIG_DFL);
}

POLLARD_EACH_BACKEND(a_handler_that_somebody_set_meanwhile_stays) {
  EventLoop loop({.poller = backend});
  const Handler mine = [](int) {};
  {
    const SignalWatcher watcher(loop, {SIGUSR1}, [](int) {});
    ::signal(SIGUSR1, mine);
  }
  BOOST_TEST((handler_of(SIGUSR1) == mine));
  ::signal(SIGUSR1, SIG_DFL);
}

POLLARD_EACH_BACKEND(what_cant_be_watched_is_refused_with_the_reason_and_changes_nothing) {
  EventLoop loop({.poller = backend});
  BOOST_TEST(refusal_of(loop, SIGKILL).starts_with("watching SIGKILL: no process can catch it"));
  BOOST_TEST(refusal_of(loop, SIGSTOP).starts_with("watching SIGSTOP: no process can catch it"));
  BOOST_TEST(refusal_of(loop, SIGSEGV).starts_with("watching SIGSEGV: a fault would come again"));
  for (const int nothing : {0, -1, 1000}) {
    BOOST_TEST(refusal_of(loop, nothing)
                   .starts_with("watching signal " + std::to_string(nothing) +
                                ": there is no such signal"));
  }
  BOOST_CHECK_THROW(SignalWatcher(loop, {SIGUSR1, SIGKILL}, [](int) {}), std::system_error);
  BOOST_TEST((handler_of(SIGUSR1) == SIG_DFL));
  Faults faults;
  faults.fail(Call::kSigaction, std::errc::invalid_argument);
  BOOST_TEST(refusal_of(loop, SIGUSR1) == "watching SIGUSR1: sigaction: Invalid argument");
  BOOST_TEST(refusal_of(loop, SIGUSR1) == "it was watched");
}

POLLARD_EACH_BACKEND(a_handler_may_destroy_its_watcher_and_one_that_throws_loses_no_signal) {
  EventLoop loop({.poller = backend});
  std::string seen;
  std::optional<SignalWatcher> watcher;
  watcher.emplace(loop, std::initializer_list<int>{SIGUSR1, SIGUSR2}, [&](int signal) {
    seen += signal == SIGUSR1 ? '1' : '2';
    if (signal == SIGUSR1) throw std::runtime_error("thrown");
    watcher.reset();
  });
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  BOOST_CHECK_THROW(run_until(loop, [] { return false; }), std::runtime_error);
  run_until(loop, [&] { return !watcher.has_value(); });
  BOOST_TEST(seen == "12");
  BOOST_TEST((handler_of(SIGUSR2) == SIG_DFL));
}

POLLARD_EACH_BACKEND(a_watcher_may_outlive_its_loop) {
  std::optional<EventLoop> loop(std::in_place, EventLoopOptions{.poller = backend});
  const SignalWatcher watcher(*loop, {SIGUSR1}, [](int) {});
  loop.reset();
  ::raise(SIGUSR1);
}

volatile sig_atomic_t delivered = 0;

// ThreadSanitizer keeps signals from the children of a process with several threads.
bool children_get_signals() {
  return true_in_child([] {
    ::signal(SIGUSR2, [](int) { delivered = 1; });
    ::raise(SIGUSR2);
    return delivered == 1;
  });
}

// The child has its parent's handlers and descriptors: a signal to it isn't its parent's.
POLLARD_EACH_BACKEND(a_forked_child_gets_its_signals_as_if_nobody_watched) {
  EventLoop loop({.poller = backend});
  unsigned seen = 0;
  const SignalWatcher watcher(loop, {SIGUSR1}, [&](int) { ++seen; });
  int status = status_of_child([] {  // not const: macOS' macros take its address
    ::raise(SIGUSR1);
    return 0;
  });
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1;
  BOOST_TEST((killed || !children_get_signals()));
  run_until_idle(loop);
  BOOST_TEST(seen == 0U);
}

POLLARD_EACH_BACKEND(signals_that_come_while_watchers_come_and_go_harm_nobody) {
  EventLoop loop({.poller = backend});
  unsigned seen = 0;
  const SignalWatcher keeps_the_handler(loop, {SIGUSR1}, [&](int) { ++seen; });
  std::atomic<bool> enough{false};
  std::thread sender([&] {
    while (!enough) ::pthread_kill(::pthread_self(), SIGUSR1);
  });
  for (int i = 0; i < 200; ++i) {
    const SignalWatcher brief(loop, {SIGUSR1}, [](int) {});
    static_cast<void>(loop.run_once(Duration::zero()));
  }
  run_until(loop, [&] { return seen > 10; });
  enough = true;
  sender.join();
}

}  // namespace
}  // namespace pollard::testing
