// tests/chaos: servers, clients and connectors against each other on a simulated kernel that has a
// bad day, each seed another one. What a seed does it does again: `--seed=N --trace` shows it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pollard/base/log.h"
#include "pollard/poller/registry.h"
#include "pollard/tests/chaos/run.h"

namespace pollard::chaos {
namespace {

struct Settings {
  std::string program;
  std::string poller = "all";
  std::uint64_t seeds = 200;
  std::uint64_t first_seed = 1;
  double seconds = 0;
  std::optional<std::uint64_t> seed = {};
  bool trace = false;
  bool real_kernel = false;
};

struct Total {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t connections = 0;
  std::uint64_t bytes = 0;
  std::uint64_t calls = 0;
  std::map<std::string, std::uint64_t> faults;

  void add(const Outcome& outcome) {
    ++(outcome.problems.empty() ? passed : failed);
    connections += outcome.connections;
    bytes += outcome.bytes;
    calls += outcome.calls;
    for (const auto& [fault, count] : outcome.faults) faults[fault] += count;
  }
};

std::string replay_command(const std::string& program, const RunOptions& options) {
  return program + " --poller=" + options.poller + " --seed=" + std::to_string(options.seed) +
         (options.real_kernel ? " --real-kernel" : "") + " --trace";
}

// An assertion ends the program in the middle of a seed: then this names it.
std::array<char, 256> last_words{};

void on_abort(int) {
  static_cast<void>(!write(STDERR_FILENO, last_words.data(), std::strlen(last_words.data())));
}

void prepare_last_words(const std::string& again) {
  const std::string words = "chaos: the program was aborted; again: " + again + "\n";
  std::strncpy(last_words.data(), words.c_str(), last_words.size() - 1);
}

void print_trace(const Outcome& outcome) {
  for (const std::string& line : outcome.trace) std::printf("  %s\n", line.c_str());
}

void print_problems(const RunOptions& options, const Outcome& outcome, const std::string& again) {
  std::printf("FAILED %s seed %llu\n", options.poller.c_str(),
              static_cast<unsigned long long>(options.seed));
  for (const std::string& problem : outcome.problems) std::printf("  %s\n", problem.c_str());
  std::printf("  again: %s\n", again.c_str());
}

// One seed; when it fails, its end is shown by playing it once more.
void play(const Settings& settings, RunOptions options, Total& total) {
  constexpr std::size_t kLastLines = 40;
  const std::string again = replay_command(settings.program, options);
  prepare_last_words(again);
  if (settings.trace) options.trace_lines = SIZE_MAX;
  const Outcome outcome = run_seed(options);
  total.add(outcome);
  if (settings.trace) print_trace(outcome);
  if (outcome.problems.empty()) return;
  print_problems(options, outcome, again);
  if (settings.trace || options.real_kernel) return;
  std::printf("  the last lines of its trace:\n");
  options.trace_lines = kLastLines;
  print_trace(run_seed(options));
}

std::vector<std::string> chosen_pollers(const Settings& settings) {
  std::vector<std::string> names;
  for (const PollerBackend& entry : registered_pollers()) {
    const bool works = !settings.real_kernel || why_unusable(entry).empty();
    if (settings.poller == entry.name || (settings.poller == "all" && works)) {
      names.push_back(entry.name);
    }
  }
  return names;
}

void print_total(const std::string& poller, const Total& total) {
  std::printf("%s: %llu seeds, %llu failed; %llu ends of connections, %llu bytes, %llu calls\n",
              poller.c_str(), static_cast<unsigned long long>(total.passed + total.failed),
              static_cast<unsigned long long>(total.failed),
              static_cast<unsigned long long>(total.connections),
              static_cast<unsigned long long>(total.bytes),
              static_cast<unsigned long long>(total.calls));
  std::string faults;
  for (const auto& [fault, count] : total.faults) {
    faults += (faults.empty() ? "" : ", ") + fault + ' ' + std::to_string(count);
  }
  std::printf("  befallen: %s\n", faults.c_str());
  std::fflush(stdout);
}

// The seeds of one backend: so many, or for so long.
Total play_poller(const Settings& settings, const std::string& poller, std::size_t pollers) {
  using Clock = std::chrono::steady_clock;
  const std::chrono::duration<double> limit(settings.seconds / static_cast<double>(pollers));
  const auto began = Clock::now();
  Total total;
  RunOptions options{.poller = poller, .real_kernel = settings.real_kernel};
  for (std::uint64_t i = 0;; ++i) {
    const bool over = settings.seconds > 0 ? Clock::now() - began >= limit : i >= settings.seeds;
    if (over) break;
    options.seed = settings.first_seed + i;
    play(settings, options, total);
  }
  print_total(poller, total);
  return total;
}

int run(const Settings& settings) {
  const std::vector<std::string> pollers = chosen_pollers(settings);
  if (pollers.empty()) {
    std::fprintf(stderr, "chaos: no poller '%s'; there are: all", settings.poller.c_str());
    for (const PollerBackend& entry : registered_pollers()) {
      std::fprintf(stderr, ", %s", entry.name.c_str());
    }
    std::fprintf(stderr, "\n");
    return 2;
  }
  Total all;
  for (const std::string& poller : pollers) {
    const Total total = play_poller(settings, poller, pollers.size());
    all.passed += total.passed;
    all.failed += total.failed;
  }
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(all.passed),
              static_cast<unsigned long long>(all.failed));
  return all.failed == 0 ? 0 : 1;
}

int main_of_program(int argc, char** argv) {
  CLI::App app{
      "Runs servers, clients and connectors against each other on a simulated kernel that has a "
      "bad "
      "day: every\nseed is another one, and the same each time. Checks that bytes arrive in order "
      "and once, that handlers come\nin the promised order, that nothing spins and that nothing is "
      "left. A failing seed is named with the command\nthat plays it again."};
  Settings settings{.program = argv[0]};
  app.add_option("--poller", settings.poller, "the backend, or all of them")->capture_default_str();
  app.add_option("--seeds", settings.seeds, "how many seeds on each backend")
      ->capture_default_str();
  app.add_option("--first-seed", settings.first_seed, "the first of them")->capture_default_str();
  app.add_option("--seconds", settings.seconds, "instead of --seeds: for so long in all")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed, "this seed alone");
  app.add_flag("--trace", settings.trace, "show every call, fault and handler");
  app.add_flag("--real-kernel", settings.real_kernel,
               "on this machine's kernel, where a seed is never the same twice");
  CLI11_PARSE(app, argc, argv);
  if (settings.seed.has_value()) {
    settings.first_seed = *settings.seed;
    settings.seeds = 1;
    settings.seconds = 0;
  }
  // The bad days are ours, and known.
  set_log_sink({}, LogLevel::kError);
  std::signal(SIGABRT, on_abort);
  return run(settings);
}

}  // namespace
}  // namespace pollard::chaos

int main(int argc, char** argv) { return pollard::chaos::main_of_program(argc, argv); }
