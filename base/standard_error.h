// Where the default log and failed assertions write. Which file that is and how to write to it
// without SIGPIPE is platform/'s to know, which lies above.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace pollard {

/// Maximum number of pieces of a line.
inline constexpr std::size_t kMostPieces = 10;

/// Writes a line, given in pieces, at once. It must not throw.
using LineWriter = void (*)(std::span<const std::string_view> pieces) noexcept;

/// Replaces what print_line() calls. Null restores the default, std::fwrite to stderr. Any thread.
void set_line_writer(LineWriter writer) noexcept;

/// Writes a line, given in at most kMostPieces pieces, its end included, to standard error. A
/// failure is ignored: there is no place to report it. Any thread.
void print_line(std::span<const std::string_view> pieces) noexcept;

}  // namespace pollard
