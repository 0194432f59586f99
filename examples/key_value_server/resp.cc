#include "key_value_server/resp.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace key_value {
namespace {

// "*1048576\r\n" and the like; longer is no number that we accept.
constexpr std::size_t kLongestNumber = 32;

bool is_space(char character) { return character == ' ' || character == '\t'; }

std::optional<char> hexadecimal(std::string_view two) {
  int value = 0;
  const auto [end, error] = std::from_chars(two.data(), two.data() + two.size(), value, 16);
  if (two.size() != 2 || error != std::errc() || end != two.data() + 2) return std::nullopt;
  return static_cast<char>(value);
}

char unescaped(char character) {
  switch (character) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return character;
  }
}

// A command of very many arguments leaves no memory behind.
template <class Element>
void forget(std::vector<Element>& elements) {
  constexpr std::size_t kKept = 64;
  elements.clear();
  if (elements.capacity() > kKept) elements = {};
}

// Takes a word in quotes, which `rest` begins with, off its front; false when
// it doesn't end.
bool take_quoted(std::string_view& rest, std::string& word) {
  const char quote = rest.front();
  rest.remove_prefix(1);
  while (!rest.empty() && rest.front() != quote) {
    if (rest.front() != '\\' || rest.size() < 2 || (quote == '\'' && rest[1] != '\'')) {
      word += rest.front();
      rest.remove_prefix(1);
      continue;
    }
    const std::optional<char> byte = rest[1] == 'x' ? hexadecimal(rest.substr(2, 2)) : std::nullopt;
    word += byte.value_or(unescaped(rest[1]));
    rest.remove_prefix(byte.has_value() ? 4 : 2);
  }
  if (rest.empty()) return false;
  rest.remove_prefix(1);
  return rest.empty() || is_space(rest.front());
}

}  // namespace

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

// ---- Commands ----

CommandParser::Result CommandParser::parse(std::string_view input) {
  if (state_ == State::kDone) {
    state_ = State::kStart;
    at_ = examined_ = 0;
    length_ = -1;
    forget(places_);
    forget(typed_);
    forget(arguments_);
  }
  if (input.empty()) return Result::kNeedMore;
  if (state_ == State::kArguments || input.front() == '*') return parse_array(input);
  return parse_inline(input);
}

CommandParser::Result CommandParser::parse_array(std::string_view input) {
  if (state_ == State::kStart) {
    std::string_view line;
    const Line found = find_line(input, kLongestNumber, line);
    if (found == Line::kNeedMore) return Result::kNeedMore;
    const auto count = found == Line::kWhole ? to_integer(line.substr(1)) : std::nullopt;
    if (!count.has_value() || *count > kMostArguments) {
      return fail("invalid multibulk length");
    }
    missing_ = std::max<std::int64_t>(*count, 0);
    state_ = State::kArguments;
  }
  while (missing_ > 0) {
    const Result result = parse_argument(input);
    if (result != Result::kCommand) return result;
    --missing_;
  }
  return finish(input);
}

CommandParser::Result CommandParser::parse_argument(std::string_view input) {
  if (length_ < 0) {
    if (at_ == input.size()) return Result::kNeedMore;
    if (input[at_] != '$') {
      return fail(std::string("expected '$', got '") + input[at_] + "'");
    }
    std::string_view line;
    const Line found = find_line(input, kLongestNumber, line);
    if (found == Line::kNeedMore) return Result::kNeedMore;
    const auto length = found == Line::kWhole ? to_integer(line.substr(1)) : std::nullopt;
    if (!length.has_value() || *length < 0 || *length > kMostBytes) {
      return fail("invalid bulk length");
    }
    length_ = *length;
  }
  const auto size = static_cast<std::size_t>(length_);
  if (input.size() - at_ < size + 2) return Result::kNeedMore;
  if (input.substr(at_ + size, 2) != "\r\n") return fail("a bulk string doesn't end with CRLF");
  places_.push_back({.at = at_, .size = size});
  at_ += size + 2;
  examined_ = at_;
  length_ = -1;
  return Result::kCommand;
}

// Hands the line at at_ out, without its end, and goes behind it.
CommandParser::Line CommandParser::find_line(std::string_view input, std::size_t limit,
                                             std::string_view& line) {
  const std::size_t newline = input.find('\n', std::max(examined_, at_));
  const bool ended = newline != std::string_view::npos;
  if ((ended ? newline : input.size()) - at_ > limit) return Line::kTooLong;
  if (!ended) {
    examined_ = input.size();
    return Line::kNeedMore;
  }
  line = input.substr(at_, newline - at_);
  if (line.ends_with('\r')) line.remove_suffix(1);
  at_ = examined_ = newline + 1;
  return Line::kWhole;
}

CommandParser::Result CommandParser::parse_inline(std::string_view input) {
  std::string_view line;
  switch (find_line(input, kLongestInline, line)) {
    case Line::kNeedMore: return Result::kNeedMore;
    case Line::kTooLong: return fail("too big inline request");
    case Line::kWhole: break;
  }
  if (!split(line)) return fail("unbalanced quotes in request");
  arguments_.assign(typed_.begin(), typed_.end());
  state_ = State::kDone;
  return Result::kCommand;
}

// Into words, of which some may stand in quotes.
bool CommandParser::split(std::string_view line) {
  while (true) {
    while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
    if (line.empty()) return true;
    std::string& word = typed_.emplace_back();
    while (!line.empty() && !is_space(line.front())) {
      if (line.front() != '"' && line.front() != '\'') {
        word += line.front();
        line.remove_prefix(1);
      } else if (!take_quoted(line, word)) {
        return false;
      }
    }
  }
}

CommandParser::Result CommandParser::finish(std::string_view input) {
  for (const Place& place : places_) arguments_.push_back(input.substr(place.at, place.size));
  state_ = State::kDone;
  return Result::kCommand;
}

CommandParser::Result CommandParser::fail(std::string why) {
  error_ = "ERR Protocol error: " + std::move(why);
  return Result::kError;
}

// ---- Replies ----

void Replies::number(char kind, std::int64_t value) {
  std::array<char, 24> digits{};
  digits[0] = kind;
  char* end = std::to_chars(digits.data() + 1, digits.data() + digits.size(), value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  text_.append(digits.data(), end);
}

void Replies::simple(std::string_view text) {
  text_ += '+';
  text_ += text;
  text_ += "\r\n";
}

void Replies::error(std::string_view text) {
  text_ += '-';
  for (const char character : text) {
    const bool prints = character >= ' ' && character <= '~';
    text_ += prints ? character : '?';
  }
  text_ += "\r\n";
}

void Replies::integer(std::int64_t value) { number(':', value); }

void Replies::bulk(std::string_view bytes) {
  too_long_ = too_long_ || bytes.size() > kMostBytes - (text_.size() - began_);
  if (too_long_) return;
  number('$', static_cast<std::int64_t>(bytes.size()));
  text_ += bytes;
  text_ += "\r\n";
}

void Replies::array(std::size_t size) { number('*', static_cast<std::int64_t>(size)); }

}  // namespace key_value
