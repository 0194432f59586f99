// From what a check meets to its finding.
#pragma once

#include <exception>
#include <string>

#include "pollard/testkit/conformance/conformance.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {

/// Runs a check to its end, or to the exception that ends it.
template <class Check>
Finding find_out(Check check) {
  try {
    check();
    return {};
  } catch (const NotSupported& reason) {
    return {Verdict::kNotSupported, reason.what()};
  } catch (const Broken& failure) {
    return {Verdict::kDoesNotHold, failure.what()};
  } catch (const std::exception& error) {
    return {Verdict::kDoesNotHold, std::string("the check could not go on: ") + error.what()};
  }
}

}  // namespace pollard::conformance
