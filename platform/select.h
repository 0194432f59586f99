// select over bitmaps of any length. FD_SET and its fd_set of 1024 descriptors are not used at all:
// under _FORTIFY_SOURCE they abort past the end, and without it they write past the end.
#pragma once

#include <climits>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "pollard/base/clock.h"
#include "pollard/platform/features.h"
#include "pollard/platform/result.h"

namespace pollard::platform {

/// The unit in which this system's kernel reads a bitmap (it shows on big-endian machines).
using SelectWord = std::conditional_t<NFDBITS == 64, std::uint64_t, std::uint32_t>;
inline constexpr int kSelectWordBits = NFDBITS;
static_assert(sizeof(SelectWord) * CHAR_BIT == kSelectWordBits);

/// The number of descriptors that one select can watch: without bound where the kernel takes longer
/// bitmaps, which all of ours do (Darwin since features.h asked for it).
inline constexpr int kSelectLimit = INT_MAX;

/// pselect(2) without a signal mask; each bitmap holds `limit` bits rounded up to whole words, and
/// is overwritten with the answer. kNoTimeout blocks.
Result select_descriptors(int limit, SelectWord* readable, SelectWord* writable,
                          SelectWord* exceptional, Duration timeout);

}  // namespace pollard::platform
