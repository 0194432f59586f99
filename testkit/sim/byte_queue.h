// Bytes on their way, in order. Among them may stand marks, where a read ends: the place of an
// urgent byte, which is beside the stream and not in it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "pollard/base/assert.h"

namespace pollard::sim {

class ByteQueue {
 public:
  /// Bytes; marks have no size.
  [[nodiscard]] std::size_t size() const { return bytes_.size() - taken_; }
  [[nodiscard]] bool empty() const { return size() == 0 && marks_.empty(); }

  void append(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void append_mark(std::byte urgent) { marks_.push_back({passed_ + size(), urgent}); }

  /// The urgent byte whose place is in front of all else.
  [[nodiscard]] std::optional<std::byte> mark_in_front() const {
    if (marks_.empty() || marks_.front().position != passed_) return std::nullopt;
    return marks_.front().urgent;
  }
  void drop_mark() { marks_.pop_front(); }

  /// The bytes in front, up to the next mark.
  [[nodiscard]] std::span<const std::byte> front() const {
    const std::size_t until_mark =
        marks_.empty() ? size() : static_cast<std::size_t>(marks_.front().position - passed_);
    return std::span(bytes_).subspan(taken_, until_mark);
  }
  void drop(std::size_t count) {
    POLLARD_ASSERT(count <= size(), "what is taken was there");
    taken_ += count;
    passed_ += count;
    if (taken_ * 2 < bytes_.size() && size() != 0) return;
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
  }
  /// Copies what fits of front(); how much did.
  std::size_t copy_front(std::span<std::byte> space) const {
    const std::size_t count = std::min(space.size(), front().size());
    if (count > 0) std::memcpy(space.data(), front().data(), count);
    return count;
  }
  void clear() { *this = ByteQueue(); }

 private:
  struct Mark {
    std::uint64_t position;
    std::byte urgent;
  };

  std::vector<std::byte> bytes_;
  std::size_t taken_ = 0;     // of bytes_, which are no longer in the queue
  std::uint64_t passed_ = 0;  // since the beginning
  std::deque<Mark> marks_;
};

}  // namespace pollard::sim
