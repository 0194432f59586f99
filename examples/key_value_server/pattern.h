// Patterns of keys, as KEYS and SCAN have them: * is any text, ? any character, [a-c] or [^a-c] one
// of these or none of them, and \ takes the meaning from what follows.
#pragma once

#include <bitset>
#include <cstddef>
#include <string_view>
#include <vector>

namespace key_value {

/// A pattern that many texts are compared with. One thread.
class Pattern {
 public:
  static constexpr std::size_t kLongest = 4096;  ///< bytes, for what peers send

  explicit Pattern(std::string_view text);

  /// Whether `text` matches all of the pattern. Steps beyond one for each byte of the text are
  /// taken from `budget`; without budget, it is no match.
  [[nodiscard]] bool matches(std::string_view text, std::size_t& budget) const;

 private:
  struct Element {
    bool star = false;
    std::bitset<256> accepts = {};  // characters, unless it is a star
  };

  static Element take_class(std::string_view& pattern);
  static Element take_one(std::string_view& pattern);

  std::vector<Element> elements_;
};

/// Whether `text` matches `pattern`, however long that takes: the product of their lengths at the
/// most.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);

}  // namespace key_value
