// What a connection still has to send: a row of pieces, each of them borrowed for the moment,
// copied, taken over from its sender, or a region of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pollard/net/bytes/buffer.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/result.h"

namespace pollard {

/// Part of a file, and the descriptor that it is read from, which is closed when the part has left.
struct FileRegion {
  platform::Descriptor file;  ///< a regular file
  std::uint64_t offset = 0;   ///< of the first byte
  std::uint64_t size = 0;     ///< bytes
};

/// One thread.
class OutputQueue {
 public:
  /// Bytes in all.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Of these, the ones that are in memory and not in a file.
  [[nodiscard]] std::uint64_t size_in_memory() const { return size_ - size_in_files_; }
  /// Whether there is nothing to send.
  [[nodiscard]] bool empty() const { return first_ == pieces_.size(); }

  /// Adds bytes that stay where they are until own_borrowed(), clear() or their leaving.
  void borrow(std::span<const std::byte> bytes);
  /// Adds a copy.
  void copy(std::span<const std::byte> bytes);
  /// Small strings and buffers are copied, for that is cheaper than to keep them.
  void take(std::string&& bytes);
  /// Likewise.
  void take(Buffer&& bytes);
  /// Adds part of a file, which is closed when it has left.
  void take(FileRegion&& region);

  /// Copies what is still borrowed.
  void own_borrowed();

  /// Hands as much as fits in one call to the socket. The count is what has left the queue; a file
  /// that ended before its region did is an io_error.
  platform::Result send_some(int fd);

  /// Drops everything. One chunk for copies is kept, and a short list of pieces.
  void clear();

  /// Heap memory held, in bytes; what is only borrowed is not.
  [[nodiscard]] std::size_t memory() const;

 private:
  static constexpr std::size_t kChunkBytes = std::size_t{16} * 1024;
  static constexpr std::size_t kSmall = 1024;

  /// Memory for copies, filled from the front.
  struct Chunk {
    std::unique_ptr<std::byte[]> memory;
    std::size_t capacity = 0;
    std::size_t used = 0;

    [[nodiscard]] static Chunk make(std::size_t capacity);
    [[nodiscard]] std::size_t room() const { return capacity - used; }
    std::span<const std::byte> append(std::span<const std::byte> bytes);
  };

  struct Borrowed {};
  struct InFirstChunk {};
  using Owner = std::variant<Borrowed, InFirstChunk, Chunk, std::string, Buffer, FileRegion>;

  struct Piece {
    std::span<const std::byte> bytes;  // empty for a file
    Owner owner;
  };

  void push(std::span<const std::byte> bytes, Owner owner);
  [[nodiscard]] Chunk* chunk_of_last();
  platform::Result send_pieces(int fd);
  platform::Result send_region(int fd, FileRegion& region);
  void left(std::size_t count);
  void drop_front();

  std::vector<Piece> pieces_;
  std::size_t first_ = 0;  // the pieces before it have left
  std::uint64_t size_ = 0;
  std::uint64_t size_in_files_ = 0;
  Chunk first_chunk_;  // takes the first copies, and is taken again when everything has left
  bool has_borrowed_ = false;
};

}  // namespace pollard
