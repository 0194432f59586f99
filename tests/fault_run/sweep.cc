#include "pollard/tests/fault_run/sweep.h"

#include <vector>

namespace pollard::fault_run {
namespace {

// No scene allocates more often.
constexpr std::uint64_t kMostAllocations = 3000;

// A scene under a failure makes more calls than without: it tries again, and waits.
std::uint64_t most_calls(const Outcome& undisturbed) {
  return undisturbed.calls.size() * 20 + 5000;
}

std::vector<int> errors_of(Kind kind, std::uint64_t call, const SweepOptions& options) {
  if (options.only_error != 0) return {options.only_error};
  std::vector<int> errors;
  for (const Failure& failure : failures_of(kind)) errors.push_back(failure.error);
  if (options.one_error && !errors.empty()) {
    return {errors[(call * 7 + static_cast<std::uint64_t>(kind)) % errors.size()]};
  }
  return errors;
}

void play_case(const Scene& scene, Play play, const Case& one, const SweepHandlers& handlers) {
  if (!handlers.on_case(one)) return;
  play.blow = one.blow;
  play.allocation = one.allocation;
  handlers.on_outcome(one, fault_run::play(scene, play));
}

void sweep_calls(const Scene& scene, const SweepOptions& options, const Play& play,
                 const std::vector<Kind>& calls, std::uint64_t& place,
                 const SweepHandlers& handlers) {
  for (std::uint64_t call = 1; call <= calls.size(); ++call) {
    if (options.only_call != 0 && call != options.only_call) continue;
    for (const int error : errors_of(calls[call - 1], call, options)) {
      play_case(scene, play, {.place = ++place, .blow = {.call = call, .error = error}}, handlers);
    }
  }
}

void sweep_allocations(const Scene& scene, const SweepOptions& options, const Play& play,
                       std::uint64_t& place, const SweepHandlers& handlers) {
  const std::uint64_t step = options.one_error ? 3 : 1;
  bool failed = true;
  SweepHandlers watched = handlers;
  watched.on_outcome = [&](const Case& one, const Outcome& outcome) {
    failed = outcome.allocation_failed;
    handlers.on_outcome(one, outcome);
  };
  const std::uint64_t first = options.only_allocation != 0 ? options.only_allocation : 1;
  const std::uint64_t last = options.only_allocation != 0 ? first : kMostAllocations;
  for (std::uint64_t which = first; failed && which <= last; which += step) {
    play_case(scene, play, {.place = ++place, .allocation = which}, watched);
  }
}

}  // namespace

bool sweep(const Scene& scene, const SweepOptions& options, const SweepHandlers& handlers) {
  Play undisturbed{.poller = options.poller, .trace = options.trace};
  Outcome first;
  if (handlers.on_case({})) {
    first = play(scene, undisturbed);
    handlers.on_outcome({}, first);
  }
  if (!first.problems.empty()) return false;
  Play with_limit = undisturbed;
  with_limit.most_calls = most_calls(first);
  std::uint64_t place = 0;
  if (options.calls) sweep_calls(scene, options, with_limit, first.calls, place, handlers);
  if (options.allocations) sweep_allocations(scene, options, with_limit, place, handlers);
  return true;
}

std::string arguments_of(const Scene& scene, const std::string& poller, const Case& one) {
  std::string text = "--scene=" + std::string(scene.name) + " --poller=" + poller;
  if (one.blow.call != 0) {
    text += " --call=" + std::to_string(one.blow.call);
    text += " --errno=" + std::to_string(one.blow.error);
  }
  if (one.allocation != 0) text += " --allocation=" + std::to_string(one.allocation);
  return text;
}

}  // namespace pollard::fault_run
