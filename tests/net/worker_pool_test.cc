// Workers: everything that was taken runs once, in order, and a pool can be ended from anywhere.
#include "pollard/net/loop/worker_pool.h"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/base/log.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

void wait_until_reached(const Gate& gate, unsigned times = 1) {
  while (gate.reached() < times) std::this_thread::yield();
}

BOOST_AUTO_TEST_SUITE(worker_pool)

BOOST_AUTO_TEST_CASE(tasks_run_in_their_order_and_all_of_them_before_the_end) {
  std::vector<int> ran;
  {
    WorkerPool pool({.workers = 1});
    for (int i = 0; i < 1000; ++i) {
      BOOST_TEST_REQUIRE((pool.submit([&ran, i] { ran.push_back(i); }) != SubmitResult::kRefused));
    }
  }
  BOOST_TEST(ran.size() == 1000U);
  BOOST_TEST(std::is_sorted(ran.begin(), ran.end()));
}

BOOST_AUTO_TEST_CASE(workers_run_tasks_beside_each_other) {
  Gate gate;
  WorkerPool pool({.workers = 3});
  for (int i = 0; i < 3; ++i) static_cast<void>(pool.submit([&] { gate.pass(); }));
  wait_until_reached(gate, 3);
  BOOST_TEST(pool.stats().busy == 3U);
  gate.open();
  pool.stop();
  BOOST_TEST(!gate.waited_in_vain());
  BOOST_TEST(pool.stats().completed == 3U);
}

BOOST_AUTO_TEST_CASE(without_a_number_there_are_workers_for_all_processors) {
  const WorkerPool pool;
  BOOST_TEST(pool.stats().workers == std::max(1U, std::thread::hardware_concurrency()));
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses_or_lets_wait_and_says_so) {
  Gate gate;
  std::atomic<int> ran{0};
  WorkerPool pool({.workers = 1, .queue_limit = 2});
  static_cast<void>(pool.submit([&] { gate.pass(); }));
  wait_until_reached(gate);
  const auto count = [&] { ++ran; };
  BOOST_TEST((pool.submit(count) == SubmitResult::kQueued));
  BOOST_TEST((pool.try_submit(count) == SubmitResult::kQueued));
  BOOST_TEST((pool.try_submit(count) == SubmitResult::kRefused));
  BOOST_TEST((pool.submit(count) == SubmitResult::kWaiting));
  const WorkerPoolStats full = pool.stats();
  BOOST_TEST(full.queued == 2U);
  BOOST_TEST(full.waiting == 1U);
  BOOST_TEST(full.queue_full == 2U);
  gate.open();
  pool.stop();
  BOOST_TEST(ran.load() == 3);
  const WorkerPoolStats after = pool.stats();
  BOOST_TEST(after.queued + after.waiting + after.busy == 0U);
  BOOST_TEST(after.completed == 4U);
  BOOST_TEST(after.max_queue_length == 3U);
}

BOOST_AUTO_TEST_CASE(with_no_queue_a_task_needs_a_free_worker) {
  Gate gate;
  WorkerPool pool({.workers = 1, .queue_limit = 0});
  while (pool.try_submit([&] { gate.pass(); }) == SubmitResult::kRefused) std::this_thread::yield();
  wait_until_reached(gate);
  BOOST_TEST((pool.try_submit([] {}) == SubmitResult::kRefused));
  gate.open();
}

BOOST_AUTO_TEST_CASE(a_refused_task_is_left_as_it_was) {
  WorkerPool pool({.workers = 1});
  pool.stop();
  bool ran = false;
  Task task = [&] { ran = true; };
  BOOST_TEST((pool.submit(std::move(task)) == SubmitResult::kRefused));
  task();
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(a_task_that_throws_is_reported_and_its_worker_lives_on) {
  std::vector<std::string> told;
  {
    WorkerPool pool({.workers = 1, .on_exception = [&](const std::exception_ptr& exception) {
                       try {
                         std::rethrow_exception(exception);
                       } catch (const std::exception& error) {
                         told.emplace_back(error.what());
                       }
                     }});
    static_cast<void>(pool.submit([] { throw std::runtime_error("first"); }));
    static_cast<void>(pool.submit([&] { told.emplace_back("second"); }));
    pool.stop();
    BOOST_TEST(pool.stats().exceptions == 1U);
  }
  BOOST_TEST(told == (std::vector<std::string>{"first", "second"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_nobody_takes_is_logged) {
  std::string logged;
  set_log_sink([&](LogLevel, std::string_view message) { logged += message; });
  {
    WorkerPool pool({.workers = 1});
    static_cast<void>(pool.submit([] { throw std::runtime_error("a mistake"); }));
  }
  set_log_sink({});
  BOOST_TEST(logged == "a task of a worker pool threw: exception: a mistake");
}

BOOST_AUTO_TEST_CASE(each_thread_starts_with_its_hook) {
  std::atomic<int> started{0};
  WorkerPool pool({.workers = 3, .on_thread_start = [&] { ++started; }});
  pool.stop();
  BOOST_TEST(started.load() == 3);
}

BOOST_AUTO_TEST_CASE(a_task_may_destroy_its_pool) {
  // Its thread ends some time later, and holds what its tasks hold until then.
  const auto ran = std::make_shared<std::atomic<int>>(0);
  auto pool = std::make_shared<std::unique_ptr<WorkerPool>>();
  *pool = std::make_unique<WorkerPool>(WorkerPoolOptions{.workers = 2});
  WorkerPool& running = **pool;
  const auto submitted = std::make_shared<Gate>();
  static_cast<void>(running.submit([pool, ran, submitted] {
    submitted->pass();
    static_cast<void>((*pool)->submit([ran] { ++*ran; }));
    pool->reset();
    ++*ran;
  }));
  pool.reset();
  submitted->open();
  while (ran->load() < 2 || ran.use_count() > 1) std::this_thread::yield();
}

BOOST_AUTO_TEST_CASE(task_of_a_stopping_pool_submits_and_its_task_runs_before_the_end) {
  Gate gate;
  std::atomic<bool> ran{false};
  SubmitResult admission = SubmitResult::kRefused;
  WorkerPool pool({.workers = 1});
  static_cast<void>(pool.submit([&] {
    gate.pass();
    admission = pool.submit([&] { ran = true; });
  }));
  wait_until_reached(gate);
  std::thread stopper([&] { pool.stop(); });
  while (pool.submit([] {}) != SubmitResult::kRefused) std::this_thread::yield();
  gate.open();
  stopper.join();
  BOOST_TEST((admission != SubmitResult::kRefused));
  BOOST_TEST(ran.load());
  BOOST_TEST(!gate.waited_in_vain());
}

BOOST_AUTO_TEST_CASE(task_that_throws_when_memory_is_short_is_logged) {
  static thread_local std::optional<FailingAllocation> failing;
  int logged = 0;
  set_log_sink([&](LogLevel, std::string_view) { ++logged; });
  {
    WorkerPool pool({.workers = 1});
    static_cast<void>(pool.submit([] {
      const std::runtime_error mistake(std::string(1000, '.'));
      failing.emplace(3);  // the first two are the exception's own
      throw mistake;
    }));
    static_cast<void>(pool.submit([] { failing.reset(); }));
  }
  set_log_sink({});
  BOOST_TEST(logged == 1);
}

BOOST_AUTO_TEST_CASE(many_threads_submit_and_nothing_is_lost) {
  std::atomic<int> ran{0};
  {
    WorkerPool pool({.workers = 3, .queue_limit = 10});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int round = 0; round < 2000; ++round) {
          static_cast<void>(pool.submit([&pool, &ran, round] {
            ++ran;
            if (round % 10 == 0) static_cast<void>(pool.submit([&] { ++ran; }));
          }));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  BOOST_TEST(ran.load() == 4 * 2200);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
