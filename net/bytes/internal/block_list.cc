#include "pollard/net/bytes/internal/block_list.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {
namespace {

constexpr std::size_t kLeastBlock = 1024;

}  // namespace

BlockList::Block BlockList::Block::make(std::size_t capacity) {
  // Not make_unique, which would write zeros over bytes that are about to be overwritten.
  return {.storage = std::unique_ptr<std::byte[]>(new std::byte[capacity]), .capacity = capacity};
}

void BlockList::Block::append(std::span<const std::byte> bytes) {
  std::memcpy(storage.get() + end, bytes.data(), bytes.size());
  end += bytes.size();
}

bool BlockList::fits_last(std::size_t count) const {
  return first_ < blocks_.size() && blocks_.back().room() >= count;
}

void BlockList::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (!fits_last(bytes.size())) {
    blocks_.push_back(Block::make(std::max(bytes.size(), kLeastBlock)));
  }
  blocks_.back().append(bytes);
  size_ += bytes.size();
}

void BlockList::append(BlockList& more) {
  for (std::size_t i = more.first_; i < more.blocks_.size(); ++i) {
    Block& block = more.blocks_[i];
    if (fits_last(block.size())) {
      blocks_.back().append(block.bytes());
    } else {
      blocks_.push_back(std::move(block));
    }
  }
  size_ += more.size_;
  more.clear();
}

std::string_view BlockList::front(std::size_t count) {
  POLLARD_ASSERT(count <= size_, "more bytes looked at than there are");
  if (count == 0) return {};
  if (blocks_[first_].size() < count) join_front(count);
  return {reinterpret_cast<const char*>(blocks_[first_].bytes().data()), count};
}

// With room for as much again when all there is was asked for: then more of the same is to come.
void BlockList::join_front(std::size_t count) {
  Block joined = Block::make(std::max(kLeastBlock, count == size_ ? 2 * count : count));
  while (joined.size() < count) {
    Block& next = blocks_[first_];
    const std::size_t part = std::min(next.size(), count - joined.size());
    joined.append(next.bytes().first(part));
    next.begin += part;
    if (next.size() > 0) break;
    ++first_;
  }
  // In the place of the last one that was emptied, whose memory may still be looked at.
  --first_;
  retired_.push_back(std::exchange(blocks_[first_], std::move(joined)));
}

std::optional<std::size_t> BlockList::find(std::string_view what) {
  if (what != searched_for_) {
    searched_for_ = what;
    searched_ = 0;
  }
  const std::optional<std::size_t> found = find_from(searched_, what);
  const std::size_t unfinished = what.empty() ? 0 : what.size() - 1;  // may begin what is to come
  searched_ = found.value_or(size_ > unfinished ? std::max(searched_, size_ - unfinished) : 0);
  return found;
}

std::optional<std::size_t> BlockList::find_from(std::size_t start, std::string_view what) const {
  if (what.empty()) return 0;
  std::size_t before = 0;  // bytes in front of the block
  for (std::size_t i = first_; i < blocks_.size(); before += blocks_[i].size(), ++i) {
    const std::span<const std::byte> bytes = blocks_[i].bytes();
    for (std::size_t at = start > before ? start - before : 0; at < bytes.size(); ++at) {
      const void* hit = std::memchr(bytes.data() + at, what.front(), bytes.size() - at);
      if (hit == nullptr) break;
      at = static_cast<std::size_t>(static_cast<const std::byte*>(hit) - bytes.data());
      if (matches_at(i, at, what)) return before + at;
    }
  }
  return std::nullopt;
}

bool BlockList::matches_at(std::size_t block, std::size_t offset, std::string_view what) const {
  while (!what.empty() && block < blocks_.size()) {
    const std::span<const std::byte> bytes = blocks_[block++].bytes().subspan(offset);
    const std::size_t part = std::min(bytes.size(), what.size());
    if (std::memcmp(bytes.data(), what.data(), part) != 0) return false;
    what.remove_prefix(part);
    offset = 0;
  }
  return what.empty();
}

void BlockList::consume(std::size_t count) {
  POLLARD_ASSERT(count <= size_, "more bytes consumed than there are");
  size_ -= count;
  searched_ = searched_ > count ? searched_ - count : 0;
  while (count > 0) {
    Block& block = blocks_[first_];
    const std::size_t part = std::min(block.size(), count);
    block.begin += part;
    count -= part;
    if (block.size() == 0) ++first_;
  }
}

void BlockList::release() {
  retired_.clear();
  blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
}

void BlockList::clear() {
  blocks_.clear();
  retired_.clear();
  first_ = size_ = searched_ = 0;
}

std::size_t BlockList::memory() const {
  std::size_t sum = 0;
  for (const Block& block : blocks_) sum += block.capacity;
  for (const Block& block : retired_) sum += block.capacity;
  return sum;
}

}  // namespace pollard
