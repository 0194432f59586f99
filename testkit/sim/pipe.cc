#include "pollard/testkit/sim/pipe.h"

#include <algorithm>

#include "pollard/testkit/sim/machine.h"

namespace pollard::sim {
namespace {
constexpr std::size_t kAtomic = 4096;  // PIPE_BUF
}

PipeEnd::Ends PipeEnd::make(Machine& machine, std::size_t capacity) {
  const auto shared = std::make_shared<Shared>(Shared{.capacity = capacity});
  Ends ends;
  ends.read.reset(new PipeEnd(machine, shared, true));
  ends.write.reset(new PipeEnd(machine, shared, false));
  shared->reader = ends.read.get();
  shared->writer = ends.write.get();
  return ends;
}

std::string PipeEnd::describe() const { return reads_ ? "pipe, reading end" : "pipe, writing end"; }

std::size_t PipeEnd::least_room() const { return std::min(kAtomic, shared_->capacity); }

std::uint32_t PipeEnd::poll() {
  std::uint32_t bits = 0;
  if (reads_) {
    if (!shared_->bytes.empty()) bits |= kReadable;
    if (shared_->writer == nullptr) bits |= kEpollHangup;
  } else {
    if (room() >= least_room()) bits |= kWritable;
    if (shared_->reader == nullptr) {
      const bool hangs_up = machine().options.profile.pipe_end_poll == PipeEndPoll::kHangup;
      bits |= hangs_up ? kWritable | kEpollHangup : kEpollError;
    }
  }
  return bits;
}

FilterState PipeEnd::read_filter() {
  if (!reads_) return {};
  const bool end = shared_->writer == nullptr;
  return {.active = end || !shared_->bytes.empty(),
          .data = static_cast<std::int64_t>(shared_->bytes.size()),
          .end = end};
}

FilterState PipeEnd::write_filter() {
  if (reads_) return {};
  const bool end = shared_->reader == nullptr;
  const bool full = room() < least_room();
  if (full && machine().options.profile.full_pipe_hides_reader_end) return {};
  return {.active = end || !full, .data = end ? 0 : static_cast<std::int64_t>(room()), .end = end};
}

int PipeEnd::refuses_filter(bool writing) const {
  const Profile& profile = machine().options.profile;
  if (writing == reads_) return profile.refuses_wrong_pipe_end ? -EINVAL : 0;
  if (reads_ || shared_->reader != nullptr) return 0;
  switch (profile.readerless_pipe) {
    case ReaderlessPipe::kAccepted: return 0;
    case ReaderlessPipe::kRefusedEpipe: return -EPIPE;
    case ReaderlessPipe::kRefusedEbadf: return -EBADF;
  }
  return 0;
}

std::ptrdiff_t PipeEnd::read(std::span<std::byte> space) {
  if (!reads_) return -EBADF;
  if (space.empty()) return 0;
  if (shared_->bytes.empty()) return shared_->writer == nullptr ? 0 : -EAGAIN;
  const bool was_full = room() < least_room();
  const std::size_t count = shared_->bytes.copy_front(space);
  shared_->bytes.drop(count);
  if (machine().options.profile.pipe_edge_after_read) notify({.read_filter = true});
  if (shared_->writer != nullptr) {
    // Linux wakes a writer that had no room; a filter wants to know of any.
    const bool has_room = room() >= least_room();
    shared_->writer->notify({.bits = was_full && has_room ? kWritable : 0, .write_filter = true});
  }
  return static_cast<std::ptrdiff_t>(count);
}

std::ptrdiff_t PipeEnd::write(std::span<const std::byte> bytes) {
  if (reads_) return -EBADF;
  if (shared_->reader == nullptr) return -EPIPE;
  if (bytes.empty()) return 0;
  const std::size_t count = std::min(bytes.size(), room());
  if (count == 0 || (bytes.size() <= least_room() && count < bytes.size())) return -EAGAIN;
  shared_->bytes.append(bytes.first(count));
  shared_->reader->notify(kInput);
  return static_cast<std::ptrdiff_t>(count);
}

void PipeEnd::closed() {
  (reads_ ? shared_->reader : shared_->writer) = nullptr;
  PipeEnd* const other = reads_ ? shared_->writer : shared_->reader;
  if (other != nullptr) other->notify(kEverything);
}

}  // namespace pollard::sim
