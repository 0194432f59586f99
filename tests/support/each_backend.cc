#include "pollard/tests/support/each_backend.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "pollard/poller/registry.h"
#include "pollard/tests/support/simulated_kqueue.h"

namespace pollard::testing {
namespace {

namespace unit_test = boost::unit_test;

struct Noted {
  Backends backends;
  const char* name;
  EachBackend::Body body;
  const char* file;
  std::size_t line;
};

// Filled by constructors of statics, whose order among files is open.
std::vector<Noted>& noted() {
  static std::vector<Noted> bodies;
  return bodies;
}

std::vector<std::string> required_pollers() {
  const char* variable = std::getenv("POLLARD_REQUIRED_POLLERS");
  std::istringstream list(variable == nullptr ? "" : variable);
  std::vector<std::string> names;
  for (std::string name; std::getline(list, name, ',');) names.push_back(name);
  return names;
}

bool is_required(const std::string& poller) {
  return std::ranges::count(required_pollers(), poller) != 0;
}

// Why the backend doesn't work here; its probe runs once, however many cases ask.
std::string reason_against(const PollerEntry& entry) {
  static std::map<std::string, std::string> reasons;
  const auto known = reasons.find(entry.name);
  if (known != reasons.end()) return known->second;
  return reasons.emplace(entry.name, why_unusable(entry)).first->second;
}

unit_test::test_suite* suite_named(const std::string& name) {
  static std::map<std::string, unit_test::test_suite*> suites;
  unit_test::test_suite*& suite = suites[name];
  if (suite == nullptr) {
    suite = new unit_test::test_suite(name, __FILE__, __LINE__);
    unit_test::framework::master_test_suite().add(suite);
  }
  return suite;
}

// A suite's worth of backend: under which name it is shown, and what makes it run.
struct Subject {
  PollerEntry entry;
  std::string suite;
  bool simulated = false;

  [[nodiscard]] std::string reason_against() const {
    return simulated ? why_no_simulated_kqueue() : testing::reason_against(entry);
  }
  [[nodiscard]] bool required() const { return !simulated && is_required(entry.name); }
};

void add_case(const Subject& subject, const std::string& suite, const Noted& body,
              Trigger trigger) {
  auto* const added = unit_test::make_test_case(
      [subject, body, trigger] {
        const std::string reason = subject.reason_against();
        BOOST_REQUIRE_MESSAGE(reason.empty(), "a required poller doesn't work: " << reason);
        std::optional<SimulatedKqueue> simulation;
        if (subject.simulated) simulation.emplace();
        body.body({.poller = subject.entry.name, .trigger = trigger});
      },
      body.name, body.file, body.line);
  added->add_precondition([subject](unit_test::test_unit_id) {
    const std::string reason = subject.reason_against();
    boost::test_tools::assertion_result runs(reason.empty() || subject.required());
    if (!runs) runs.message() << reason;
    return runs;
  });
  suite_named(suite)->add(added);
}

void add_cases(const Subject& subject, const Noted& body) {
  const bool edges = subject.entry.capabilities.edge_triggered;
  if (body.backends == Backends::kWithEdges && !edges) return;
  const bool level_only = body.backends == Backends::kAll || !edges;
  add_case(subject, subject.suite, body, level_only ? Trigger::kLevel : Trigger::kEdge);
  if (body.backends == Backends::kEachTrigger && edges) {
    add_case(subject, subject.suite + "-level", body, Trigger::kLevel);
  }
}

// A required name that isn't even registered has no suite that could fail.
void add_missing(const std::string& name) {
  suite_named(name)->add(unit_test::make_test_case(
      [name] { BOOST_FAIL("the required poller '" << name << "' isn't registered"); },
      "is_registered", __FILE__, __LINE__));
}

}  // namespace

EachBackend::EachBackend(Backends backends, const char* name, Body body, const char* file,
                         std::size_t line) {
  noted().push_back({backends, name, body, file, line});
}

void build_backend_suites() {
  if (noted().empty()) return;
  const std::vector<PollerEntry> entries = registered_pollers();
  for (const PollerEntry& entry : entries) {
    for (const Noted& body : noted()) add_cases({.entry = entry, .suite = entry.name}, body);
    // Where there is no kqueue its backend runs all the same, against a simulated one.
    if (entry.name != "kqueue" || reason_against(entry).empty()) continue;
    const Subject simulated{.entry = entry, .suite = "kqueue-simulated", .simulated = true};
    for (const Noted& body : noted()) add_cases(simulated, body);
  }
  for (const std::string& name : required_pollers()) {
    if (std::ranges::find(entries, name, &PollerEntry::name) == entries.end()) add_missing(name);
  }
}

}  // namespace pollard::testing
