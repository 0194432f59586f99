// Shows which pollers there are, which of them work here, and which one a program would get.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "pollard/poller/registry.h"
#include "support/json.h"
#include "support/options.h"

namespace {

using examples::to_json;

struct Row {
  std::string name;
  std::string reason;  // why it doesn't work; empty if it does
  pollard::PollerCapabilities can;
  std::optional<pollard::Duration> timer_step;
};

// Each is tried, not just named: a kernel or a sandbox may refuse what was compiled in.
std::vector<Row> try_all() {
  std::vector<Row> rows;
  for (const pollard::PollerBackend& entry : pollard::registered_pollers()) {
    Row row{.name = entry.name, .reason = why_unusable(entry), .can = entry.capabilities};
    if (row.reason.empty()) row.timer_step = entry.create()->resolution();
    rows.push_back(row);
  }
  return rows;
}

// What EventLoop({.poller = flag}) would choose here.
struct Outcome {
  pollard::PollerChoice choice;
  std::string poller;  // empty when there is an error
  std::string error;
};

Outcome choose(const pollard::PollerChoice& flag) {
  Outcome outcome{.choice = pollard::effective_choice(flag)};
  try {
    outcome.poller = pollard::resolve(outcome.choice).name;
  } catch (const std::exception& error) {
    outcome.error = error.what();
  }
  return outcome;
}

std::string why(const pollard::PollerChoice& choice) {
  using Source = pollard::PollerChoice::Source;
  if (choice.source == Source::kDefault)
    return "nobody asked for another, and it is the best that works";
  return std::string(to_string(choice.source)) + " asks for \"" + choice.names + '"' +
         (choice.source == Source::kFlag ? ", which goes before POLLARD_POLLER" : "");
}

void print_table(const std::vector<Row>& rows, const std::string& best, const Outcome& outcome) {
  const auto yes = [](bool value) { return value ? "yes" : "no"; };
  std::printf("%-10s %-8s %-9s %-6s %-6s %-16s %-16s %s\n", "poller", "default", "compiled",
              "works", "edges", "scales by ready", "batched changes", "timer step");
  for (const Row& row : rows) {
    // All backends are compiled everywhere; where a system has no such mechanism, trying says so.
    const std::string last =
        row.timer_step.has_value() ? std::to_string(row.timer_step->count()) + " ns" : row.reason;
    std::printf("%-10s %-8s %-9s %-6s %-6s %-16s %-16s %s\n", row.name.c_str(),
                row.name == best ? "yes" : "", "yes", yes(row.reason.empty()),
                yes(row.can.edge_triggered), yes(row.can.scales_with_ready),
                yes(row.can.batched_changes), last.c_str());
  }
  if (outcome.error.empty()) {
    std::printf("\nA loop gets %s: %s.\n", outcome.poller.c_str(), why(outcome.choice).c_str());
  }
}

void print_json(const std::vector<Row>& rows, const std::string& best, const Outcome& outcome) {
  const auto boolean = [](bool value) { return value ? "true" : "false"; };
  std::cout << "{\"pollers\": [";
  for (const Row& row : rows) {
    std::cout << (&row == rows.data() ? "\n" : ",\n") << "  {\"name\": " << to_json(row.name)
              << ", \"compiled_in\": true, \"works\": " << boolean(row.reason.empty())
              << ", \"reason\": " << to_json(row.reason)
              << ", \"edge_triggered\": " << boolean(row.can.edge_triggered)
              << ", \"scales_with_ready\": " << boolean(row.can.scales_with_ready)
              << ", \"batched_changes\": " << boolean(row.can.batched_changes)
              << ", \"timer_step_nanoseconds\": "
              << (row.timer_step.has_value() ? std::to_string(row.timer_step->count()) : "null")
              << ", \"default\": " << boolean(row.name == best) << "}";
  }
  std::cout << "\n],\n\"choice\": {\"asked\": " << to_json(outcome.choice.names)
            << ", \"by\": " << to_json(to_string(outcome.choice.source))
            << ", \"poller\": " << (outcome.error.empty() ? to_json(outcome.poller) : "null")
            << ", \"error\": " << (outcome.error.empty() ? "null" : to_json(outcome.error))
            << "}}\n";
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice flag = pollard::poller_from_args(argc, argv);

  bool json = false;
  examples::Options app(
      "Shows which pollers there are, which of them work here, and which one a loop gets.",
      "Give it --poller=NAMES or POLLARD_POLLER=NAMES to see what they lead to.");
  app.add_flag("--json", json, "the same as JSON");
  if (const auto status = app.parse(argc, argv)) return *status;

  const std::vector<Row> rows = try_all();
  const auto best = std::ranges::find(rows, std::string(), &Row::reason);
  const Outcome outcome = choose(flag);
  (json ? print_json : print_table)(rows, best == rows.end() ? "" : best->name, outcome);
  if (outcome.error.empty()) return 0;
  std::cout.flush();
  std::cerr << "pollers: " << outcome.error << '\n';
  return 1;
} catch (const std::exception& error) {
  std::cerr << "pollers: " << error.what() << '\n';
  return 1;
}
