// The lists that promises() is put together from, a file for each part of the contract.
#pragma once

#include <cstddef>
#include <vector>

#include "pollard/testkit/conformance/conformance.h"

namespace pollard::conformance {

/// Indices of chapters().
enum Chapter : std::size_t {
  kLevels,
  kOneEvent,
  kMeaning,
  kPause,
  kEnded,
  kRefusals,
  kTimeouts,
  kFailures,
  kEdges,
  kChanges,
  kBatches,
  kProcesses,
  kChapters
};

[[nodiscard]] std::vector<Promise> level_promises();
[[nodiscard]] std::vector<Promise> transition_promises();
[[nodiscard]] std::vector<Promise> meaning_promises();
[[nodiscard]] std::vector<Promise> end_of_stream_promises();
[[nodiscard]] std::vector<Promise> ended_registration_promises();
[[nodiscard]] std::vector<Promise> refusal_promises();
[[nodiscard]] std::vector<Promise> wait_promises();
[[nodiscard]] std::vector<Promise> edge_promises();
[[nodiscard]] std::vector<Promise> batch_promises();
[[nodiscard]] std::vector<Promise> process_promises();
[[nodiscard]] std::vector<Promise> random_promises();

}  // namespace pollard::conformance

/// An entry of a list, named like the function that checks it.
#define POLLARD_PROMISE(chapter, function, ...)                                     \
  ::pollard::conformance::Promise {                                                 \
    ::pollard::conformance::chapter, #function, function __VA_OPT__(, ) __VA_ARGS__ \
  }
