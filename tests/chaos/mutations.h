// The library as it would be with a fault of its own, by what stands between it and its kernel:
// each of these breaks one promise that it relies on, or one that it gives.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace pollard::chaos {

struct Mutation {
  std::string_view name;
  std::string_view backends;  ///< which rely on it: names, or "all"
  /// In force while what it returns lives.
  std::shared_ptr<void> (*install)();

  [[nodiscard]] bool concerns(std::string_view poller) const {
    return backends == "all" ||
           (' ' + std::string(backends) + ' ').find(' ' + std::string(poller) + ' ') !=
               std::string::npos;
  }
};

[[nodiscard]] std::span<const Mutation> mutations();

}  // namespace pollard::chaos
