// The step of a poller's timeouts: that of the kernel's clock where it is coarser than the call's.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/platform/time.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/support/each_backend.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// What holds on the kernel in force, whose waits end at this tick.
void expect_step(const std::string& backend, Duration tick) {
  Watch watch(backend);
  const Pair idle = socket_pair();
  watch.add(idle.near, Interest::kRead);
  const Duration step = watch->resolution();
  BOOST_TEST((step == std::max(tick, Duration(1)) || step == std::max(tick, Duration(1ms))));
  for (const Duration timeout : {Duration(1), Duration(1ms), tick, tick + Duration(1)}) {
    const MonotonicTime began = platform::monotonic_now();
    BOOST_TEST(watch.collect(timeout).empty());
    const Duration taken = platform::monotonic_now() - began;
    constexpr Duration kCalls = 1ms;  // the calls of the wait take time themselves
    BOOST_TEST((taken <= timeout + 2 * step + kCalls));
  }
}

// Those of this library: other tests register pollers of their own.
std::vector<PollerBackend> usable_pollers() {
  std::vector<PollerBackend> usable;
  for (const PollerBackend& entry : registered_pollers()) {
    const std::string& name = entry.name;
    const bool ours = name == "epoll" || name == "kqueue" || name == "poll" || name == "select";
    if (ours && why_unusable(entry).empty()) usable.push_back(entry);
  }
  return usable;
}

BOOST_AUTO_TEST_CASE(resolution_is_the_tick_of_a_kernel_whose_waits_end_at_ticks) {
  for (const std::string_view system : sim::profile_names()) {
    const sim::Kernel kernel({.profile = *sim::profile_named(system)});
    for (const PollerBackend& entry : usable_pollers()) {
      BOOST_TEST_CONTEXT(system << ", " << entry.name) {
        expect_step(entry.name, sim::profile_named(system)->tick);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(resolution_on_the_worst_kernel_is_its_tick) {
  const sim::Kernel kernel(sim::worst_settings());
  for (const PollerBackend& entry : usable_pollers()) {
    BOOST_TEST_CONTEXT(entry.name) { expect_step(entry.name, 100ms); }
  }
}

}  // namespace
}  // namespace pollard::testing
