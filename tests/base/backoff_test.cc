#include "pollard/base/backoff.h"

#include <boost/test/unit_test.hpp>
#include <set>
#include <vector>

namespace pollard::testing {
namespace {

using namespace std::chrono_literals;

constexpr BackoffOptions kUsual{.initial = 500ms, .maximum = 30s};

std::vector<Duration> delays(Backoff& backoff, int count) {
  std::vector<Duration> all;
  for (int i = 0; i < count; ++i) all.push_back(backoff.next());
  return all;
}

BOOST_AUTO_TEST_SUITE(backoff)

BOOST_AUTO_TEST_CASE(delays_double_between_half_of_the_ceiling_and_the_ceiling) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Backoff backoff(kUsual, seed);
    Duration ceiling = 500ms;
    for (const Duration delay : delays(backoff, 20)) {
      BOOST_REQUIRE((delay >= ceiling / 2 && delay <= ceiling));
      ceiling = std::min<Duration>(ceiling * 2, 30s);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_delays) {
  Backoff one(kUsual, 42);
  Backoff other(kUsual, 42);
  BOOST_TEST((delays(one, 10) == delays(other, 10)));
}

BOOST_AUTO_TEST_CASE(a_thousand_clients_do_not_come_back_together) {
  std::set<Duration> first;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) first.insert(Backoff(kUsual, seed).next());
  BOOST_TEST(first.size() > 990U);
}

BOOST_AUTO_TEST_CASE(jitter_reaches_both_ends) {
  Duration least = Duration::max();
  Duration most = Duration::zero();
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const Duration delay = Backoff(kUsual, seed).next();
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  BOOST_TEST((least < 255ms));
  BOOST_TEST((most > 495ms));
}

BOOST_AUTO_TEST_CASE(reset_begins_again) {
  Backoff backoff(kUsual, 7);
  delays(backoff, 10);
  backoff.reset();
  BOOST_TEST((backoff.next() <= 500ms));
  BOOST_TEST((backoff.next() > 450ms));
}

BOOST_AUTO_TEST_CASE(the_longest_maximum_does_not_overflow) {
  Backoff backoff({.initial = 1ns, .maximum = Duration::max()}, 1);
  for (const Duration delay : delays(backoff, 200)) BOOST_REQUIRE((delay >= Duration::zero()));
  BOOST_TEST((backoff.next() >= Duration::max() / 2));
}

BOOST_AUTO_TEST_CASE(an_initial_above_the_maximum_is_the_maximum) {
  Backoff backoff({.initial = 10s, .maximum = 1s}, 1);
  for (const Duration delay : delays(backoff, 5)) BOOST_TEST((delay >= 500ms && delay <= 1s));
}

BOOST_AUTO_TEST_CASE(extreme_bounds_give_delays_between_zero_and_the_maximum) {
  const std::vector<Duration> extremes = {Duration::min(), Duration(-1), Duration::zero(),
                                          Duration(1), Duration::max()};
  for (const Duration initial : extremes) {
    for (const Duration maximum : extremes) {
      Backoff backoff({.initial = initial, .maximum = maximum}, 1);
      for (int round = 0; round < 2; ++round) {
        for (const Duration delay : delays(backoff, 70)) {
          BOOST_REQUIRE((delay >= Duration::zero()));
          BOOST_REQUIRE((delay <= std::max(maximum, Duration::zero())));
        }
        backoff.reset();
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(no_interval_is_no_delay) {
  Backoff backoff({.initial = 0ns, .maximum = 30s}, 1);
  for (const Duration delay : delays(backoff, 5)) BOOST_TEST((delay == Duration::zero()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
