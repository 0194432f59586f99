#include "pollard/platform/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace pollard::platform {
namespace {

// Of most processors. Where they are larger, what follows has no effect.
constexpr std::size_t kHugePage = std::size_t{2} << 20U;
#if defined(MADV_HUGEPAGE)
constexpr bool kCanAsk = true;
constexpr int kAdvice = MADV_HUGEPAGE;
#else
constexpr bool kCanAsk = false;
constexpr int kAdvice = 0;
#endif
constexpr std::align_val_t kAlignment{kCanAsk ? kHugePage : alignof(std::max_align_t)};

}  // namespace

HugePages allocate_huge_pages(std::size_t size) noexcept {
  if (size > SIZE_MAX - kHugePage) return nullptr;
  if (kCanAsk) size = (size + kHugePage - 1) / kHugePage * kHugePage;
  void* const memory = ::operator new(size, kAlignment, std::nothrow);
  // A refusal, as by a kernel that was built without them, is no matter.
  if (kCanAsk && memory != nullptr) static_cast<void>(::madvise(memory, size, kAdvice));
  return HugePages(static_cast<std::byte*>(memory));
}

void FreeHugePages::operator()(std::byte* memory) const noexcept {
  ::operator delete(memory, kAlignment);
}

}  // namespace pollard::platform
