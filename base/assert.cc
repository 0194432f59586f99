#include "pollard/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace pollard {

void assertion_failed(const char* condition, const char* why, std::source_location where) noexcept {
  std::fprintf(stderr, "%s:%u: in %s: pollard assertion failed: %s (%s)\n", where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name(), why, condition);
  std::abort();
}

}  // namespace pollard
