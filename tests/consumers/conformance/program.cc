#include <iostream>

#include "pollard/poller/registry.h"
#include "pollard/testkit/conformance/conformance.h"
#include "pollard/testkit/sim/kernel.h"

namespace {

using namespace pollard::conformance;

// A backend of your own would make one of its class here.
Subject mine() {
  return subject("mine", pollard::resolve("poll").capabilities,
                 [] { return pollard::make_poller("poll"); });
}

bool keeps_its_promises() {
  const Report report = run({mine()}, {.promise = "a_level"});
  print(std::cout, report);
  return !report.rows.empty() && report.failed() == 0;
}

}  // namespace

int main() {
  if (!keeps_its_promises()) return 1;
  const pollard::sim::Kernel kernel;
  return keeps_its_promises() ? 0 : 1;
}
