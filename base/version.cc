#include "pollard/base/version.h"

namespace pollard {

// MODULE.bazel has the number that everything else is made from; tests/consumers/run compares.
std::string_view version() noexcept { return "0.1.0"; }

}  // namespace pollard
