// As much of JSON (RFC 8259) as the example programs write.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

namespace examples {

/// `text`, which is UTF-8, as a JSON string with its quotes.
inline std::string to_json(std::string_view text) {
  std::string json = "\"";
  for (const char character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      json += {'\\', character};
    } else if (code < 0x20) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", code);
      json += escape.data();
    } else {
      json += character;
    }
  }
  return json + '"';
}

}  // namespace examples
