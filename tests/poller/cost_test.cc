// What a poller costs in system calls, and that nobody starves. Waits and changes are counted.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND(write_interest_that_comes_and_goes_between_two_waits_costs_no_call) {
  Faults faults;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.collect();
  const std::size_t before = faults.count(Call::kAny);
  for (int i = 0; i < 100; ++i) {
    watch.modify(pair.near, Interest::kBoth);
    watch.modify(pair.near, Interest::kRead);
  }
  watch.wait();
  BOOST_TEST(faults.count(Call::kAny) == before + 1, "the wait alone");
}

POLLARD_EACH_BACKEND(changes_ride_along_with_the_wait_where_they_are_batched) {
  Faults faults;
  Watch watch(backend);
  std::vector<Pair> pairs(20);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kRead);
  }
  watch.collect();
  for (const Interest interest : {Interest::kBoth, Interest::kNone, Interest::kRead}) {
    const std::size_t before = faults.count(Call::kAny);
    for (const Pair& pair : pairs) watch.modify(pair.near, interest);
    watch.wait();
    const std::size_t changes = watch->capabilities().batched_changes ? 0 : pairs.size();
    BOOST_TEST(faults.count(Call::kAny) == before + 1 + changes);
  }
}

POLLARD_EACH_BACKEND(waiting_and_taking_cost_one_call) {
  Faults faults;
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kBoth);
  const std::size_t before = faults.count(Call::kAny);
  for (int i = 0; i < 10; ++i) BOOST_TEST(watch.ready(pair.near) == kBothWays);
  BOOST_TEST(faults.count(Call::kAny) == before + 10);
}

POLLARD_EACH_BACKEND(with_more_ready_than_a_batch_holds_all_are_served_in_turn) {
  constexpr int kPairs = 1200;
  BOOST_TEST_REQUIRE(can_open(2 * kPairs + 100));
  Watch watch(backend);
  std::vector<Pair> pairs(kPairs);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    write_text(pair.far.get(), "data");
    watch.add(pair.near, Interest::kRead);
  }
  std::map<int, int> served;
  for (int wait = 1; wait <= 30; ++wait) {
    const auto events = watch.collect();
    BOOST_TEST(events.size() < 600U, "a batch is bounded");
    for (const auto& [fd, event] : events) ++served[fd];
    if (wait == 3) BOOST_TEST(served.size() == pairs.size(), "three batches serve them all");
  }
  const auto [least, most] =
      std::ranges::minmax_element(served, {}, [](const auto& of) { return of.second; });
  BOOST_TEST(most->second - least->second <= 2, "nobody is served more often than another");
}

POLLARD_EACH_BACKEND(registering_and_removing_leaves_nothing_behind) {
  Watch watch(backend);
  const Pair still = socket_pair();
  watch.add(still.near, Interest::kRead);
  for (int i = 0; i < 2000; ++i) {
    Pair pair = socket_pair();
    write_text(pair.far.get(), "data");
    watch.add(pair.near, Interest::kBoth);
    if (i % 3 == 0) watch.modify(pair.near, Interest::kRead);
    if (i % 2 == 0) BOOST_TEST(watch.ready(pair.near).readable);
    watch.remove(pair.near);
  }
  BOOST_TEST(watch->size() == 1U);
  BOOST_TEST(watch->stale_events() == 0U);
  expect_silence(watch);
}

}  // namespace
}  // namespace pollard::testing
