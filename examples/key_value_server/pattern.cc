#include <cstddef>
#include <string_view>

#include "key_value_server/commands.h"

namespace key_value {
namespace {

// One element of a pattern: whether it matches a character, and how long it is.
struct Element {
  bool matches;
  std::size_t size;
};

// A class, which begins behind its bracket. One that doesn't end, ends with the
// pattern.
Element match_class(std::string_view pattern, char character) {
  std::size_t at = 1;
  const bool inverted = at < pattern.size() && pattern[at] == '^';
  if (inverted) ++at;
  bool within = false;
  while (at < pattern.size() && pattern[at] != ']') {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) ++at;
    const auto first = static_cast<unsigned char>(pattern[at]);
    unsigned char last = first;
    if (at + 2 < pattern.size() && pattern[at + 1] == '-' && pattern[at + 2] != ']') {
      last = static_cast<unsigned char>(pattern[at + 2]);
      at += 2;
    }
    const auto value = static_cast<unsigned char>(character);
    within = within || (first <= value && value <= last) || (last <= value && value <= first);
    ++at;
  }
  if (at < pattern.size()) ++at;
  return {.matches = within != inverted, .size = at};
}

Element match_one(std::string_view pattern, char character) {
  switch (pattern.front()) {
    case '?': return {.matches = true, .size = 1};
    case '[': return match_class(pattern, character);
    case '\\':
      if (pattern.size() > 1) return {.matches = pattern[1] == character, .size = 2};
      break;
    default: break;
  }
  return {.matches = pattern.front() == character, .size = 1};
}

}  // namespace

// Where the text stops matching, the last star takes one more character; those
// before it need not change, for the last can take whatever they would have
// left.
bool matches(std::string_view pattern, std::string_view text) {
  std::string_view after_star;
  std::string_view star_text;
  bool starred = false;
  while (!text.empty()) {
    if (!pattern.empty() && pattern.front() == '*') {
      pattern.remove_prefix(1);
      after_star = pattern;
      star_text = text;
      starred = true;
      continue;
    }
    const Element element =
        pattern.empty() ? Element{.matches = false, .size = 0} : match_one(pattern, text.front());
    if (element.matches) {
      pattern.remove_prefix(element.size);
      text.remove_prefix(1);
    } else if (starred) {
      pattern = after_star;
      star_text.remove_prefix(1);
      text = star_text;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

}  // namespace key_value
