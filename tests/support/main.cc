// Every test program's main: builds the suites of each backend when the program runs, for the
// registry says which there are, and then hands over to Boost.Test. With --profile=netbsd the
// suites run on the simulated kernel alone, as it answers there.
#define BOOST_TEST_NO_MAIN
#include <boost/test/unit_test.hpp>
#include <iostream>
#include <string_view>

#include "pollard/tests/support/each_backend.h"
#include "pollard/tests/support/watchdog.h"

namespace {

bool init() {
  boost::unit_test::framework::master_test_suite().p_name.value = "pollard";
  pollard::testing::build_backend_suites();
  pollard::testing::install_watchdog();
  return true;
}

// Takes --profile=NAME out of the arguments; the others are Boost.Test's.
bool take_profile(int& argc, char** argv) {
  constexpr std::string_view kFlag = "--profile=";
  int kept = 0;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kFlag)) {
      argv[kept++] = argv[i];
      continue;
    }
    const std::string_view name = argument.substr(kFlag.size());
    if (!pollard::testing::choose_profile(name)) {
      std::cerr << "unknown profile '" << name << "'. Available: linux, freebsd, netbsd, openbsd, "
                << "darwin, worst\n";
      return false;
    }
  }
  argc = kept;
  argv[argc] = nullptr;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (!take_profile(argc, argv)) return 2;
  return boost::unit_test::unit_test_main(init, argc, argv);
}
