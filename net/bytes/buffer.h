// Bytes in a row: taken from the front, added at the back. What a handler gets to read from, and
// what it may fill and send. An empty Buffer holds no memory.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {

/// A Buffer may stand over memory that belongs to somebody else: what a message handler reads lies
/// in its loop's receive buffer. That is invisible: as soon as the bytes have to outlive it (the
/// Buffer is moved from, added to, or left with a rest) they are copied into memory of its own. Not
/// copied implicitly. One thread.
class Buffer {
 public:
  Buffer() = default;
  /// A copy of `contents`.
  explicit Buffer(std::string_view contents) { append(contents); }
  /// Takes the contents over, copying what is borrowed; `other` is empty then.
  Buffer(Buffer&& other);  // NOLINT(performance-noexcept-move-constructor): it may copy
  /// Likewise; what was there is dropped.
  Buffer& operator=(Buffer&& other);  // NOLINT(performance-noexcept-move-constructor)
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() = default;

  /// Replaces the contents by `memory`, uncopied: it must stay as it is until own(), or until the
  /// Buffer is empty, moved from or gone.
  void borrow(std::span<const std::byte> memory) {
    if (capacity_ != 0) release();
    begin_ = memory.data();
    end_ = memory.data() + memory.size();
  }

  /// How many bytes there are.
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(end_ - begin_); }
  /// Whether there are none.
  [[nodiscard]] bool empty() const { return begin_ == end_; }

  /// The contents, until the next change.
  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(begin_), size()};
  }
  /// The same as bytes.
  [[nodiscard]] std::span<const std::byte> bytes() const { return {begin_, size()}; }

  /// Where `what` begins for the first time at or behind `from`; nothing when it doesn't occur.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view what, std::size_t from = 0) const;

  /// Removes the first `count` bytes, of which there must be as many.
  void consume(std::size_t count) {
    POLLARD_ASSERT(count <= size(), "more bytes consumed than there are");
    begin_ += count;
    if (begin_ == end_ && capacity_ != 0) release();
  }
  /// Removes all.
  void clear() { consume(size()); }

  /// Removes the first `count` bytes, of which there must be as many, and hands them out.
  [[nodiscard]] std::string take(std::size_t count);
  /// Removes all, and hands it out.
  [[nodiscard]] std::string take() { return take(size()); }

  /// `more` may be part of the contents.
  void append(std::span<const std::byte> more);
  /// Likewise.
  void append(std::string_view more) { append(std::as_bytes(std::span(more))); }

  /// At least `count` writable bytes behind the contents, until the next change; commit() makes as
  /// many of them as were filled part of the contents. Throws std::length_error for a `count` that
  /// no memory has.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t count);
  /// Adds the first `count` bytes of what reserve() gave last; no more than it was asked for.
  void commit(std::size_t count);

  /// The heap memory held, in bytes.
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  /// Whether the contents lie in somebody else's memory.
  [[nodiscard]] bool borrows() const { return capacity_ == 0 && !empty(); }
  /// Hands out borrowed contents, where they are, and is empty.
  [[nodiscard]] std::span<const std::byte> take_borrowed() {
    POLLARD_ASSERT(capacity_ == 0, "what is our own can't be handed out");
    return {std::exchange(begin_, end_), end_};
  }
  /// Copies borrowed contents into memory of its own.
  void own() {
    if (borrows()) move_to(size());
  }

 private:
  void release();
  void move_to(std::size_t new_capacity);
  [[nodiscard]] std::size_t room() const;

  std::unique_ptr<std::byte[]> storage_;
  std::size_t capacity_ = 0;  // of storage_; 0 while the contents are borrowed
  const std::byte* begin_ = nullptr;
  const std::byte* end_ = nullptr;
};

}  // namespace pollard
