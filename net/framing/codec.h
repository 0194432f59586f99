// Where messages begin and end in a stream of bytes. A codec is a small value that any number of
// connections and threads may share; it doesn't know where the bytes lie or who reads them.
// framing.h puts one between a connection and its handler.
//
//     const LengthPrefixedCodec codec({.bytes = 2, .limit = 1000});
//     const Frame frame = codec.decode(input);
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "pollard/base/error.h"

namespace pollard {

/// What stands at the front of an input.
struct Frame {
  /// What decode() has found.
  enum class Kind : std::uint8_t {
    kMessage,
    kNeedMore,  ///< nothing is wrong yet
    kError,     ///< and will stay so: there is no finding the next message
  };

  /// A message of `size` bytes, after `skip` others, of `total` bytes in all.
  [[nodiscard]] static Frame message(std::size_t skip, std::size_t size, std::size_t total) {
    return {.kind = Kind::kMessage, .skip = skip, .size = size, .total = total};
  }
  /// A beginning; `total` and `examined` as below.
  [[nodiscard]] static Frame need(std::size_t total, std::size_t examined = 0) {
    return {.kind = Kind::kNeedMore, .total = total, .examined = examined};
  }
  /// What can't become a message.
  [[nodiscard]] static Frame failed(std::error_code error) {
    return {.kind = Kind::kError, .error = error};
  }

  /// Which of the three.
  Kind kind;
  /// kMessage: the bytes before it, such as its length, and its own.
  std::size_t skip = 0;
  std::size_t size = 0;  ///< of the message itself
  /// kMessage: with all that stands around it, one at least. kNeedMore: from the front on, before
  /// which asking again is of no use.
  std::size_t total = 0;
  /// kNeedMore: so much needn't be looked at again, if it is given to the next decode().
  std::size_t examined = 0;
  std::error_code error = {};  ///< kError: what is wrong
};

/// What goes before and behind a message that is sent.
struct Envelope {
  static constexpr std::size_t kMostHead = 24;  ///< bytes

  /// What goes before the message. Lives as long as the envelope.
  [[nodiscard]] std::string_view head() const { return {head_bytes.data(), head_size}; }

  std::error_code error = {};                   ///< the codec has no way to send this message
  std::array<char, kMostHead> head_bytes = {};  ///< of which the first head_size count
  std::size_t head_size = 0;                    ///< bytes
  std::string_view tail = {};                   ///< the codec's own
};

/// A codec of your own has these two functions. decode() is given everything from the beginning of
/// a message on, and what the last answer said was `examined` of it; how the bytes were cut on
/// their way mustn't change what it finds.
template <class Type>
concept Codec = requires(const Type& codec, std::string_view bytes, std::size_t examined) {
  { codec.decode(bytes, examined) } -> std::same_as<Frame>;
  { codec.envelope(bytes) } -> std::same_as<Envelope>;
};

/// A length, then so many bytes.
class LengthPrefixedCodec {
 public:
  /// What the length looks like.
  struct Options {
    unsigned bytes = 4;                          ///< of the length: 1, 2, 4 or 8; it is unsigned
    std::endian order = std::endian::big;        ///< of the length
    bool includes_itself = false;                ///< the length counts its own bytes, too
    std::size_t limit = std::size_t{16} << 20U;  ///< of a message, without its length
  };

  LengthPrefixedCodec() = default;
  /// Throws std::invalid_argument for a length of 3 bytes.
  explicit LengthPrefixedCodec(Options options);

  /// Error::kMessageTooLong, kMalformedMessage for a length that should count itself and doesn't.
  [[nodiscard]] Frame decode(std::string_view input, std::size_t examined = 0) const;
  /// Error::kMessageTooLong, also for the length's own bytes.
  [[nodiscard]] Envelope envelope(std::string_view message) const;

 private:
  Options options_;
};

/// Bytes up to a delimiter, which is not part of the message and doesn't occur in it.
class DelimitedCodec {
 public:
  /// How long a message may be.
  struct Options {
    std::size_t limit = std::size_t{64} << 10U;  ///< of a message, without its delimiter
  };

  /// Throws std::invalid_argument for a delimiter of nothing.
  explicit DelimitedCodec(std::string delimiter)
      : DelimitedCodec(std::move(delimiter), Options()) {}
  /// The same with options.
  DelimitedCodec(std::string delimiter, Options options);

  /// Error::kMessageTooLong, as soon as it is certain.
  [[nodiscard]] Frame decode(std::string_view input, std::size_t examined = 0) const;
  /// Error::kMessageTooLong, kMalformedMessage for a message that contains the delimiter.
  [[nodiscard]] Envelope envelope(std::string_view message) const;

 private:
  std::string delimiter_;
  Options options_;
};

/// Lines of a text protocol. They may end with LF or CRLF; neither is part of the message. For
/// lines that end with CRLF alone: DelimitedCodec("\r\n").
class LineCodec {
 public:
  /// A line feed, or a carriage return before it.
  enum class End : std::uint8_t { kLf, kCrLf };
  /// How long a line may be, and how it ends when it is sent.
  struct Options {
    std::size_t limit = std::size_t{64} << 10U;  ///< of a line, without its end
    End end = End::kLf;                          ///< of what is sent
  };

  LineCodec() = default;
  /// A value, like the other codecs.
  explicit LineCodec(Options options) : options_(options) {}

  /// Error::kMessageTooLong, as soon as it is certain.
  [[nodiscard]] Frame decode(std::string_view input, std::size_t examined = 0) const;
  /// Error::kMessageTooLong, kMalformedMessage for a message that is not one line.
  [[nodiscard]] Envelope envelope(std::string_view message) const;

 private:
  Options options_;
};

/// Always as many bytes.
class FixedSizeCodec {
 public:
  /// Throws std::invalid_argument for a size of zero.
  explicit FixedSizeCodec(std::size_t size);

  /// Never an error.
  [[nodiscard]] Frame decode(std::string_view input, std::size_t examined = 0) const;
  /// Error::kMalformedMessage for a message of another size.
  [[nodiscard]] Envelope envelope(std::string_view message) const;

 private:
  std::size_t size_;
};

}  // namespace pollard
