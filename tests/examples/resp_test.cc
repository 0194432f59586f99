// The parser of the key-value server: the same commands in every cut, and no
// memory for a promise.
#include "key_value_server/resp.h"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/base/random.h"

namespace key_value {
namespace {

using namespace std::string_literals;
using Result = CommandParser::Result;

/// What a parser made of a stream: "[SET|a|1][GET|a]", then perhaps "error: …",
/// or what is left.
std::string parsed(const std::vector<std::string_view>& pieces) {
  CommandParser parser;
  std::string made;
  std::string input;
  for (const std::string_view piece : pieces) {
    input += piece;
    while (true) {
      const Result result = parser.parse(input);
      if (result == Result::kError) return made + "error: " + parser.error();
      if (result == Result::kNeedMore) break;
      made += '[';
      for (std::size_t i = 0; i < parser.arguments().size(); ++i) {
        if (i > 0) made += '|';
        made += parser.arguments()[i];
      }
      made += ']';
      input.erase(0, parser.size());
    }
  }
  return made + input;
}

void expect_in_every_cut(std::string_view stream, std::string_view expected) {
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = first; second <= stream.size(); ++second) {
      const std::string made = parsed(
          {stream.substr(0, first), stream.substr(first, second - first), stream.substr(second)});
      BOOST_REQUIRE_MESSAGE(made == expected, "cut at " << first << " and " << second << ": "
                                                        << made << " instead of " << expected);
    }
  }
  std::vector<std::string_view> bytes;
  for (const char& byte : stream) bytes.emplace_back(&byte, 1);
  BOOST_TEST(parsed(bytes) == expected);
}

BOOST_AUTO_TEST_SUITE(resp)

BOOST_AUTO_TEST_CASE(commands_survive_every_split_and_concatenation) {
  expect_in_every_cut(
      "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n*2\r\n$"
      "3\r\nGET\r\n$4\r\n\r\n*2\r\n",
      "[SET|a|][GET|\r\n*2]");
  expect_in_every_cut("*1\r\n$4\r\nPING\r\nPING\r\nping 1\n*1\r\n$1\r\nx\r\n",
                      "[PING][PING][ping|1][x]");
}

BOOST_AUTO_TEST_CASE(a_command_of_nothing_is_one_without_arguments) {
  expect_in_every_cut("*0\r\n\r\n*-1\r\n   \r\n\nPING\r\n", "[][][][][][PING]");
}

BOOST_AUTO_TEST_CASE(what_a_person_types_may_have_quotes) {
  expect_in_every_cut("set \"a b\" 'c\"d'\r\n", "[set|a b|c\"d]");
  expect_in_every_cut("echo \"\\x41\\n\\\"\\\\\"\n", "[echo|A\n\"\\]");
  expect_in_every_cut("echo 'it\\'s' \"\" ''\n", "[echo|it's||]");
  expect_in_every_cut("  a\tb  \n", "[a|b]");
  const std::string unbalanced = "error: ERR Protocol error: unbalanced quotes in request";
  for (const std::string_view line : {"echo \"a\n", "echo 'a\n", "echo \"a\"b\n", "echo \"a\\\n"}) {
    expect_in_every_cut(line, unbalanced);
  }
}

BOOST_AUTO_TEST_CASE(what_breaks_the_protocol_is_told) {
  const auto error = [](std::string_view why) {
    return "error: ERR Protocol error: " + std::string(why);
  };
  expect_in_every_cut("*x\r\n", error("invalid multibulk length"));
  expect_in_every_cut("*\r\n", error("invalid multibulk length"));
  expect_in_every_cut("*1\r\nPING\r\n", error("expected '$', got 'P'"));
  expect_in_every_cut("*1\r\n$-1\r\n", error("invalid bulk length"));
  expect_in_every_cut("*1\r\n$\r\n", error("invalid bulk length"));
  expect_in_every_cut("*1\r\n$1\r\nab\r\n", error("a bulk string doesn't end with CRLF"));
}

BOOST_AUTO_TEST_CASE(hostile_lengths_are_refused) {
  for (const std::string length :
       {"9223372036854775807", "9223372036854775808", "18446744073709551615", "4294967296",
        "-9223372036854775809", "1e9", "0x10", "+1", " 1"}) {
    BOOST_TEST(parsed({"*" + length + "\r\n"}).starts_with("error: "), length);
    BOOST_TEST(parsed({"*1\r\n$" + length + "\r\n"}).starts_with("error: "), length);
  }
  BOOST_TEST(parsed({"*1048577\r\n"}).starts_with("error: "));
  BOOST_TEST(parsed({"*1048576\r\n"}) == "*1048576\r\n");
  const std::int64_t most = CommandParser::kMostBytes;
  BOOST_TEST(parsed({"*1\r\n$" + std::to_string(most + 1) + "\r\n"}).starts_with("error: "));
  const std::string allowed = "*1\r\n$" + std::to_string(most) + "\r\n";
  BOOST_TEST(parsed({allowed}) == allowed);
}

BOOST_AUTO_TEST_CASE(an_endless_line_is_refused) {
  BOOST_TEST(parsed({"*" + std::string(100, '1')}).starts_with("error: "));
  BOOST_TEST(parsed({"*1\r\n$" + std::string(100, '1')}).starts_with("error: "));
  const std::string longest(CommandParser::kLongestInline, 'x');
  BOOST_TEST(parsed({longest + "\n"}) == "[" + longest + "]");
  BOOST_TEST(parsed({longest + "x"}) == "error: ERR Protocol error: too big inline request");
}

BOOST_AUTO_TEST_CASE(any_bytes_mean_the_same_in_any_cut) {
  pollard::SplitMix64 random(3);
  constexpr std::string_view kCharacters = "*$123\r\n\r\n\r\nab \"'-";
  for (int round = 0; round < 3000; ++round) {
    std::string stream = round % 2 == 0 ? "*1\r\n$" : "";
    for (std::size_t size = random.up_to(40U); size > 0; --size) {
      stream += kCharacters[random.up_to(kCharacters.size() - 1)];
    }
    std::vector<std::string_view> bytes;
    for (const char& byte : stream) bytes.emplace_back(&byte, 1);
    BOOST_TEST_REQUIRE(parsed(bytes) == parsed({stream}), stream);
  }
}

BOOST_AUTO_TEST_CASE(replies_look_as_the_protocol_says) {
  Replies replies;
  replies.ok();
  replies.simple("PONG");
  replies.error("ERR no\r\nsuch");
  replies.integer(std::numeric_limits<std::int64_t>::min());
  replies.bulk("a\r\n");
  replies.bulk("");
  replies.null();
  replies.array(2);
  BOOST_TEST(replies.text() ==
             "+OK\r\n+PONG\r\n-ERR "
             "no??such\r\n:-9223372036854775808\r\n$3\r\na\r\n\r\n$0\r\n\r\n"
             "$-1\r\n*2\r\n");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace key_value
