// For tests in which the library has much to say that is meant to happen.
#pragma once

#include "pollard/base/log.h"

namespace pollard::testing {

/// While it lives, warnings are not shown.
struct Quiet {
  Quiet() { set_log_sink({}, LogLevel::kError); }
  ~Quiet() { set_log_sink({}); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};

}  // namespace pollard::testing
