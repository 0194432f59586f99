#include "pollard/platform/time.h"

#include <time.h>

#include <boost/test/unit_test.hpp>
#include <climits>

#include "pollard/testkit/faults.h"

namespace pollard::platform {
namespace {

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(time)

BOOST_AUTO_TEST_CASE(milliseconds_are_rounded_up_and_never_down) {
  BOOST_TEST(to_milliseconds_rounded_up(0ns) == 0);
  BOOST_TEST(to_milliseconds_rounded_up(1ns) == 1);
  BOOST_TEST(to_milliseconds_rounded_up(999'999ns) == 1);
  BOOST_TEST(to_milliseconds_rounded_up(1ms) == 1);
  BOOST_TEST(to_milliseconds_rounded_up(1ms + 1ns) == 2);
  BOOST_TEST(to_milliseconds_rounded_up(5s) == 5000);
}

BOOST_AUTO_TEST_CASE(milliseconds_stay_within_what_a_call_takes) {
  BOOST_TEST(to_milliseconds_rounded_up(-1ns) == 0);
  BOOST_TEST(to_milliseconds_rounded_up(Duration::min()) == 0);
  BOOST_TEST(to_milliseconds_rounded_up(Duration::max()) == INT_MAX);
  BOOST_TEST(to_milliseconds_rounded_up(std::chrono::milliseconds(INT_MAX)) == INT_MAX);
  BOOST_TEST(to_milliseconds_rounded_up(std::chrono::milliseconds(INT_MAX) + 1ns) == INT_MAX);
}

void expect_timespec(Duration interval, long long seconds, long nanoseconds) {
  const timespec converted = to_timespec(interval);
  BOOST_TEST(static_cast<long long>(converted.tv_sec) == seconds);
  BOOST_TEST(static_cast<long>(converted.tv_nsec) == nanoseconds);
}

BOOST_AUTO_TEST_CASE(a_timespec_holds_every_nanosecond) {
  expect_timespec(0ns, 0, 0);
  expect_timespec(1ns, 0, 1);
  expect_timespec(999'999'999ns, 0, 999'999'999);
  expect_timespec(1s, 1, 0);
  expect_timespec(1'500ms, 1, 500'000'000);
}

BOOST_AUTO_TEST_CASE(a_timespec_stays_within_what_a_call_takes) {
  expect_timespec(-1ns, 0, 0);
  expect_timespec(Duration::min(), 0, 0);
  expect_timespec(Duration::max(), 100'000'000, 0);
  expect_timespec(kLongestTimeout + 1ns, 100'000'000, 0);
}

BOOST_AUTO_TEST_CASE(the_clock_never_goes_back) {
  MonotonicTime before = monotonic_now();
  for (int i = 0; i < 1000; ++i) {
    const MonotonicTime now = monotonic_now();
    BOOST_REQUIRE((now >= before));
    before = now;
  }
}

BOOST_AUTO_TEST_CASE(the_clock_is_that_of_the_table) {
  testing::Faults faults;
  faults.replace<&SystemCalls::clock_gettime>([](clockid_t clock, timespec* time) {
    BOOST_TEST((clock == CLOCK_MONOTONIC));
    *time = {.tv_sec = 12, .tv_nsec = 34};
    return 0;
  });
  BOOST_TEST((monotonic_now() == MonotonicTime(12s + 34ns)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
