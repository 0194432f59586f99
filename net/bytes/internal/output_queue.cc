#include "pollard/net/bytes/internal/output_queue.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/platform/io.h"

namespace pollard {

using platform::Result;

OutputQueue::Chunk OutputQueue::Chunk::make(std::size_t capacity) {
  // Not make_unique, which would write zeros over bytes that are about to be overwritten.
  return {.memory = std::unique_ptr<std::byte[]>(new std::byte[capacity]), .capacity = capacity};
}

std::span<const std::byte> OutputQueue::Chunk::append(std::span<const std::byte> bytes) {
  POLLARD_ASSERT(bytes.size() <= room(), "a chunk takes what it has room for");
  std::byte* const place = memory.get() + used;
  std::memcpy(place, bytes.data(), bytes.size());
  used += bytes.size();
  return {place, bytes.size()};
}

void OutputQueue::push(std::span<const std::byte> bytes, Owner owner) {
  pieces_.push_back({bytes, std::move(owner)});  // this may throw, and then nothing was added
  size_ += bytes.size();
}

void OutputQueue::borrow(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  push(bytes, Borrowed{});
  has_borrowed_ = true;
}

void OutputQueue::copy(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  // Neighbours in a chunk become one piece, so that many small sends make one plain send.
  Chunk* const neighbour = chunk_of_last();
  if (neighbour != nullptr && neighbour->room() >= bytes.size()) {
    std::span<const std::byte>& last = pieces_.back().bytes;
    last = {last.data(), last.size() + neighbour->append(bytes).size()};
    size_ += bytes.size();
    return;
  }
  if (first_chunk_.capacity == 0 && bytes.size() <= kChunkBytes)
    first_chunk_ = Chunk::make(kChunkBytes);
  if (first_chunk_.room() >= bytes.size()) {
    push(first_chunk_.append(bytes), InFirstChunk{});
    return;
  }
  // A copy behind a copy is likely to be followed by more.
  const bool more = neighbour != nullptr && bytes.size() < kChunkBytes;
  Chunk own = Chunk::make(more ? kChunkBytes : bytes.size());
  const std::span<const std::byte> copied = own.append(bytes);
  push(copied, std::move(own));
}

// The chunk in which the last piece lies, at its end; null when that piece is not a copy.
OutputQueue::Chunk* OutputQueue::chunk_of_last() {
  if (empty()) return nullptr;
  Owner& owner = pieces_.back().owner;
  return std::holds_alternative<InFirstChunk>(owner) ? &first_chunk_ : std::get_if<Chunk>(&owner);
}

void OutputQueue::take(std::string&& bytes) {
  const auto view = std::as_bytes(std::span(bytes));
  if (bytes.size() < kSmall) return copy(view);
  push(view, std::move(bytes));  // its bytes are on the heap, and stay there when the string moves
}

void OutputQueue::take(Buffer&& bytes) {
  if (bytes.size() < kSmall || bytes.borrows()) {
    copy(bytes.bytes());
    bytes.clear();
    return;
  }
  const auto view = bytes.bytes();
  push(view, std::move(bytes));
}

void OutputQueue::take(FileRegion&& region) {
  if (region.size == 0) return;
  const std::uint64_t size = region.size;
  pieces_.push_back({{}, std::move(region)});
  size_ += size;
  size_in_files_ += size;
}

void OutputQueue::own_borrowed() {
  if (!has_borrowed_) return;
  for (std::size_t at = first_; at < pieces_.size(); ++at) {
    Piece& piece = pieces_[at];
    if (!std::holds_alternative<Borrowed>(piece.owner)) continue;
    Chunk own = Chunk::make(piece.bytes.size());
    piece.bytes = own.append(piece.bytes);
    piece.owner = std::move(own);
  }
  has_borrowed_ = false;
}

Result OutputQueue::send_some(int fd) {
  POLLARD_ASSERT(!empty(), "there is nothing to send");
  Piece& front = pieces_[first_];
  auto* region = std::get_if<FileRegion>(&front.owner);
  const Result sent = region != nullptr              ? send_region(fd, *region)
                      : pieces_.size() - first_ == 1 ? platform::send(fd, front.bytes)
                                                     : send_pieces(fd);
  if (sent.ok()) left(sent.count());
  return sent;
}

Result OutputQueue::send_pieces(int fd) {
  std::array<std::span<const std::byte>, platform::kGatherLimit> gathered;
  std::size_t count = 0;
  for (std::size_t at = first_; at < pieces_.size() && count < gathered.size(); ++at) {
    if (std::holds_alternative<FileRegion>(pieces_[at].owner)) break;
    gathered[count++] = pieces_[at].bytes;
  }
  return platform::send_gathered(fd, std::span(gathered).first(count));
}

Result OutputQueue::send_region(int fd, FileRegion& region) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 30U;
  const Result sent = platform::send_file(fd, region.file.get(), region.offset,
                                          static_cast<std::size_t>(std::min(region.size, kMost)));
  // The file has become shorter than what was promised of it.
  if (sent.ok() && sent.count() == 0) return Result::failure(std::errc::io_error);
  return sent;
}

void OutputQueue::left(std::size_t count) {
  size_ -= count;
  while (count > 0) {
    Piece& piece = pieces_[first_];
    if (auto* region = std::get_if<FileRegion>(&piece.owner)) {
      region->offset += count;
      region->size -= count;
      size_in_files_ -= count;
      if (region->size == 0) drop_front();
      break;
    }
    if (count < piece.bytes.size()) {
      piece.bytes = piece.bytes.subspan(count);
      break;
    }
    count -= piece.bytes.size();
    drop_front();
  }
  if (empty()) clear();
}

void OutputQueue::drop_front() {
  constexpr std::size_t kWorthMoving = 64;
  pieces_[first_++].owner = Borrowed{};
  if (first_ >= kWorthMoving && first_ * 2 >= pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void OutputQueue::clear() {
  constexpr std::size_t kShort = 64;
  pieces_.clear();
  if (pieces_.capacity() > kShort) pieces_ = std::vector<Piece>();
  first_ = 0;
  size_ = 0;
  size_in_files_ = 0;
  first_chunk_.used = 0;
  has_borrowed_ = false;
}

std::size_t OutputQueue::memory() const {
  std::size_t bytes = pieces_.capacity() * sizeof(Piece) + first_chunk_.capacity;
  for (std::size_t at = first_; at < pieces_.size(); ++at) {
    const Owner& owner = pieces_[at].owner;
    if (const auto* chunk = std::get_if<Chunk>(&owner)) bytes += chunk->capacity;
    if (const auto* string = std::get_if<std::string>(&owner)) bytes += string->capacity();
    if (const auto* buffer = std::get_if<Buffer>(&owner)) bytes += buffer->capacity();
  }
  return bytes;
}

}  // namespace pollard
