// Memory through which much is copied. A kernel that copies half a megabyte looks up where each
// page of it lies; with pages of 4 KiB that is 128 times, in a virtual machine through two tables
// each. In a huge page it is once.
#pragma once

#include <cstddef>
#include <memory>

namespace pollard::platform {

/// Frees what allocate_huge_pages() made.
struct FreeHugePages {
  void operator()(std::byte* memory) const noexcept;  ///< never null
};
using HugePages = std::unique_ptr<std::byte[], FreeHugePages>;

/// At least `size` bytes, in huge pages where the system has such to give (madvise(2),
/// MADV_HUGEPAGE: of the whole page it takes memory at the first touch). Null when there is no
/// memory. Any thread.
[[nodiscard]] HugePages allocate_huge_pages(std::size_t size) noexcept;

}  // namespace pollard::platform
