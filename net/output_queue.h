// What a connection still has to send: a row of pieces, each of them borrowed for the moment, copied,
// taken over from its sender, or a region of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pollard/net/buffer.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/result.h"

namespace pollard {

/// Part of a file, and the descriptor that it is read from, which is closed when the part has left.
struct FileRegion {
  platform::Descriptor file;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// One thread.
class OutputQueue {
 public:
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return first_ == pieces_.size(); }

  /// Adds bytes that stay where they are until own_borrowed(), clear() or their leaving.
  void borrow(std::span<const std::byte> bytes);
  void copy(std::span<const std::byte> bytes);
  /// Small strings and buffers are copied, for that is cheaper than to keep them.
  void take(std::string&& bytes);
  void take(Buffer&& bytes);
  void take(FileRegion&& region);

  /// Copies what is still borrowed.
  void own_borrowed();

  /// Hands as much as fits in one call to the socket. The count is what has left the queue; a file that
  /// ended before its region did is an io_error.
  platform::Result send_some(int fd);

  /// Drops everything; memory for copies is kept, up to kChunkBytes.
  void clear();

  /// Heap memory held for copies and taken bytes, approximately.
  [[nodiscard]] std::size_t memory() const;

 private:
  static constexpr std::size_t kChunkBytes = std::size_t{16} * 1024;
  static constexpr std::size_t kSmall = 1024;

  struct Borrowed {};
  struct InChunk {};
  using Chunk = std::unique_ptr<std::byte[]>;
  using Owner = std::variant<Borrowed, InChunk, Chunk, std::string, Buffer, FileRegion>;

  struct Piece {
    std::span<const std::byte> bytes;  // empty for a file
    Owner owner;
  };

  void push(std::span<const std::byte> bytes, Owner owner);
  [[nodiscard]] std::span<std::byte> chunk_space(std::size_t wanted);
  platform::Result send_pieces(int fd);
  platform::Result send_region(int fd, FileRegion& region);
  void left(std::size_t count);
  void drop_front();

  std::vector<Piece> pieces_;
  std::size_t first_ = 0;   // the pieces before it have left
  std::uint64_t size_ = 0;
  Chunk chunk_;             // the first copies go here, and to chunks of their own when it is full
  std::size_t chunk_used_ = 0;
  bool has_borrowed_ = false;
};

}  // namespace pollard
