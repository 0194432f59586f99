// No test hangs: a case that runs for too long is named on standard error, and the program aborts.
// The environment variable POLLARD_TEST_PATIENCE is how many times longer than usual is too long.
#pragma once

#include <chrono>

namespace pollard::testing {

/// Watches every test case of this program; main() calls it.
void install_watchdog();

/// Gives the test case that runs now this long from now on, instead of 30 seconds from its
/// beginning.
void allow_time(std::chrono::seconds limit);

}  // namespace pollard::testing
