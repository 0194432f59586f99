#include "pollard/base/clock.h"

#include <boost/test/unit_test.hpp>

namespace pollard::testing {
namespace {

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(clock)

BOOST_AUTO_TEST_CASE(a_sum_within_the_time_line_is_the_sum) {
  constexpr MonotonicTime kTime{5s};
  BOOST_TEST((saturating_add(kTime, 3s) == MonotonicTime(8s)));
  BOOST_TEST((saturating_add(kTime, -3s) == MonotonicTime(2s)));
  BOOST_TEST((saturating_add(kTime, 0s) == kTime));
}

BOOST_AUTO_TEST_CASE(a_sum_past_the_end_is_the_end) {
  BOOST_TEST((saturating_add(MonotonicTime(1ns), Duration::max()) == MonotonicTime::max()));
  BOOST_TEST((saturating_add(MonotonicTime(0ns), Duration::max()) == MonotonicTime::max()));
  BOOST_TEST((saturating_add(MonotonicTime::max(), 1ns) == MonotonicTime::max()));
  BOOST_TEST((saturating_add(MonotonicTime::max() - 1ns, 1ns) == MonotonicTime::max()));
}

BOOST_AUTO_TEST_CASE(a_time_before_the_origin_does_not_overflow) {
  BOOST_TEST((saturating_add(MonotonicTime(-1s), Duration::max()) ==
              MonotonicTime(Duration::max() - Duration(1s))));
  BOOST_TEST((saturating_add(MonotonicTime::min(), Duration::max()) == MonotonicTime(-1ns)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
