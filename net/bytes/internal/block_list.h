// Bytes in a row of blocks that never move: added at the back, taken from the front. What was shown
// of them stays where it is until it is released; bytes are copied together only when they are
// asked for in one piece and lie in two.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pollard {

/// One thread.
class BlockList {
 public:
  /// Bytes that were added and not consumed.
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Whether there are none.
  [[nodiscard]] bool empty() const { return size_ == 0; }

  /// Copies the bytes to the back.
  void append(std::span<const std::byte> bytes);
  /// Takes the blocks over, and leaves `more` empty; small ones are copied into the room that there
  /// is at the back, so that a trickle of bytes doesn't become a row of empty blocks.
  void append(BlockList& more);

  /// The first `count` bytes, of which there must be as many, in one piece; until release().
  [[nodiscard]] std::string_view front(std::size_t count);

  /// Where `what` begins for the first time. Asked again for the same with more bytes behind, it
  /// goes on where it has stopped.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view what);

  /// Removes the first `count` bytes, of which there must be as many. Their memory stays until
  /// release().
  void consume(std::size_t count);

  /// Frees the memory of what was consumed.
  void release();

  /// Drops everything.
  void clear();

  /// Heap memory held for bytes.
  [[nodiscard]] std::size_t memory() const;

 private:
  struct Block {
    std::unique_ptr<std::byte[]> storage;
    std::size_t capacity = 0;
    std::size_t begin = 0;
    std::size_t end = 0;

    [[nodiscard]] static Block make(std::size_t capacity);
    [[nodiscard]] std::size_t size() const { return end - begin; }
    [[nodiscard]] std::size_t room() const { return capacity - end; }
    [[nodiscard]] std::span<const std::byte> bytes() const {
      return {storage.get() + begin, size()};
    }
    void append(std::span<const std::byte> bytes);
  };

  [[nodiscard]] bool fits_last(std::size_t count) const;
  void join_front(std::size_t count);
  [[nodiscard]] std::optional<std::size_t> find_from(std::size_t start,
                                                     std::string_view what) const;
  [[nodiscard]] bool matches_at(std::size_t block, std::size_t offset, std::string_view what) const;

  std::vector<Block> blocks_;
  std::size_t first_ = 0;       // the blocks before it are consumed, and not released
  std::vector<Block> retired_;  // those whose bytes were copied elsewhere since
  std::size_t size_ = 0;
  std::string searched_for_;
  std::size_t searched_ = 0;  // it doesn't begin before this
};

}  // namespace pollard
