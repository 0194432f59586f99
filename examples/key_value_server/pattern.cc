#include "key_value_server/pattern.h"

#include <algorithm>
#include <limits>

namespace key_value {

Pattern::Pattern(std::string_view text) {
  while (!text.empty()) {
    if (text.front() != '*') {
      elements_.push_back(take_one(text));
    } else {
      text.remove_prefix(1);
      if (elements_.empty() || !elements_.back().star) elements_.push_back({.star = true});
    }
  }
}

// Behind its bracket. A class that doesn't end, ends with the pattern.
Pattern::Element Pattern::take_class(std::string_view& pattern) {
  Element element;
  const bool inverted = pattern.starts_with('^');
  if (inverted) pattern.remove_prefix(1);
  while (!pattern.empty() && pattern.front() != ']') {
    if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
    std::size_t first = static_cast<unsigned char>(pattern.front());
    std::size_t last = first;
    if (pattern.size() > 2 && pattern[1] == '-' && pattern[2] != ']') {
      last = static_cast<unsigned char>(pattern[2]);
      pattern.remove_prefix(2);
    }
    if (first > last) std::swap(first, last);
    for (std::size_t character = first; character <= last; ++character) {
      element.accepts.set(character);
    }
    pattern.remove_prefix(1);
  }
  if (!pattern.empty()) pattern.remove_prefix(1);
  if (inverted) element.accepts.flip();
  return element;
}

Pattern::Element Pattern::take_one(std::string_view& pattern) {
  Element element;
  const char first = pattern.front();
  pattern.remove_prefix(1);
  if (first == '[') return take_class(pattern);
  if (first == '?') {
    element.accepts.set();
  } else if (first == '\\' && !pattern.empty()) {
    element.accepts.set(static_cast<unsigned char>(pattern.front()));
    pattern.remove_prefix(1);
  } else {
    element.accepts.set(static_cast<unsigned char>(first));
  }
  return element;
}

// Where the text stops matching, the last star takes one more character; those before it need not
// change, for the last can take whatever they would have left.
bool Pattern::matches(std::string_view text, std::size_t& budget) const {
  constexpr std::size_t kNoStar = std::numeric_limits<std::size_t>::max();
  std::size_t element = 0;
  std::size_t at = 0;
  std::size_t behind_star = kNoStar;
  std::size_t star_at = 0;
  while (at < text.size()) {
    if (element < elements_.size() && elements_[element].star) {
      behind_star = ++element;
      star_at = at;
      if (element == elements_.size()) return true;  // it takes the rest
    } else if (element < elements_.size() &&
               elements_[element].accepts.test(static_cast<unsigned char>(text[at]))) {
      ++element;
      ++at;
    } else if (behind_star == kNoStar) {
      return false;
    } else {
      const std::size_t again = at - star_at;  // characters that are looked at a second time
      if (again > budget) {
        budget = 0;
        return false;
      }
      budget -= again;
      element = behind_star;
      at = ++star_at;
    }
  }
  return std::all_of(elements_.begin() + static_cast<std::ptrdiff_t>(element), elements_.end(),
                     [](const Element& rest) { return rest.star; });
}

bool matches(std::string_view pattern, std::string_view text) {
  std::size_t budget = std::numeric_limits<std::size_t>::max();
  return Pattern(pattern).matches(text, budget);
}

}  // namespace key_value
