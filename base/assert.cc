#include "pollard/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace pollard {

void assertion_failed(const char* condition, const char* why, AssertionPlace where) noexcept {
  std::fprintf(stderr, "%s:%u: in %s: pollard assertion failed: %s (%s)\n", where.file, where.line,
               where.function, why, condition);
  std::abort();
}

}  // namespace pollard
