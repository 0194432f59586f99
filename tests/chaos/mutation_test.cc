// The chaos run finds bugs: a library that is spoiled in one point doesn't get through the first
// seeds, on any backend that relies on that point.
#include <boost/test/unit_test.hpp>
#include <optional>

#include "pollard/poller/registry.h"
#include "pollard/tests/chaos/mutations.h"
#include "pollard/tests/chaos/run.h"
#include "pollard/tests/support/quiet.h"
#include "pollard/tests/support/watchdog.h"

namespace pollard::chaos {
namespace {

constexpr std::uint64_t kSeeds = 200;

// The first seed that notices.
std::optional<std::uint64_t> seeds_until_caught(const std::string& poller,
                                                const Mutation& mutation) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Outcome outcome =
        run_seed({.poller = poller, .seed = seed, .mutation = mutation.install});
    if (outcome.problems.empty()) continue;
    BOOST_TEST_MESSAGE(poller << ", " << mutation.name << ": caught by seed " << seed << ": "
                              << outcome.problems.front());
    return seed;
  }
  return std::nullopt;
}

BOOST_AUTO_TEST_SUITE(chaos)

BOOST_FIXTURE_TEST_CASE(every_mutation_of_the_library_is_caught, testing::Quiet) {
  testing::allow_time(std::chrono::minutes(5));
  for (const Mutation& mutation : mutations()) {
    for (const PollerBackend& entry : registered_pollers()) {
      if (!mutation.concerns(entry.name)) continue;
      BOOST_TEST(seeds_until_caught(entry.name, mutation).has_value(),
                 entry.name << ": nobody notices that " << mutation.name);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::chaos
