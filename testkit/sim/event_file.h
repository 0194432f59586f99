// eventfd(2): a counter that is readable while it isn't zero. Every write is an edge, and a read
// takes it all (or one, with EFD_SEMAPHORE).
#pragma once

#include <cstdint>

#include "pollard/testkit/sim/file.h"

namespace pollard::sim {

class EventFile final : public File {
 public:
  EventFile(Machine& machine, std::uint64_t initial, bool semaphore)
      : File(machine), count_(initial), semaphore_(semaphore) {}

  [[nodiscard]] std::string describe() const override { return "eventfd"; }
  std::uint32_t poll() override;
  FilterState read_filter() override;
  FilterState write_filter() override;
  std::ptrdiff_t read(std::span<std::byte> space) override;
  std::ptrdiff_t write(std::span<const std::byte> bytes) override;

 private:
  static constexpr std::uint64_t kMost = UINT64_MAX - 1;

  std::uint64_t count_;
  bool semaphore_;
};

}  // namespace pollard::sim
