// Ends the loop's sleep when another thread rings. Where an eventfd's edges suffice, nothing is
// read.
#pragma once

#include <cstdint>

#include "pollard/net/loop/internal/watcher.h"
#include "pollard/platform/wake.h"

namespace pollard {

/// Watches while it lives. The loop's thread.
class WakeWatcher final : public Watcher {
 public:
  /// Throws std::system_error when the descriptor can't be watched.
  WakeWatcher(EventLoop& loop, platform::WakeDescriptor& descriptor);

  /// How often it has rung.
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  void on_ready(Readiness ready) override;

  platform::WakeDescriptor& descriptor_;
  std::uint64_t count_ = 0;
};

}  // namespace pollard
