// How much memory a container may keep for the next time, once it is empty.
#pragma once

#include <cstddef>
#include <vector>

namespace pollard {

/// The most that an empty container keeps, in bytes. What a burst needed beyond it is given back.
inline constexpr std::size_t kSpareMemory = std::size_t{64} * 1024;

/// Empties `elements`, and frees its memory when that is more than kSpareMemory. The destructors of
/// the elements must not use `elements`.
template <class Element>
void clear_and_give_back(std::vector<Element>& elements) noexcept {
  if (elements.capacity() * sizeof(Element) > kSpareMemory) {
    std::vector<Element>().swap(elements);
  } else {
    elements.clear();
  }
}

}  // namespace pollard
