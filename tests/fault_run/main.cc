// tests/fault_run: lets each system call and each allocation of a scene fail, one at a time, with
// each error that it may have, as SQLite is tested.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "pollard/base/log.h"
#include "pollard/poller/registry.h"
#include "pollard/tests/fault_run/scenes/temporary_file.h"
#include "pollard/tests/fault_run/sweep.h"

namespace pollard::fault_run {
namespace {

struct Settings {
  std::string program;
  std::string scene = "all";
  std::string poller = "all";
  SweepOptions sweep = {};
  bool only_calls = false;
  bool only_allocations = false;
  bool trace = false;
  bool list = false;
  unsigned seconds_for_a_case = 20;
};

// What a child process tells its parent, also when it dies in the middle of a case.
struct Progress {
  Case at;
  std::array<char, 32> call{};
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
};

std::string command(const Settings& settings, const Scene& scene, const std::string& poller,
                    const Case& one) {
  return settings.program + ' ' + arguments_of(scene, poller, one) + " --trace";
}

void print_failure(const Settings& settings, const Scene& scene, const std::string& poller,
                   const Case& one, const std::string& call,
                   const std::vector<std::string>& problems) {
  std::string what = "without a failure";
  if (one.blow.call != 0) {
    what = "call " + std::to_string(one.blow.call) + ", " + call + ", fails with " +
           name_of(one.blow.error);
  } else if (one.allocation != 0) {
    what = "allocation " + std::to_string(one.allocation) + " fails";
  }
  std::printf("FAILED %s %s: %s\n", std::string(scene.name).c_str(), poller.c_str(), what.c_str());
  for (const std::string& problem : problems) std::printf("  %s\n", problem.c_str());
  std::printf("  again: %s\n", command(settings, scene, poller, one).c_str());
  std::fflush(stdout);
}

// In a child: from the case after `begin` on.
void play_in_child(const Settings& settings, const Scene& scene, const std::string& poller,
                   std::uint64_t begin, bool again, Progress& progress) {
  SweepOptions options = settings.sweep;
  options.poller = poller;
  std::vector<Kind> calls;
  const auto call_of = [&](const Case& one) {
    const bool known = one.blow.call > 0 && one.blow.call <= calls.size();
    return known ? std::string(to_string(calls[one.blow.call - 1])) : std::string();
  };
  sweep(scene, options,
        {.on_case =
             [&](const Case& one) {
               if (one.place != 0 && one.place <= begin) return false;
               progress.at = one;
               std::snprintf(progress.call.data(), progress.call.size(), "%s",
                             call_of(one).c_str());
               ::alarm(settings.seconds_for_a_case);
               return true;
             },
         .on_outcome =
             [&](const Case& one, const Outcome& outcome) {
               if (one.place == 0) {
                 calls = outcome.calls;
                 if (again || (settings.trace && outcome.problems.empty())) return;
               }
               if (settings.trace) {
                 for (const std::string& line : outcome.trace) std::printf("  %s\n", line.c_str());
               }
               ++(outcome.problems.empty() ? progress.passed : progress.failed);
               if (!outcome.problems.empty()) {
                 const std::string call = outcome.struck.has_value()
                                              ? std::string(to_string(*outcome.struck))
                                              : call_of(one);
                 print_failure(settings, scene, poller, one, call, outcome.problems);
               }
             }});
}

// One scene on one backend, in child processes: one that dies costs a case, and no more.
Progress play_scene(const Settings& settings, const Scene& scene, const std::string& poller) {
  void* const shared =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::bad_alloc();
  auto& progress = *new (shared) Progress;
  std::uint64_t begin = 0;
  for (bool again = false;; again = true) {
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
      play_in_child(settings, scene, poller, begin, again, progress);
      std::fflush(stdout);
      ::_exit(0);
    }
    int status = 0;
    static_cast<void>(::waitpid(child, &status, 0));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    ++progress.failed;
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const std::string how = signal == SIGALRM ? "hangs: it has no end"
                            : signal != 0
                                ? "the process dies by signal " + std::to_string(signal)
                                : "the process ends with " + std::to_string(WEXITSTATUS(status));
    print_failure(settings, scene, poller, progress.at, progress.call.data(), {how});
    if (progress.at.place == 0) break;
    begin = progress.at.place;
  }
  const Progress result = progress;
  ::munmap(shared, sizeof(Progress));
  return result;
}

std::vector<std::string> chosen_pollers(const Settings& settings) {
  std::vector<std::string> names;
  for (const PollerBackend& entry : registered_pollers()) {
    if (settings.poller == "all" || settings.poller == entry.name) names.push_back(entry.name);
  }
  return names;
}

int run(const Settings& settings) {
  const std::vector<std::string> pollers = chosen_pollers(settings);
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  static_cast<void>(TemporaryFile::shared());  // ours to remove, and not a child's
  for (const Scene& scene : scenes()) {
    if (settings.scene != "all" && settings.scene != scene.name) continue;
    for (const std::string& poller : pollers) {
      const Progress progress = play_scene(settings, scene, poller);
      passed += progress.passed;
      failed += progress.failed;
      std::printf("%-20s %-8s %6llu passed, %llu failed\n", std::string(scene.name).c_str(),
                  poller.c_str(), static_cast<unsigned long long>(progress.passed),
                  static_cast<unsigned long long>(progress.failed));
    }
  }
  if (passed + failed == 0) {
    std::fprintf(stderr, "fault_run: no such scene or poller; --list names the scenes\n");
    return 2;
  }
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}

int main_of_program(int argc, char** argv) {
  CLI::App app{
      "Plays scenes on a simulated kernel, and lets the n-th system call or the n-th allocation "
      "fail, for each n and\neach error that the call may have. Checks that nothing crashes, "
      "hangs, spins or leaks, that handlers run once and\nin order, that no lost byte looks like "
      "an end in good order, and that the loop and its other connection live on."};
  Settings settings{.program = argv[0]};
  app.add_option("--scene", settings.scene, "one scene, or all")->capture_default_str();
  app.add_option("--poller", settings.poller, "one backend, or all")->capture_default_str();
  app.add_option("--call", settings.sweep.only_call, "only the call with this number");
  app.add_option("--errno", settings.sweep.only_error, "only this error");
  app.add_option("--allocation", settings.sweep.only_allocation, "only this allocation");
  app.add_flag("--calls", settings.only_calls, "no allocations");
  app.add_flag("--allocations", settings.only_allocations, "no calls");
  app.add_flag("--one-error", settings.sweep.one_error,
               "one error for each call, and every third allocation: a part of all");
  app.add_flag("--trace", settings.trace, "show the calls of each case");
  app.add_flag("--list", settings.list, "name the scenes");
  app.add_option("--seconds", settings.seconds_for_a_case, "a case that takes longer hangs")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (settings.list) {
    for (const Scene& scene : scenes()) {
      std::printf("%-20s %s\n", std::string(scene.name).c_str(), std::string(scene.about).c_str());
    }
    return 0;
  }
  settings.sweep.trace = settings.trace;
  settings.sweep.calls = !settings.only_allocations && settings.sweep.only_allocation == 0;
  settings.sweep.allocations = !settings.only_calls && settings.sweep.only_call == 0;
  set_log_sink([](LogLevel, std::string_view) {});
  return run(settings);
}

}  // namespace
}  // namespace pollard::fault_run

int main(int argc, char** argv) { return pollard::fault_run::main_of_program(argc, argv); }
