// pipe(2): bytes go in at one end and come out at the other. The writer has room when a whole
// PIPE_BUF fits; writes of up to so much are all or nothing.
#pragma once

#include <memory>

#include "pollard/testkit/sim/byte_queue.h"
#include "pollard/testkit/sim/file.h"

namespace pollard::sim {

class PipeEnd final : public File {
 public:
  struct Ends {
    std::shared_ptr<PipeEnd> read;
    std::shared_ptr<PipeEnd> write;
  };
  static Ends make(Machine& machine, std::size_t capacity);

  [[nodiscard]] std::string describe() const override;
  std::uint32_t poll() override;
  FilterState read_filter() override;
  FilterState write_filter() override;
  [[nodiscard]] int refuses_filter(bool writing) const override;
  std::ptrdiff_t read(std::span<std::byte> space) override;
  std::ptrdiff_t write(std::span<const std::byte> bytes) override;

 private:
  struct Shared {
    std::size_t capacity;
    ByteQueue bytes;
    PipeEnd* reader = nullptr;  // null once it has closed
    PipeEnd* writer = nullptr;
  };

  PipeEnd(Machine& machine, std::shared_ptr<Shared> shared, bool reads)
      : File(machine), shared_(std::move(shared)), reads_(reads) {}

  void closed() override;
  [[nodiscard]] std::size_t room() const { return shared_->capacity - shared_->bytes.size(); }
  [[nodiscard]] std::size_t least_room() const;

  std::shared_ptr<Shared> shared_;
  bool reads_;
};

}  // namespace pollard::sim
