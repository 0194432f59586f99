#include "pollard/base/light_mutex.h"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <mutex>
#include <thread>
#include <vector>

namespace pollard::testing {
namespace {

BOOST_AUTO_TEST_SUITE(light_mutex)

BOOST_AUTO_TEST_CASE(one_thread_has_it_at_a_time) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  LightMutex mutex;
  int count = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const std::lock_guard lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(count == kThreads * kRounds);
}

// However they come to wait: asleep already, or on the way there.
BOOST_AUTO_TEST_CASE(all_who_wait_get_it_when_it_is_free) {
  constexpr int kWaiters = 3;
  for (int round = 0; round < 300; ++round) {
    LightMutex mutex;
    int got = 0;
    std::atomic<int> begun{0};
    std::vector<std::thread> threads;
    {
      const std::lock_guard lock(mutex);
      for (int i = 0; i < kWaiters; ++i) {
        threads.emplace_back([&] {
          ++begun;
          const std::lock_guard waited(mutex);
          ++got;
        });
      }
      while (begun < kWaiters) std::this_thread::yield();
      for (int turn = 0; turn < round; ++turn) std::this_thread::yield();
    }
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(got == kWaiters);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
