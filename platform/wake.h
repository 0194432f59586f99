// The descriptor by which another thread ends a loop's sleep: an eventfd where the system has one,
// else a pipe.
#pragma once

#include <system_error>

#include "pollard/platform/descriptor.h"

namespace pollard::platform {

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

 private:
  Descriptor read_;
  Descriptor write_;  // empty for an eventfd, which is both ends
};

}  // namespace pollard::platform
