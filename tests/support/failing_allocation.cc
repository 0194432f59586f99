#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include "pollard/tests/support/short_memory.h"

namespace {

constinit thread_local std::uint64_t allocations_left = 0;  // zero: none fails

void* try_to_allocate(std::size_t size) noexcept {
  if (allocations_left > 0 && --allocations_left == 0) return nullptr;
  return std::malloc(size > 0 ? size : 1);
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
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace pollard::testing {

FailingAllocation::FailingAllocation(std::uint64_t which) { allocations_left = which; }
FailingAllocation::~FailingAllocation() { allocations_left = 0; }
bool FailingAllocation::has_failed() const { return allocations_left == 0; }

std::uint64_t exchange_allocations_left(std::uint64_t left) noexcept {
  return std::exchange(allocations_left, left);
}

}  // namespace pollard::testing
