// Codecs: what they find doesn't depend on how the bytes were cut, limits hold to the byte, and no
// length is large enough to fool them.
#include "pollard/net/framing/codec.h"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/net/bytes/buffer.h"
#include "pollard/net/framing/framing.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/effort.h"
#include "pollard/tests/support/frame_reader.h"

namespace pollard::testing {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Kind = Frame::Kind;

template <Codec Framing>
Read read_whole(const Framing& codec, std::string_view stream) {
  return read_in_pieces(codec, {stream});
}

/// Each way to cut the stream in three, of which pieces may be empty, and byte by byte.
template <Codec Framing>
void expect_every_split(const Framing& codec, std::string_view stream, const Read& expected) {
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = first; second <= stream.size(); ++second) {
      const Read read = read_in_pieces(
          codec,
          {stream.substr(0, first), stream.substr(first, second - first), stream.substr(second)});
      if (read == expected) continue;
      BOOST_FAIL("cut at " << first << " and " << second << ": " << read << " instead of "
                           << expected);
    }
  }
  BOOST_TEST(read_bytewise(codec, stream) == expected);
}

template <Codec Framing>
std::string wire(const Framing& codec, const std::vector<std::string>& messages) {
  Buffer output;
  for (const std::string& message : messages) {
    BOOST_TEST_REQUIRE(append_framed(output, codec, message) == std::error_code());
  }
  return output.take();
}

/// Every two of these behind each other, in every cut.
template <Codec Framing>
void expect_round_trips(const Framing& codec, const std::vector<std::string>& some) {
  for (const std::string& first : some) {
    for (const std::string& second : some) {
      const std::vector<std::string> messages = {first, second};
      expect_every_split(codec, wire(codec, messages),
                         {.messages = messages, .error = {}, .rest = ""});
    }
  }
}

template <Codec Framing>
std::error_code refusal(const Framing& codec, std::string_view message) {
  return codec.envelope(message).error;
}

std::vector<LengthPrefixedCodec::Options> every_kind_of_length() {
  std::vector<LengthPrefixedCodec::Options> kinds;
  for (const unsigned bytes : {1U, 2U, 4U, 8U}) {
    for (const std::endian order : {std::endian::big, std::endian::little}) {
      for (const bool includes_itself : {false, true}) {
        kinds.push_back({.bytes = bytes, .order = order, .includes_itself = includes_itself});
      }
    }
  }
  return kinds;
}

/// A length as the peer writes it, by other means than the codec's.
std::string length(const LengthPrefixedCodec::Options& kind, std::uint64_t number) {
  std::string little;
  for (unsigned i = 0; i < kind.bytes; ++i) little += static_cast<char>(number >> 8U * i & 0xffU);
  if (kind.order == std::endian::little) return little;
  return {little.rbegin(), little.rend()};
}

BOOST_AUTO_TEST_SUITE(codec)

// ---- Length-prefixed ----

BOOST_AUTO_TEST_CASE(a_length_looks_on_the_wire_as_agreed) {
  const auto says = [](LengthPrefixedCodec::Options options) {
    return wire(LengthPrefixedCodec(options), {"ab"});
  };
  constexpr auto kLittle = std::endian::little;
  BOOST_TEST(wire(LengthPrefixedCodec(), {"ab"}) == "\0\0\0\2ab"s);
  BOOST_TEST(says({.bytes = 1}) == "\2ab"s);
  BOOST_TEST(says({.bytes = 2}) == "\0\2ab"s);
  BOOST_TEST(says({.bytes = 8}) == "\0\0\0\0\0\0\0\2ab"s);
  BOOST_TEST(says({.bytes = 2, .order = kLittle}) == "\2\0ab"s);
  BOOST_TEST(says({.bytes = 4, .order = kLittle}) == "\2\0\0\0ab"s);
  BOOST_TEST(says({.bytes = 4, .order = kLittle, .includes_itself = true}) == "\6\0\0\0ab"s);
  BOOST_TEST(says({.bytes = 1, .includes_itself = true}) == "\3ab"s);
}

BOOST_AUTO_TEST_CASE(length_prefixed_messages_survive_every_split_and_concatenation) {
  for (const LengthPrefixedCodec::Options& kind : every_kind_of_length()) {
    expect_round_trips(LengthPrefixedCodec(kind), {"", "x", "\0\0\0\0"s, "longer"});
  }
}

BOOST_AUTO_TEST_CASE(a_length_up_to_the_limit_is_good_and_the_next_is_not) {
  for (LengthPrefixedCodec::Options kind : every_kind_of_length()) {
    for (const std::size_t limit : {0U, 1U, 100U, 200U}) {
      kind.limit = limit;
      const LengthPrefixedCodec codec(kind);
      const unsigned itself = kind.includes_itself ? kind.bytes : 0;
      const std::string good = length(kind, limit + itself) + std::string(limit, 'x');
      const std::string bad = length(kind, limit + 1 + itself);
      BOOST_TEST(read_whole(codec, good).messages.size() == 1U);
      BOOST_TEST(read_whole(codec, good).rest == "");
      BOOST_TEST(read_whole(codec, bad).error == Error::kMessageTooLong, "it waits for the body");
      BOOST_TEST(read_bytewise(codec, good + bad).error == Error::kMessageTooLong);
      BOOST_TEST(read_bytewise(codec, good + bad).messages.size() == 1U);
      BOOST_TEST(refusal(codec, std::string(limit, 'x')) == std::error_code());
      BOOST_TEST(refusal(codec, std::string(limit + 1, 'x')) == Error::kMessageTooLong);
    }
  }
}

BOOST_AUTO_TEST_CASE(hostile_lengths_are_too_long_at_every_limit) {
  constexpr std::uint64_t kHostile[] = {UINT64_MAX,          UINT64_MAX - 1,  UINT64_MAX - 7,
                                        UINT64_MAX - 8,      UINT64_MAX >> 1, (UINT64_MAX >> 1) + 1,
                                        UINT64_MAX << 32U,   0x80000000U,     0xffffffffU,
                                        0x8000000000000000U, 0x7fffffffU,     0xfffffffcU};
  for (LengthPrefixedCodec::Options kind : every_kind_of_length()) {
    if (kind.bytes < 4) continue;
    const LengthPrefixedCodec codec(kind);
    kind.limit = std::numeric_limits<std::size_t>::max();
    const LengthPrefixedCodec limitless(kind);
    for (const std::uint64_t hostile : kHostile) {
      const std::string head = length(kind, hostile);
      const std::uint64_t seen = kind.bytes == 8 ? hostile : hostile & 0xffffffffU;
      if (seen < 0x7fffffffU) continue;
      BOOST_TEST(read_whole(codec, head + "body").error == Error::kMessageTooLong);
      // Without a limit it is the longest that memory could hold, or too long.
      const Frame frame = limitless.decode(head + "body");
      if (frame.kind == Kind::kNeedMore) {
        BOOST_TEST(frame.total > 0x7fffffffU - 8);
        BOOST_TEST(frame.total <= std::size_t{std::numeric_limits<std::ptrdiff_t>::max()});
      } else {
        BOOST_TEST(frame.error == Error::kMessageTooLong);
        BOOST_TEST(seen > std::uint64_t{std::numeric_limits<std::ptrdiff_t>::max()} - 8);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_length_that_counts_itself_is_at_least_its_own) {
  for (const LengthPrefixedCodec::Options& kind : every_kind_of_length()) {
    if (!kind.includes_itself) continue;
    const LengthPrefixedCodec codec(kind);
    for (unsigned less = 0; less < kind.bytes; ++less) {
      expect_every_split(codec, length(kind, kind.bytes) + length(kind, less),
                         {.messages = {""}, .error = Error::kMalformedMessage, .rest = ""});
    }
  }
}

BOOST_AUTO_TEST_CASE(a_length_of_few_bytes_is_a_limit_of_its_own) {
  const LengthPrefixedCodec one({.bytes = 1});
  BOOST_TEST(refusal(one, std::string(255, 'x')) == std::error_code());
  BOOST_TEST(refusal(one, std::string(256, 'x')) == Error::kMessageTooLong);
  const LengthPrefixedCodec itself({.bytes = 1, .includes_itself = true});
  BOOST_TEST(refusal(itself, std::string(254, 'x')) == std::error_code());
  BOOST_TEST(refusal(itself, std::string(255, 'x')) == Error::kMessageTooLong);
  const LengthPrefixedCodec two({.bytes = 2});
  BOOST_TEST(refusal(two, std::string(65535, 'x')) == std::error_code());
  BOOST_TEST(refusal(two, std::string(65536, 'x')) == Error::kMessageTooLong);
}

BOOST_AUTO_TEST_CASE(a_length_of_three_bytes_is_refused_in_words) {
  for (const unsigned bytes : {0U, 3U, 5U, 16U, 4000000000U}) {
    BOOST_CHECK_EXCEPTION(LengthPrefixedCodec({.bytes = bytes}), std::invalid_argument,
                          [&](const std::invalid_argument& error) {
                            const std::string said = error.what();
                            return said.find("1, 2, 4 or 8") != std::string::npos &&
                                   said.ends_with("not " + std::to_string(bytes));
                          });
  }
}

BOOST_AUTO_TEST_CASE(the_need_of_a_length_and_its_body_is_known) {
  const LengthPrefixedCodec codec({.bytes = 2});
  BOOST_TEST(codec.decode("").total == 2U);
  BOOST_TEST(codec.decode("\0"s).total == 2U);
  BOOST_TEST(codec.decode("\1\0"s).total == 258U);
  BOOST_TEST(codec.decode("\1\0x"s).total == 258U);
}

// ---- DelimitedCodec ----

BOOST_AUTO_TEST_CASE(delimited_messages_survive_every_split_and_concatenation) {
  expect_round_trips(DelimitedCodec("\0"s), {"", "x", "some words"});
  expect_round_trips(DelimitedCodec("\r\n"), {"", "\n", "x\rx", "\n\r\r\rx"});
  expect_round_trips(DelimitedCodec("\r\n.\r\n"), {"", "x\r\n", "\r\n.\rx"});
  expect_round_trips(DelimitedCodec("aab"), {"", "aba", "baa0"});
}

BOOST_AUTO_TEST_CASE(a_delimited_message_up_to_the_limit_is_good_and_the_next_is_not) {
  for (const std::string delimiter : {"|", "--", "0123456789"}) {
    for (const std::size_t limit : {0U, 1U, 2U, 9U, 10U, 11U, 100U}) {
      const DelimitedCodec codec(delimiter, {.limit = limit});
      const std::string good = std::string(limit, 'x');
      const std::string bad = std::string(limit + 1, 'x');
      BOOST_TEST(read_whole(codec, good + delimiter).messages.front() == good);
      BOOST_TEST(read_bytewise(codec, good + delimiter).messages.front() == good);
      BOOST_TEST(read_whole(codec, bad + delimiter).error == Error::kMessageTooLong);
      BOOST_TEST(read_bytewise(codec, bad + delimiter).error == Error::kMessageTooLong);
      BOOST_TEST(refusal(codec, good) == std::error_code());
      BOOST_TEST(refusal(codec, bad) == Error::kMessageTooLong);
      // No more is kept than could still become a message.
      const std::string endless = good + delimiter.substr(1) + "x";
      BOOST_TEST(read_bytewise(codec, endless).error == Error::kMessageTooLong);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_delimiter_of_nothing_is_refused) {
  BOOST_CHECK_THROW(DelimitedCodec(""), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(what_the_delimiter_would_cut_is_not_sent) {
  BOOST_TEST(refusal(DelimitedCodec("|"), "a|b") == Error::kMalformedMessage);
  BOOST_TEST(refusal(DelimitedCodec("--"), "a--b") == Error::kMalformedMessage);
  BOOST_TEST(refusal(DelimitedCodec("--"), "a-b") == std::error_code());
  // The end of the message and the beginning of the delimiter would be one.
  BOOST_TEST(refusal(DelimitedCodec("--"), "a-") == Error::kMalformedMessage);
  BOOST_TEST(refusal(DelimitedCodec("aba"), "xab") == Error::kMalformedMessage);
  BOOST_TEST(refusal(DelimitedCodec("aab"), "a") == std::error_code());
}

// ---- Lines ----

BOOST_AUTO_TEST_CASE(lines_survive_every_split_and_concatenation) {
  for (const LineCodec::End end : {LineCodec::End::kLf, LineCodec::End::kCrLf}) {
    expect_round_trips(LineCodec({.end = end}), {"", "x", "\r\rx", "two words"});
  }
}

BOOST_AUTO_TEST_CASE(lines_of_both_ends_may_be_mixed) {
  expect_every_split(
      LineCodec(), "one\ntwo\r\n\r\n\nthree\rfour\n\r\r\n\rrest",
      {.messages = {"one", "two", "", "", "three\rfour", "\r"}, .error = {}, .rest = "\rrest"});
}

BOOST_AUTO_TEST_CASE(a_line_up_to_the_limit_is_good_and_the_next_is_not) {
  for (const std::size_t limit : {0U, 1U, 2U, 30U}) {
    const LineCodec codec({.limit = limit});
    const std::string good = std::string(limit, 'x');
    const std::string bad = std::string(limit + 1, 'x');
    for (const std::string end : {"\n", "\r\n"}) {
      expect_every_split(codec, good + end + good + end,
                         {.messages = {good, good}, .error = {}, .rest = ""});
      expect_every_split(codec, good + end + bad + end,
                         {.messages = {good}, .error = Error::kMessageTooLong, .rest = ""});
    }
    BOOST_TEST(read_bytewise(codec, bad).error == Error::kMessageTooLong, "it waits for the end");
    BOOST_TEST(read_bytewise(codec, good + "\r").rest == good + "\r");
    BOOST_TEST(read_bytewise(codec, good + "\r\r").error == Error::kMessageTooLong);
    BOOST_TEST(refusal(codec, good) == std::error_code());
    BOOST_TEST(refusal(codec, bad) == Error::kMessageTooLong);
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_one_line_is_not_sent) {
  BOOST_TEST(refusal(LineCodec(), "a\nb") == Error::kMalformedMessage);
  BOOST_TEST(refusal(LineCodec(), "a\n") == Error::kMalformedMessage);
  BOOST_TEST(refusal(LineCodec(), "a\r") == Error::kMalformedMessage);
  BOOST_TEST(refusal(LineCodec(), "a\rb") == std::error_code());
}

// ---- Fixed size ----

BOOST_AUTO_TEST_CASE(messages_of_a_fixed_size_survive_every_split_and_concatenation) {
  expect_round_trips(FixedSizeCodec(1), {"x", "\0"s});
  expect_round_trips(FixedSizeCodec(5), {"abcde", "\0\1\2\3\4"s, "\n\n\n\n\n"});
}

BOOST_AUTO_TEST_CASE(a_fixed_size_is_the_only_one) {
  BOOST_TEST(refusal(FixedSizeCodec(5), "abcd") == Error::kMalformedMessage);
  BOOST_TEST(refusal(FixedSizeCodec(5), "abcdef") == Error::kMalformedMessage);
  BOOST_TEST(FixedSizeCodec(5).decode("ab").total == 5U);
  BOOST_CHECK_THROW(FixedSizeCodec(0), std::invalid_argument);
}

// ---- All ----

/// Calls `check` with codecs whose limits random bytes run into.
template <class Check>
void for_every_codec(Check check) {
  for (LengthPrefixedCodec::Options kind : every_kind_of_length()) {
    kind.limit = 40;
    check(LengthPrefixedCodec(kind));
  }
  check(DelimitedCodec("|", {.limit = 40}));
  check(DelimitedCodec("||", {.limit = 40}));
  check(DelimitedCodec("|a|a", {.limit = 40}));
  check(LineCodec({.limit = 40}));
  check(FixedSizeCodec(7));
}

// Rarely the bytes that mean something by themselves, so that all of them occur.
std::string noise(SplitMix64& random, std::size_t size) {
  constexpr std::string_view kCharacters = "\0\1\2\5\n\r|a"sv;
  std::string made;
  while (made.size() < size) {
    const bool any = random.up_to(5) == 0;
    made += any ? static_cast<char>(random.up_to(255))
                : kCharacters[random.up_to(kCharacters.size() - 1)];
  }
  return made;
}

BOOST_AUTO_TEST_CASE(any_bytes_are_found_to_be_the_same_in_any_cut) {
  SplitMix64 random(7);
  for (std::uint64_t round = 0; round < repeated(300); ++round) {
    const std::string stream = noise(random, random.up_to(200U));
    for_every_codec([&](const auto& codec) {
      const Read whole = read_whole(codec, stream);
      BOOST_TEST_REQUIRE(read_bytewise(codec, stream) == whole);
      FrameReader reader(codec);
      for (std::string_view rest = stream; !rest.empty();) {
        const std::size_t piece = random.up_to(std::min<std::size_t>(rest.size(), 20));
        reader.feed(rest.substr(0, piece));
        rest.remove_prefix(piece);
      }
      BOOST_TEST_REQUIRE(reader.read() == whole);
    });
  }
}

BOOST_AUTO_TEST_CASE(a_message_byte_by_byte_is_examined_once) {
  const std::string body(20'000, 'x');
  const auto cost = [](const auto& codec, const std::string& stream) {
    const Read read = read_bytewise(codec, stream);
    BOOST_TEST(read.messages.size() == 1U);
    return read.examined;
  };
  // Each byte once, and what may be the beginning of a delimiter once for each byte of it.
  BOOST_TEST(cost(LineCodec(), body + "\r\n") == body.size() + 2);
  BOOST_TEST(cost(DelimitedCodec("|"), body + "|") == body.size() + 1);
  BOOST_TEST(cost(DelimitedCodec("\r\n.\r\n"), body + "\r\n.\r\n") <= 5 * (body.size() + 5));
  // Twice at all: for the length, and for the whole.
  BOOST_TEST(cost(LengthPrefixedCodec(), length({}, body.size()) + body) <= 2 * (body.size() + 4));
  BOOST_TEST(cost(FixedSizeCodec(body.size()), body) <= 2 * body.size());
}

BOOST_AUTO_TEST_CASE(what_was_examined_is_not_looked_at_again) {
  // If it were, the delimiter in it would be found.
  BOOST_TEST((LineCodec().decode("a\nb", 2).kind == Kind::kNeedMore));
  BOOST_TEST((DelimitedCodec("--").decode("a--b", 2).kind == Kind::kNeedMore));
}

BOOST_AUTO_TEST_CASE(an_error_in_adding_a_message_adds_nothing) {
  Buffer output("before");
  BOOST_TEST(append_framed(output, LineCodec(), "a\nb") == Error::kMalformedMessage);
  BOOST_TEST(output.view() == "before");
  BOOST_TEST(append_framed(output, LengthPrefixedCodec({.limit = 2}), "abc") ==
             Error::kMessageTooLong);
  BOOST_TEST(output.view() == "before");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
