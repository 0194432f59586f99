// The serialisation protocol of Redis (RESP2,
// redis.io/docs/reference/protocol-spec), as a server needs it: commands in,
// also such as a person types ("inline commands"), and replies out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace key_value {

/// The whole of `text` as a number; nothing for anything else.
[[nodiscard]] std::optional<std::int64_t> to_integer(std::string_view text);

/// Takes commands from the front of an input, and continues where it stopped:
/// no byte is examined again because more have come. One per connection.
class CommandParser {
 public:
  enum class Result : std::uint8_t { kCommand, kNeedMore, kError };

  static constexpr std::int64_t kMostArguments = 1024 * 1024;
  static constexpr std::int64_t kMostBytes = std::int64_t{32} << 20U;  // of an argument
  static constexpr std::size_t kLongestInline = std::size_t{64} << 10U;

  /// `input` begins where the last command ended; while there is none, it is
  /// what it was, with more behind it. After an error there is no finding the
  /// next command.
  [[nodiscard]] Result parse(std::string_view input);

  // After kCommand, until the next parse().

  /// Views into the input, or for an inline command into the parser. Empty for
  /// a command of nothing, which has no answer.
  [[nodiscard]] std::span<const std::string_view> arguments() const { return arguments_; }
  /// How much of the input it was.
  [[nodiscard]] std::size_t size() const { return at_; }

  /// After kError: what a reply says of it.
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  enum class State : std::uint8_t { kStart, kArguments, kDone };
  struct Place {
    std::size_t at;
    std::size_t size;
  };
  enum class Line : std::uint8_t { kWhole, kNeedMore, kTooLong };

  [[nodiscard]] Result parse_array(std::string_view input);
  [[nodiscard]] Result parse_argument(std::string_view input);
  [[nodiscard]] Result parse_inline(std::string_view input);
  [[nodiscard]] bool split(std::string_view line);
  [[nodiscard]] Line find_line(std::string_view input, std::size_t limit, std::string_view& line);
  [[nodiscard]] Result fail(std::string why);
  [[nodiscard]] Result finish(std::string_view input);

  State state_ = State::kStart;
  std::size_t at_ = 0;        // what of the command has been understood
  std::size_t examined_ = 0;  // no line ends before
  std::int64_t missing_ = 0;  // arguments
  std::int64_t length_ = -1;  // of the argument at at_; -1 before it is known
  std::vector<Place> places_;
  std::vector<std::string> typed_;
  std::vector<std::string_view> arguments_;
  std::string error_;
};

/// Replies, one behind the other.
class Replies {
 public:
  /// Of one reply, bytes: the longest value, and a little more. What a reply
  /// would have beyond is not kept.
  static constexpr std::size_t kMostBytes = std::size_t{33} << 20U;

  /// The next reply begins, whose size counts from here on.
  void begin() {
    began_ = text_.size();
    too_long_ = false;
  }
  /// Whether the reply has exceeded the limit, and so is not whole.
  [[nodiscard]] bool too_long() const { return too_long_; }

  void ok() { text_ += "+OK\r\n"; }
  void simple(std::string_view text);
  /// `text` begins with a code, such as ERR. What would break the line is
  /// replaced.
  void error(std::string_view text);
  void integer(std::int64_t number);
  void bulk(std::string_view bytes);
  void null() { text_ += "$-1\r\n"; }
  /// So many replies follow, which are its elements.
  void array(std::size_t size);

  [[nodiscard]] std::string& text() { return text_; }

 private:
  void number(char kind, std::int64_t value);

  std::string text_;
  std::size_t began_ = 0;  // the present reply
  bool too_long_ = false;
};

}  // namespace key_value
