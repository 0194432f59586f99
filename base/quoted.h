// What somebody gave us, for the text of an error.
#pragma once

#include <string>
#include <string_view>

namespace pollard {

/// In single quotes, with each NUL, which would end the text, as "\0".
[[nodiscard]] inline std::string quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char letter : text) {
    if (letter == '\0') {
      quoted += "\\0";
    } else {
      quoted += letter;
    }
  }
  return quoted + '\'';
}

}  // namespace pollard
