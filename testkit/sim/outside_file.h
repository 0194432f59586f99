// A descriptor of the real kernel, seen from the simulated one. A regular file is always ready, as
// on Linux, and so is a device that is no terminal; epoll refuses both. Whatever else it is, nobody
// here would hear of it: it can't be waited for.
#pragma once

#include "pollard/testkit/sim/file.h"

namespace pollard::sim {

class OutsideFile final : public File {
 public:
  OutsideFile(Machine& machine, int fd);

  [[nodiscard]] std::string describe() const override { return "a file of the real kernel"; }
  std::uint32_t poll() override;
  FilterState read_filter() override;
  FilterState write_filter() override;
  [[nodiscard]] bool epollable() const override { return false; }

 private:
  int fd_;
  bool ready_;
};

}  // namespace pollard::sim
