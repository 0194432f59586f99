// Every test program's main: builds the suites of each backend when the program runs, for the
// registry says which there are, and then hands over to Boost.Test.
#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>

#include "pollard/tests/support/each_backend.h"
#include "pollard/tests/support/watchdog.h"

namespace {

bool init() {
  boost::unit_test::framework::master_test_suite().p_name.value = "pollard";
  pollard::testing::build_backend_suites();
  pollard::testing::install_watchdog();
  return true;
}

}  // namespace

int main(int argc, char** argv) { return boost::unit_test::unit_test_main(init, argc, argv); }
