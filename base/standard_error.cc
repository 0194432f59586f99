#include "pollard/base/standard_error.h"

#include <atomic>
#include <cstdio>

#include "pollard/base/assert.h"

namespace pollard {
namespace {

constinit std::atomic<LineWriter> current_writer{nullptr};

}  // namespace

void set_line_writer(LineWriter writer) noexcept { current_writer = writer; }

void print_line(std::span<const std::string_view> pieces) noexcept {
  POLLARD_ASSERT(pieces.size() <= kMostPieces, "a line must have at most kMostPieces pieces");
  if (const LineWriter writer = current_writer) {
    writer(pieces);
    return;
  }
  for (const std::string_view piece : pieces) {
    static_cast<void>(std::fwrite(piece.data(), 1, piece.size(), stderr));
  }
}

}  // namespace pollard
