// The scenes: small programs that use one part of the library each, and know what they may expect.
#pragma once

#include <span>
#include <string_view>

#include "pollard/tests/fault_run/stage.h"

namespace pollard::fault_run {

struct Scene {
  std::string_view name;
  std::string_view about;
  void (*play)(Stage& stage);
  /// Other threads take part, so that two runs may differ in the order of their calls.
  bool threads = false;
};

/// All of them, by name.
[[nodiscard]] std::span<const Scene> scenes();

}  // namespace pollard::fault_run
