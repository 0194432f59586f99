// A seed is the same run each time, to the last event, with a trace or without.
#include <boost/test/unit_test.hpp>

#include "pollard/poller/registry.h"
#include "pollard/tests/chaos/run.h"
#include "pollard/tests/support/effort.h"
#include "pollard/tests/support/quiet.h"
#include "pollard/tests/support/watchdog.h"

namespace pollard::chaos {
namespace {

Outcome play(const std::string& poller, std::uint64_t seed, std::size_t trace_lines) {
  return run_seed({.poller = poller, .seed = seed, .trace_lines = trace_lines});
}

BOOST_AUTO_TEST_SUITE(chaos)

BOOST_FIXTURE_TEST_CASE(a_seed_is_the_same_run_each_time, testing::Quiet) {
  testing::allow_time(std::chrono::minutes(3));
  for (const PollerBackend& entry : registered_pollers()) {
    for (std::uint64_t seed = 1; seed <= testing::repeated(40); ++seed) {
      BOOST_TEST_CONTEXT(entry.name << " seed " << seed) {
        const Outcome first = play(entry.name, seed, SIZE_MAX);
        const Outcome second = play(entry.name, seed, SIZE_MAX);
        BOOST_TEST(first.trace.size() > 20U);
        BOOST_TEST((first.trace == second.trace));
        BOOST_TEST(first.problems == second.problems, boost::test_tools::per_element());
        BOOST_TEST(play(entry.name, seed, 0).calls == first.calls, "the trace disturbs the run");
      }
    }
  }
}

BOOST_FIXTURE_TEST_CASE(another_seed_is_another_run, testing::Quiet) {
  const Outcome one = play("poll", 1, SIZE_MAX);
  const Outcome other = play("poll", 2, SIZE_MAX);
  BOOST_TEST((one.trace != other.trace));
}

BOOST_FIXTURE_TEST_CASE(the_last_lines_of_a_trace_are_kept, testing::Quiet) {
  const Outcome all = play("poll", 3, SIZE_MAX);
  const Outcome last = play("poll", 3, 10);
  BOOST_TEST_REQUIRE(last.trace.size() == 10U);
  BOOST_TEST(std::equal(last.trace.rbegin(), last.trace.rend(), all.trace.rbegin()));
}

BOOST_FIXTURE_TEST_CASE(every_kind_of_fault_befalls_in_a_few_seeds, testing::Quiet) {
  testing::allow_time(std::chrono::minutes(3));
  std::map<std::string, std::uint64_t> faults;
  for (const std::string poller : {"epoll", "poll"}) {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      for (const auto& [fault, count] : play(poller, seed, 0).faults) faults[fault] += count;
    }
  }
  for (const std::string fault : {"EINTR", "short read", "short write", "full", "spurious", "stale",
                                  "reordered", "small batch", "EMFILE", "ENFILE", "ENOBUFS",
                                  "ENOMEM", "ECONNABORTED", "reset", "stall", "number taken"}) {
    BOOST_TEST(faults[fault] > 0U, fault);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::chaos
