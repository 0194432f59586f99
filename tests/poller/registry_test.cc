#include "pollard/poller/registry.h"

#include "pollard/tests/support/each_backend.h"
#include "pollard/tests/support/faults.h"
#include "pollard/tests/support/sockets.h"

namespace pollard {
namespace {

POLLARD_EACH_BACKEND(a_chosen_poller_is_the_one_that_is_made) {
  const testing::Faults faults;
  const auto poller = make_poller(backend);
  BOOST_TEST(poller->name() == backend);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(x_chosen_poller_is_the_one_that_is_made) {
  const auto poller = make_poller(backend.poller);
  BOOST_TEST(poller->name() == backend.poller);
}

}  // namespace
}  // namespace pollard
