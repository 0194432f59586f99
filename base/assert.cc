#include "pollard/base/assert.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "pollard/base/standard_error.h"

namespace pollard {

void assertion_failed(const char* condition, const char* why, AssertionPlace where) noexcept {
  char number[16] = {};
  std::snprintf(number, sizeof number, "%u", where.line);
  const std::array<std::string_view, 10> line = {
      where.file, ":",  number,    ": in ", where.function, ": pollard assertion failed: ",
      why,        " (", condition, ")\n"};
  print_line(line);
  std::abort();
}

}  // namespace pollard
