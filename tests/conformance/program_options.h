// What the programs of the conformance kit have in common: --poller=NAMES and --kernel=real|sim.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "pollard/platform/process.h"
#include "pollard/platform/sim/kernel.h"
#include "pollard/tests/conformance/conformance.h"
#include "pollard/tests/conformance/system_name.h"

namespace pollard::conformance {

struct ProgramOptions {
  std::string pollers;
  std::string kernel = "real";
};

inline void add_options(CLI::App& app, ProgramOptions& options) {
  app.add_option("--poller", options.pollers,
                 "names, such as epoll or epoll,poll; all that work by default");
  app.add_option("--kernel", options.kernel, "real, or sim: the simulated one, where all work")
      ->check(CLI::IsMember({"real", "sim"}))
      ->capture_default_str();
}

/// Each of the names that the user wrote, or all that work on the kernel in force.
inline std::vector<Subject> subjects_of(const std::string& names) {
  if (names.empty()) return usable_subjects();
  std::vector<Subject> subjects;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ',');) {
    subjects.push_back(registered_subject(name));
  }
  return subjects;
}

/// The kernel that was asked for, in force while it lives.
class KernelInForce {
 public:
  explicit KernelInForce(const std::string& name) {
    platform::raise_descriptor_limit(8192);
    if (name == "sim") simulated_ = std::make_unique<sim::Kernel>();
  }

  /// "Linux 6.1.0 x86_64, real kernel".
  [[nodiscard]] std::string describe() const {
    return simulated_ == nullptr ? system_name() + ", real kernel" : "simulated kernel";
  }

 private:
  std::unique_ptr<sim::Kernel> simulated_;
};

}  // namespace pollard::conformance
