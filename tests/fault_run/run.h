// One scene, once, with one failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pollard/tests/fault_run/scenes.h"

namespace pollard::fault_run {

struct Outcome {
  std::vector<std::string> problems;
  std::vector<Kind> calls;         ///< in their order
  std::optional<Kind> struck;      ///< nothing when the failure had no place
  bool allocation_failed = false;  ///< there were so many allocations
  std::vector<std::string> trace;
};

[[nodiscard]] Outcome play(const Scene& scene, const Play& play);

}  // namespace pollard::fault_run
