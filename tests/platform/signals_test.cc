// The signal handler seen from the program around it: what it leaves as it was, on which stack it
// runs, and what a child gets that is forked at any moment.
#include "pollard/platform/signals.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "pollard/platform/system_calls.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/testkit/sockets.h"

namespace pollard::platform {
namespace {

using testing::Faults;
using testing::true_in_child;

// Runs `body` inside of the handler, in the place of the write that rings the bell.
void in_handler(const std::function<void()>& body) {
  Faults faults;
  faults.replace<&SystemCalls::write>([&](int, const void*, std::size_t size) {
    body();
    return static_cast<std::ptrdiff_t>(size);
  });
  WakeDescriptor bell;
  WatchedSignal watched(SIGUSR1, bell);
  ::raise(SIGUSR1);
  BOOST_TEST(watched.take_count() == 1U);
}

// A child that watches a signal and stops watching it, which waits for handlers that are running.
bool child_can_watch() {
  return true_in_child([] {
    WakeDescriptor bell;
    const WatchedSignal watched(SIGUSR2, bell);
    return true;
  });
}

BOOST_AUTO_TEST_SUITE(signals)

BOOST_AUTO_TEST_CASE(handler_keeps_errno) {
  errno = 0;
  in_handler([] { errno = EBADF; });
  BOOST_TEST(errno == 0);
}

BOOST_AUTO_TEST_CASE(handler_runs_with_all_signals_blocked) {
  sigset_t inside;
  sigemptyset(&inside);
  in_handler([&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &inside); });
  for (const int signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, SIGCHLD, SIGALRM}) {
    BOOST_TEST(sigismember(&inside, signal) == 1, signal_name(signal));
  }
}

// The system is asked, as a sanitizer may keep local variables elsewhere than on the stack.
BOOST_AUTO_TEST_CASE(handler_runs_on_alternative_stack_of_thread) {
  std::vector<char> memory(std::size_t{256} << 10U);
  stack_t inside{};
  std::thread other([&] {
    stack_t stack{};
    stack.ss_sp = memory.data();
    stack.ss_size = memory.size();
    stack_t before{};
    if (::sigaltstack(&stack, &before) != 0) return;
    in_handler([&] { ::sigaltstack(nullptr, &inside); });
    ::sigaltstack(&before, nullptr);
  });
  other.join();
  BOOST_TEST(inside.ss_sp == static_cast<void*>(memory.data()));
  BOOST_TEST((inside.ss_flags & SS_ONSTACK) != 0);
}

BOOST_AUTO_TEST_CASE(blocking_call_of_another_thread_is_restarted) {
  struct sigaction now {};
  WakeDescriptor bell;
  WatchedSignal watched(SIGUSR1, bell);
  ::sigaction(SIGUSR1, nullptr, &now);
  BOOST_TEST((now.sa_flags & SA_RESTART) != 0);
  int ends[2] = {-1, -1};
  BOOST_TEST_REQUIRE(::pipe(ends) == 0);
  std::atomic<::ssize_t> got{-2};
  std::thread reader([&] {
    char byte = 0;
    got = ::read(ends[0], &byte, 1);
  });
  for (std::uint32_t count = 0; count < 100; count += watched.take_count()) {
    ::pthread_kill(reader.native_handle(), SIGUSR1);
    ::sched_yield();
    if (got != -2) break;  // it ended without a byte
  }
  BOOST_TEST(::write(ends[1], "x", 1) == 1);
  reader.join();
  BOOST_TEST(got == 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

BOOST_AUTO_TEST_CASE(child_forked_while_thread_is_in_handler_can_stop_watching) {
  std::atomic<bool> inside = false;
  std::atomic<bool> leave = false;
  std::thread other([&] {
    in_handler([&] {
      inside = true;
      while (!leave) ::sched_yield();
    });
  });
  while (!inside) ::sched_yield();
  BOOST_TEST(child_can_watch());
  leave = true;
  other.join();
}

BOOST_AUTO_TEST_CASE(child_forked_while_thread_changes_disposition_can_watch) {
  constexpr int kTurns = 2'000;  // time enough for a fork that doesn't wait
  Faults faults;
  std::atomic<bool> inside = false;
  std::atomic<bool> forking = false;
  std::atomic<bool> once = false;
  faults.replace<&SystemCalls::sigaction>(
      [&](int signal, const struct sigaction* action, struct sigaction* previous) {
        if (!once.exchange(true)) {
          inside = true;
          while (!forking) ::sched_yield();
          for (int turn = 0; turn < kTurns; ++turn) ::sched_yield();
        }
        return faults.underlying().sigaction(signal, action, previous);
      });
  std::thread other([] {
    WakeDescriptor bell;
    const WatchedSignal watched(SIGUSR1, bell);
  });
  while (!inside) ::sched_yield();
  forking = true;
  BOOST_TEST(child_can_watch());
  other.join();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
