#include "pollard/tests/support/each_backend.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "pollard/poller/registry.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::testing {
namespace {

namespace unit_test = boost::unit_test;

struct Noted {
  Backends backends;
  const char* name;
  EachBackend::Body body;
  const char* file;
  std::size_t line;
  const char* needs_real;
  EachBackend::WhyNot why_not;
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

// Why the backend doesn't work on the kernel in force; its probe runs once, however many cases ask.
std::string reason_against(const PollerBackend& entry) {
  static std::map<std::pair<std::string, bool>, std::string> reasons;
  const std::pair key(entry.name, sim::Kernel::current() != nullptr);
  const auto known = reasons.find(key);
  if (known != reasons.end()) return known->second;
  return reasons.emplace(key, why_unusable(entry)).first->second;
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

// The machine of --profile.
std::optional<sim::KernelOptions>& chosen_machine() {
  static std::optional<sim::KernelOptions> chosen;
  return chosen;
}

// Buffers as long as Linux makes them, unless a profile was chosen, and calls that take what they
// really do on a machine that has other things to do as well.
sim::KernelOptions simulated_machine() {
  sim::KernelOptions options = chosen_machine().value_or(
      sim::KernelOptions{.send_buffer = 2621440, .receive_buffer = 393216});
  options.call_time = std::chrono::microseconds(5);
  return options;
}

// A suite's worth of backend: under which name it is shown, and on which kernel it runs.
struct Subject {
  PollerBackend entry;
  std::string suite;
  bool simulated = false;

  [[nodiscard]] std::string reason_against() const {
    std::optional<sim::Kernel> kernel;
    if (simulated) kernel.emplace(simulated_machine());
    return testing::reason_against(entry);
  }
  [[nodiscard]] bool required() const {
    return !simulated && suite == entry.name && is_required(entry.name);
  }
};

// A suite that has the name of a real backend, and isn't, says so when it begins.
void announce(const Subject& subject) {
  static std::set<std::string> announced;
  if (!subject.simulated || subject.suite != subject.entry.name) return;
  if (!announced.insert(subject.suite).second) return;
  std::cout << "note: " << subject.suite
            << " runs on the simulated kernel, for the real one has none: "
            << testing::reason_against(subject.entry) << std::endl;
}

boost::test_tools::assertion_result may_run(const Subject& subject, const Noted& body) {
  std::string reason = subject.reason_against();
  if (subject.required()) reason.clear();  // the case fails with it
  if (reason.empty() && subject.simulated && *body.needs_real != '\0') {
    reason = std::string("the simulated kernel has no such thing: ") + body.needs_real;
  }
  if (reason.empty() && body.why_not != nullptr) {
    std::optional<sim::Kernel> kernel;
    if (subject.simulated) kernel.emplace(simulated_machine());
    reason = body.why_not();
  }
  boost::test_tools::assertion_result runs(reason.empty());
  if (!runs) runs.message() << reason;
  return runs;
}

void run(const Subject& subject, const Noted& body, Trigger trigger) {
  announce(subject);
  const std::string reason = testing::reason_against(subject.entry);
  BOOST_REQUIRE_MESSAGE(!subject.required() || reason.empty(),
                        "a required poller doesn't work: " << reason);
  std::optional<sim::Kernel> kernel;
  if (subject.simulated) kernel.emplace(simulated_machine());
  body.body({.poller = subject.entry.name, .trigger = trigger});
}

void add_case(const Subject& subject, const std::string& suite, const Noted& body,
              Trigger trigger) {
  auto* const added = unit_test::make_test_case(
      [subject, body, trigger] { run(subject, body, trigger); }, body.name, body.file, body.line);
  added->add_precondition(
      [subject, body](unit_test::test_unit_id) { return may_run(subject, body); });
  suite_named(suite)->add(added);
}

void add_body(const Subject& subject, const Noted& body) {
  const bool edges = subject.entry.capabilities.edge_triggered;
  if (body.backends == Backends::kWithEdges && !edges) return;
  const bool level_only = body.backends == Backends::kAll || !edges;
  add_case(subject, subject.suite, body, level_only ? Trigger::kLevel : Trigger::kEdge);
  if (body.backends == Backends::kEachTrigger && edges) {
    add_case(subject, subject.suite + "-level", body, Trigger::kLevel);
  }
}

void add_cases(const Subject& subject) {
  for (const Noted& body : noted()) add_body(subject, body);
}

// A required name that isn't even registered has no suite that could fail.
void add_missing(const std::string& name) {
  suite_named(name)->add(unit_test::make_test_case(
      [name] { BOOST_FAIL("the required poller '" << name << "' isn't registered"); },
      "is_registered", __FILE__, __LINE__));
}

}  // namespace

EachBackend::EachBackend(Backends backends, const char* name, Body body, const char* file,
                         std::size_t line, const char* needs_real, WhyNot why_not) {
  noted().push_back({backends, name, std::move(body), file, line, needs_real, why_not});
}

bool choose_profile(std::string_view name) {
  if (name == "worst") {
    chosen_machine() = sim::worst_settings();
  } else if (const std::optional<sim::Profile> profile = sim::profile_named(name)) {
    chosen_machine() = sim::KernelOptions{.profile = *profile};
  }
  return chosen_machine().has_value();
}

void build_backend_suites() {
  if (noted().empty()) return;
  const std::vector<PollerBackend> entries = registered_pollers();
  for (const PollerBackend& entry : entries) {
    // Real where it can be; both where both can be. A profile is of the simulated one alone.
    if (chosen_machine().has_value()) {
      add_cases({.entry = entry, .suite = "simulated-" + entry.name, .simulated = true});
      continue;
    }
    const bool real = reason_against(entry).empty() || is_required(entry.name);
    if (real) add_cases({.entry = entry, .suite = entry.name});
    add_cases(
        {.entry = entry, .suite = (real ? "simulated-" : "") + entry.name, .simulated = true});
  }
  if (chosen_machine().has_value()) return;
  for (const std::string& name : required_pollers()) {
    if (std::ranges::find(entries, name, &PollerBackend::name) == entries.end()) add_missing(name);
  }
}

}  // namespace pollard::testing
