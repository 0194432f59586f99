// A loop in a thread of its own: how it begins, how it is reached, how it ends.
#include "pollard/net/loop/loop_thread.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND(a_loop_thread_runs_its_loop_elsewhere) {
  std::thread::id started;
  LoopThread thread({.poller = backend}, [&](EventLoop& loop) {
    started = std::this_thread::get_id();
    BOOST_TEST(loop.poller_name() == backend);
  });
  BOOST_TEST((started != std::this_thread::get_id()));
  BOOST_TEST((started != std::thread::id()));
  BOOST_TEST(thread.handle().alive());
  BOOST_TEST(!thread.handle().in_loop_thread());
  std::thread::id ran;
  thread.run_and_wait([&](EventLoop& loop) {
    ran = std::this_thread::get_id();
    BOOST_TEST(loop.in_loop_thread());
  });
  BOOST_TEST((ran == started));
}

POLLARD_EACH_BACKEND(a_loop_that_cannot_be_made_is_the_constructors_error) {
  BOOST_CHECK_EXCEPTION(
      LoopThread({.poller = backend + "-nonsense"}), std::system_error,
      [](const std::system_error& error) { return error.code() == Error::kPollerUnknown; });
}

POLLARD_EACH_BACKEND(what_the_start_throws_is_the_constructors_error_and_ends_the_loop) {
  std::optional<LoopHandle> handle;
  BOOST_CHECK_THROW(LoopThread({.poller = backend},
                               [&](EventLoop& loop) {
                                 handle = loop.handle();
                                 throw std::runtime_error("thrown");
                               }),
                    std::runtime_error);
  BOOST_TEST_REQUIRE(handle.has_value());
  BOOST_TEST(!handle->alive());
}

POLLARD_EACH_BACKEND(what_a_task_throws_reaches_who_waits_and_the_loop_goes_on) {
  LoopThread thread({.poller = backend});
  for (int i = 0; i < 3; ++i) {
    BOOST_CHECK_THROW(thread.run_and_wait([](EventLoop&) { throw std::runtime_error("thrown"); }),
                      std::runtime_error);
  }
  bool ran = false;
  thread.run_and_wait([&](EventLoop&) { ran = true; });
  BOOST_TEST(ran);
}

POLLARD_EACH_BACKEND(a_loop_thread_ends_after_the_tasks_that_were_posted_before) {
  std::atomic<int> ran{0};
  std::optional<LoopHandle> handle;
  {
    LoopThread thread({.poller = backend});
    handle = thread.handle();
    for (int i = 0; i < 1000; ++i) handle->post([&] { ++ran; });
  }
  BOOST_TEST(ran == 1000);
  BOOST_TEST(!handle->alive());
  BOOST_TEST(!handle->post([] {}));
}

POLLARD_EACH_BACKEND(loop_threads_begin_and_end_at_once_and_never_hang) {
  for (int i = 0; i < 50; ++i) {
    const LoopThread thread({.poller = backend});
  }
}

POLLARD_EACH_BACKEND(many_threads_may_wait_for_one_loop) {
  LoopThread thread({.poller = backend});
  int ran = 0;  // the loop's thread alone counts
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.emplace_back([&] {
      for (int n = 0; n < 200; ++n) thread.run_and_wait([&](EventLoop&) { ++ran; });
    });
  }
  for (std::thread& waiter : waiters) waiter.join();
  BOOST_TEST(ran == 800);
}

POLLARD_EACH_BACKEND(a_loop_that_stops_as_soon_as_it_starts_is_gone_for_who_waits) {
  for (int i = 0; i < 50; ++i) {
    LoopThread thread({.poller = backend}, [](EventLoop& loop) { loop.stop(); });
    try {
      thread.run_and_wait([](EventLoop&) {});  // unless it was in time for the last turn
    } catch (const std::system_error& error) {
      BOOST_TEST((error.code() == Error::kLoopClosed));
    }
  }
}

POLLARD_EACH_BACKEND(a_loop_that_a_handle_stopped_is_gone_for_who_waits) {
  LoopThread thread({.poller = backend});
  thread.handle().stop();
  while (thread.handle().alive()) std::this_thread::yield();
  BOOST_CHECK_EXCEPTION(
      thread.run_and_wait([](EventLoop&) {}), std::system_error,
      [](const std::system_error& error) { return error.code() == Error::kLoopClosed; });
}

POLLARD_EACH_BACKEND(a_thread_does_not_wait_for_itself) {
  LoopThread thread({.poller = backend});
  thread.run_and_wait(
      [&](EventLoop&) { BOOST_TEST(aborts([&] { thread.run_and_wait([](EventLoop&) {}); })); });
}

}  // namespace
}  // namespace pollard::testing
