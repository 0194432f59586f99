#include "pollard/testkit/sim/event_file.h"

#include <cstring>
#include <utility>

namespace pollard::sim {

std::uint32_t EventFile::poll() {
  std::uint32_t bits = 0;
  if (count_ > 0) bits |= kEpollIn;
  if (count_ < kMost) bits |= kEpollOut;
  return bits;
}

FilterState EventFile::read_filter() {
  return {.active = count_ > 0, .data = static_cast<std::int64_t>(count_)};
}

FilterState EventFile::write_filter() {
  return {.active = count_ < kMost, .data = static_cast<std::int64_t>(kMost - count_)};
}

std::ptrdiff_t EventFile::read(std::span<std::byte> space) {
  if (space.size() < sizeof count_) return -EINVAL;
  if (count_ == 0) return -EAGAIN;
  const std::uint64_t taken = semaphore_ ? 1 : count_;
  count_ -= taken;
  std::memcpy(space.data(), &taken, sizeof taken);
  notify(kRoom);
  return sizeof taken;
}

std::ptrdiff_t EventFile::write(std::span<const std::byte> bytes) {
  std::uint64_t added = 0;
  if (bytes.size() < sizeof added) return -EINVAL;
  std::memcpy(&added, bytes.data(), sizeof added);
  if (added == UINT64_MAX) return -EINVAL;
  if (added > kMost - count_) return -EAGAIN;
  count_ += added;
  notify(kInput);
  return sizeof added;
}

}  // namespace pollard::sim
