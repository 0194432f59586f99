// What the server's process has used so far, as the system counts it.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace load {

class ServerProcess {
 public:
  /// Zero: nobody's, and all answers are zero.
  explicit ServerProcess(pid_t process);

  /// Processor time of all its threads, in nanoseconds.
  [[nodiscard]] std::int64_t processor_time() const;

  /// Memory of its own that is resident: what it allocated and has touched, in bytes.
  [[nodiscard]] std::int64_t memory() const;

 private:
  pid_t process_;
  clockid_t clock_{};
};

}  // namespace load
