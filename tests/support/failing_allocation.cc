#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

#include "pollard/tests/support/short_memory.h"

namespace {

constinit thread_local std::uint64_t allocations_left = 0;  // zero: none fails

// The large blocks in use. A table without memory of its own: allocating must not allocate.
struct LargeBlock {
  void* memory = nullptr;
  std::size_t size = 0;
};
constinit std::mutex large_mutex;
constinit std::array<LargeBlock, 256> large_blocks{};
constinit std::atomic<int> large_count{0};

bool replace_large(void* memory, LargeBlock by) {
  const std::lock_guard lock(large_mutex);
  for (LargeBlock& block : large_blocks) {
    if (block.memory != memory) continue;
    block = by;
    return true;
  }
  return false;
}

void* try_to_allocate(std::size_t size) noexcept {
  if (allocations_left > 0 && --allocations_left == 0) return nullptr;
  void* const memory = std::malloc(size > 0 ? size : 1);
  if (size >= pollard::testing::kLargeBlock && memory != nullptr) {
    if (replace_large(nullptr, {memory, size})) ++large_count;
  }
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr && large_count > 0 && replace_large(memory, {})) --large_count;
  std::free(memory);
}

void* allocate(std::size_t size) {
  void* const memory = try_to_allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// All of them but those with an alignment: a sanitizer has each of its own, and wants to see memory
// given back to the one that it came from.
void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return try_to_allocate(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return try_to_allocate(size);
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }

namespace pollard::testing {

std::size_t large_blocks_in_use() {
  const std::lock_guard lock(large_mutex);
  std::size_t bytes = 0;
  for (const LargeBlock& block : large_blocks) bytes += block.size;
  return bytes;
}

FailingAllocation::FailingAllocation(std::uint64_t which) { allocations_left = which; }
FailingAllocation::~FailingAllocation() { allocations_left = 0; }
bool FailingAllocation::has_failed() const { return allocations_left == 0; }

std::uint64_t exchange_allocations_left(std::uint64_t left) noexcept {
  return std::exchange(allocations_left, left);
}

}  // namespace pollard::testing
