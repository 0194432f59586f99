#include "pollard/net/bytes/buffer.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {

// NOLINTNEXTLINE(performance-noexcept-move-constructor): it may copy
Buffer::Buffer(Buffer&& other) { *this = std::move(other); }

// NOLINTNEXTLINE(performance-noexcept-move-constructor): likewise
Buffer& Buffer::operator=(Buffer&& other) {
  if (this == &other) return *this;
  other.own();
  storage_ = std::move(other.storage_);
  capacity_ = std::exchange(other.capacity_, 0);
  begin_ = std::exchange(other.begin_, nullptr);
  end_ = std::exchange(other.end_, nullptr);
  return *this;
}

std::optional<std::size_t> Buffer::find(std::string_view what, std::size_t from) const {
  const std::size_t at = view().find(what, from);
  return at == std::string_view::npos ? std::nullopt : std::optional(at);
}

void Buffer::release() {
  storage_.reset();
  capacity_ = 0;
  begin_ = end_ = nullptr;
}

std::string Buffer::take(std::size_t count) {
  POLLARD_ASSERT(count <= size(), "more bytes taken than there are");
  std::string taken(view().substr(0, count));
  consume(count);
  return taken;
}

void Buffer::append(std::span<const std::byte> more) {
  if (more.empty()) return;
  // Our own contents may move when room is made for more of them.
  const bool ours = !std::less<>()(more.data(), begin_) && std::less<>()(more.data(), end_);
  const std::size_t offset = ours ? static_cast<std::size_t>(more.data() - begin_) : 0;
  const std::span<std::byte> space = reserve(more.size());
  std::memcpy(space.data(), ours ? begin_ + offset : more.data(), more.size());
  commit(more.size());
}

std::size_t Buffer::room() const {
  return capacity_ == 0 ? 0 : static_cast<std::size_t>(storage_.get() + capacity_ - end_);
}

std::span<std::byte> Buffer::reserve(std::size_t count) {
  constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max();
  const std::size_t used = size();
  if (count > kMost - used) throw std::length_error("Buffer::reserve");
  const std::size_t needed = used + count;
  if (capacity_ < needed || (room() < count && needed > capacity_ / 2)) {
    move_to(std::max(needed, 2 * capacity_));
  } else if (room() < count) {
    // Half of the memory is free: it takes as many bytes to come here again as are moved now.
    std::memmove(storage_.get(), begin_, used);
    begin_ = storage_.get();
    end_ = begin_ + used;
  }
  return {storage_.get() + capacity_ - room(), room()};
}

void Buffer::commit(std::size_t count) {
  POLLARD_ASSERT(count <= room(), "more bytes committed than were reserved");
  end_ += count;
  if (empty()) release();
}

void Buffer::move_to(std::size_t new_capacity) {
  const std::size_t used = size();
  // Not make_unique, which would write zeros over bytes that are about to be overwritten.
  std::unique_ptr<std::byte[]> storage(new std::byte[new_capacity]);
  if (used > 0) std::memcpy(storage.get(), begin_, used);
  storage_ = std::move(storage);
  capacity_ = new_capacity;
  begin_ = storage_.get();
  end_ = begin_ + used;
}

}  // namespace pollard
