#include "pollard/net/buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {

Buffer::Buffer(Buffer&& other) { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) {
  if (this == &other) return *this;
  other.own();
  storage_ = std::move(other.storage_);
  capacity_ = std::exchange(other.capacity_, 0);
  begin_ = std::exchange(other.begin_, nullptr);
  end_ = std::exchange(other.end_, nullptr);
  return *this;
}

void Buffer::borrow(std::span<const std::byte> memory) {
  storage_.reset();
  capacity_ = 0;
  begin_ = memory.data();
  end_ = memory.data() + memory.size();
}

std::optional<std::size_t> Buffer::find(std::string_view what, std::size_t from) const {
  const std::size_t at = view().find(what, from);
  return at == std::string_view::npos ? std::nullopt : std::optional(at);
}

void Buffer::consume(std::size_t count) {
  POLLARD_ASSERT(count <= size(), "more bytes consumed than there are");
  begin_ += count;
  if (begin_ == end_) {
    storage_.reset();
    capacity_ = 0;
    begin_ = end_ = nullptr;
  }
}

std::string Buffer::take(std::size_t count) {
  POLLARD_ASSERT(count <= size(), "more bytes taken than there are");
  std::string taken(view().substr(0, count));
  consume(count);
  return taken;
}

void Buffer::append(std::span<const std::byte> more) {
  if (more.empty()) return;
  std::memcpy(reserve(more.size()).data(), more.data(), more.size());
  commit(more.size());
}

std::span<std::byte> Buffer::reserve(std::size_t count) {
  const std::size_t used = size();
  if (capacity_ < used + count) {
    move_to(std::max(used + count, 2 * capacity_));
  } else if (begin_ != storage_.get() &&
             static_cast<std::size_t>(storage_.get() + capacity_ - end_) < count) {
    std::memmove(storage_.get(), begin_, used);
    begin_ = storage_.get();
    end_ = begin_ + used;
  }
  std::byte* end = storage_.get() + (end_ - storage_.get());
  return {end, static_cast<std::size_t>(storage_.get() + capacity_ - end)};
}

void Buffer::commit(std::size_t count) {
  POLLARD_ASSERT(capacity_ > 0 &&
                     count <= static_cast<std::size_t>(storage_.get() + capacity_ - end_),
                 "more bytes committed than were reserved");
  end_ += count;
}

void Buffer::own() {
  if (borrows()) move_to(size());
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
