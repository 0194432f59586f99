// What the programs of the conformance kit have in common: --poller=NAMES, --kernel=real|sim and
// --profile=SYSTEM.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/platform/process.h"
#include "pollard/testkit/conformance/conformance.h"
#include "pollard/testkit/conformance/system_name.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::conformance {

struct ProgramOptions {
  std::string pollers;
  std::string kernel = "real";
  std::string profile;
};

inline void add_options(CLI::App& app, ProgramOptions& options) {
  app.add_option("--poller", options.pollers,
                 "names, such as epoll or epoll,poll; all that work by default");
  app.add_option("--kernel", options.kernel, "real, or sim: the simulated one, where all work")
      ->check(CLI::IsMember({"real", "sim"}))
      ->capture_default_str();
  std::vector<std::string> profiles;
  for (const std::string_view name : sim::profile_names()) profiles.emplace_back(name);
  app.add_option("--profile", options.profile, "the system that the simulated kernel answers like")
      ->check(CLI::IsMember(profiles));
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
  explicit KernelInForce(const ProgramOptions& options) : profile_(options.profile) {
    platform::raise_descriptor_limit(8192);
    if (options.kernel != "sim") return;
    sim::KernelOptions machine;
    if (!profile_.empty()) machine.profile = *sim::profile_named(profile_);
    simulated_ = std::make_unique<sim::Kernel>(machine);
  }

  /// "Linux 6.1.0 x86_64, real kernel".
  [[nodiscard]] std::string describe() const {
    if (simulated_ == nullptr) return system_name() + ", real kernel";
    return "simulated kernel" + (profile_.empty() ? "" : ", profile " + profile_);
  }

 private:
  std::string profile_;
  std::unique_ptr<sim::Kernel> simulated_;
};

}  // namespace pollard::conformance
