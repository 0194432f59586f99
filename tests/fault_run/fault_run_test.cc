// A part of the fault run, in the processes that the sanitizers watch. The program `fault_run`
// plays all of it.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>

#include "pollard/base/log.h"
#include "pollard/poller/registry.h"
#include "pollard/tests/fault_run/sweep.h"
#include "pollard/tests/support/watchdog.h"

namespace pollard::fault_run {
namespace {

struct Muted {
  Muted() {
    set_log_sink([](LogLevel, std::string_view) {});
  }
  ~Muted() { set_log_sink({}); }
};

std::string text_of(const Outcome& outcome) {
  std::string text;
  for (const std::string& problem : outcome.problems) text += "\n  " + problem;
  return text;
}

BOOST_FIXTURE_TEST_SUITE(fault_run, Muted)

BOOST_AUTO_TEST_CASE(each_scene_succeeds_without_a_failure_on_each_backend) {
  testing::allow_time(std::chrono::seconds(60));
  for (const PollerEntry& entry : registered_pollers()) {
    for (const Scene& scene : scenes()) {
      const Outcome outcome = play(scene, {.poller = entry.name});
      BOOST_TEST(outcome.problems.empty(), arguments_of(scene, entry.name, {}) << text_of(outcome));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_scene_makes_the_same_calls_each_time) {
  for (const Scene& scene : scenes()) {
    if (scene.threads) continue;
    const Outcome one = play(scene, {.poller = "poll"});
    const Outcome other = play(scene, {.poller = "poll"});
    BOOST_TEST((one.calls == other.calls), std::string(scene.name));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::fault_run
