// All failures of a scene on one backend, each played in turn.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "pollard/tests/fault_run/run.h"

namespace pollard::fault_run {

/// What is played of a scene.
struct SweepOptions {
  std::string poller;
  /// One error for each call instead of all that it has; they take turns along the scene.
  bool one_error = false;
  /// The n-th system calls, the n-th allocations, or both.
  bool calls = true;
  bool allocations = true;
  /// Only the call with this number; zero: all.
  std::uint64_t only_call = 0;
  /// Only this error; zero: all that the call may answer.
  int only_error = 0;
  /// Only this allocation; zero: all.
  std::uint64_t only_allocation = 0;
  /// Keep a trace of each.
  bool trace = false;
};

/// One failure of a scene: its place in the sweep, and what it is.
struct Case {
  std::uint64_t place = 0;
  Blow blow = {};
  std::uint64_t allocation = 0;
};

/// What a sweep calls.
struct SweepHandlers {
  /// Before each; false: it is left out.
  std::function<bool(const Case&)> on_case;
  /// After each.
  std::function<void(const Case&, const Outcome&)> on_outcome;
};

/// Plays the scene without a failure, and then with each of them. False when it doesn't succeed
/// without one.
bool sweep(const Scene& scene, const SweepOptions& options, const SweepHandlers& handlers);

/// The arguments of the program that play one case again.
[[nodiscard]] std::string arguments_of(const Scene& scene, const std::string& poller,
                                       const Case& one);

}  // namespace pollard::fault_run
