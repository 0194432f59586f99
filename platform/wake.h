// The descriptor by which another thread ends a loop's sleep: an eventfd where the system has one,
// else a pipe.
#pragma once

#include <system_error>

#include "pollard/platform/descriptor.h"

namespace pollard::platform {

/// Any number of threads may ring; one listens.
class WakeDescriptor {
 public:
  /// Throws std::system_error naming the call when the process is out of descriptors.
  WakeDescriptor();

  /// What a poller is to watch for reading.
  [[nodiscard]] int fd() const { return read_.get(); }

  /// Makes fd() readable: one system call. Any thread, also inside a signal handler.
  void wake() noexcept;

  /// Makes fd() unreadable again.
  void drain() noexcept;

  /// Whether each wake() is an edge of its own although nothing was drained: an eventfd on Linux,
  /// which counts to 2^64. A pipe would fill up and fall silent.
  [[nodiscard]] bool rings_undrained() const;

 private:
  Descriptor read_;
  Descriptor write_;  // empty for an eventfd, which is both ends
};

}  // namespace pollard::platform
