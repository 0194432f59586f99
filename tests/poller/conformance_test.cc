// The contract of Poller on every backend: each promise of the conformance kit is a case, and so is
// agreeing with each of the other backends.
#include "pollard/testkit/conformance/conformance.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/testkit/conformance/differential.h"
#include "pollard/tests/support/each_backend.h"

namespace pollard::testing {
namespace {

using conformance::Promise;
using conformance::Subject;
using conformance::Verdict;

void expect_no_deviation(const conformance::Finding& finding) {
  BOOST_TEST((finding.verdict != Verdict::kDoesNotHold), finding.reason);
  if (finding.verdict == Verdict::kNotSupported) BOOST_TEST_MESSAGE(finding.reason);
}

Backends backends_of(const Promise& promise) {
  return promise.needs == conformance::Needs::kEdges ? Backends::kWithEdges : Backends::kAll;
}

const char* reason_for_real_kernel(const Promise& promise) {
  return promise.needs == conformance::Needs::kRealKernel ? "signals and other processes" : "";
}

// For the constructor of a static: the kit's promises are listed by a function.
struct PromisesOnEachBackend {
  PromisesOnEachBackend() {
    for (const Promise& promise : conformance::promises()) {
      const EachBackend noted(
          backends_of(promise), promise.name,
          [promise](const BackendCase& backend) {
            expect_no_deviation(check(promise, conformance::registered_subject(backend.poller)));
          },
          __FILE__, __LINE__, reason_for_real_kernel(promise));
    }
  }
};
const PromisesOnEachBackend kPromises;

// The backends of ours that work here: other tests register others.
std::vector<Subject> others_of(const std::string& backend) {
  std::vector<Subject> others = conformance::usable_subjects();
  std::erase_if(others, [&](const Subject& other) {
    constexpr std::string_view kOurs[] = {"epoll", "kqueue", "poll", "select"};
    return other.name == backend || std::ranges::count(kOurs, other.name) == 0;
  });
  return others;
}

void compare_with_others(const std::string& backend, Trigger trigger) {
  const Subject own = conformance::registered_subject(backend);
  for (const Subject& other : others_of(backend)) {
    BOOST_TEST_CONTEXT(other.name) {
      expect_no_deviation(conformance::compare(own, other, {.trigger = trigger}));
    }
  }
}

POLLARD_EACH_BACKEND(agrees_with_every_other_backend) {
  compare_with_others(backend, Trigger::kLevel);
}

POLLARD_EACH_EDGE_BACKEND(agrees_with_every_other_backend_that_has_edges) {
  compare_with_others(backend, Trigger::kEdge);
  const Subject own = conformance::registered_subject(backend);
  expect_no_deviation(conformance::compare(own, own, {.trigger = Trigger::kEdge}));
}

}  // namespace
}  // namespace pollard::testing
