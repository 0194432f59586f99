// What a poller costs in system calls, beyond what the contract promises of changes.
#include <string>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

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

POLLARD_EACH_BACKEND(removing_before_a_close_costs_no_call) {
  Faults faults;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kBoth);
  const std::size_t before = faults.count(Call::kAny);
  BOOST_TEST(watch->remove_before_close(pair.near.get()) == std::error_code());
  BOOST_TEST(faults.count(Call::kAny) == before);
}

}  // namespace
}  // namespace pollard::testing
