// The key-value server's commands and its store, with a clock of the test's
// own.
#include "key_value_server/commands.h"

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "key_value_server/pattern.h"

namespace key_value {
namespace {

using namespace std::chrono_literals;

struct Server {
  /// The reply to a command of words that hold no blank, without the last CRLF.
  std::string operator()(std::string_view words) {
    std::vector<std::string_view> command;
    while (!words.empty()) {
      command.push_back(words.substr(0, words.find(' ')));
      words.remove_prefix(std::min(words.size(), command.back().size() + 1));
    }
    Replies replies;
    afterwards = execute(command, store, replies);
    capacity = replies.text().capacity();
    BOOST_TEST_REQUIRE(replies.text().ends_with("\r\n"));
    return replies.text().substr(0, replies.text().size() - 2);
  }

  Store::Time now{};
  Store store{[this] { return now; }};
  Afterwards afterwards = Afterwards::kGoOn;
  std::size_t capacity = 0;  // of the last reply's memory
};

BOOST_AUTO_TEST_SUITE(commands)

BOOST_AUTO_TEST_CASE(values_are_kept) {
  Server server;
  BOOST_TEST(server("GET a") == "$-1");
  BOOST_TEST(server("SET a one") == "+OK");
  BOOST_TEST(server("get a") == "$3\r\none");
  BOOST_TEST(server("APPEND a two") == ":6");
  BOOST_TEST(server("APPEND b new") == ":3");
  BOOST_TEST(server("MSET x 1 y 2 x 3") == "+OK");
  BOOST_TEST(server("MGET x nope y") == "*3\r\n$1\r\n3\r\n$-1\r\n$1\r\n2");
  BOOST_TEST(server("EXISTS x x nope") == ":2");
  BOOST_TEST(server("DBSIZE") == ":4");
  BOOST_TEST(server("DEL x y nope") == ":2");
  BOOST_TEST(server("FLUSHALL") == "+OK");
  BOOST_TEST(server("DBSIZE") == ":0");
}

BOOST_AUTO_TEST_CASE(a_value_is_set_on_conditions) {
  Server server;
  BOOST_TEST(server("SET a 1 XX") == "$-1");
  BOOST_TEST(server("EXISTS a") == ":0");
  BOOST_TEST(server("SET a 1 NX") == "+OK");
  BOOST_TEST(server("SET a 2 nx") == "$-1");
  BOOST_TEST(server("SET a 3 xx px 1") == "+OK");
  server.now += 1ms;
  BOOST_TEST(server("SET a 4 XX") == "$-1", "it has expired");
  for (const std::string_view wrong : {"NX XX", "NX NX", "EX", "EX 1 PX 1", "KEEP"}) {
    BOOST_TEST(server("SET a 1 " + std::string(wrong)) == "-ERR syntax error", wrong);
  }
  for (const std::string_view wrong : {"EX 0", "PX -1", "EX 9223372036854775807"}) {
    BOOST_TEST(server("SET a 1 " + std::string(wrong)).starts_with("-ERR invalid expire"), wrong);
  }
  BOOST_TEST(server("SET a 1 EX 1x").starts_with("-ERR value is not an integer"));
}

BOOST_AUTO_TEST_CASE(numbers_are_counted_and_do_not_overflow) {
  Server server;
  BOOST_TEST(server("INCR n") == ":1");
  BOOST_TEST(server("INCRBY n 41") == ":42");
  BOOST_TEST(server("DECRBY n 43") == ":-1");
  BOOST_TEST(server("DECR n") == ":-2");
  server("SET n 9223372036854775807");
  BOOST_TEST(server("INCR n") == "-ERR increment or decrement would overflow");
  server("SET n -9223372036854775808");
  BOOST_TEST(server("DECR n") == "-ERR increment or decrement would overflow");
  BOOST_TEST(server("DECRBY n -9223372036854775808").starts_with("-ERR"));
  server("SET n 9223372036854775808");
  BOOST_TEST(server("INCR n").starts_with("-ERR value is not an integer"));
  BOOST_TEST(server("GET n") == "$19\r\n9223372036854775808", "a failure changes nothing");
}

BOOST_AUTO_TEST_CASE(keys_expire_to_the_moment) {
  Server server;
  server("SET a 1 EX 10");
  BOOST_TEST(server("TTL a") == ":10");
  server.now += 9'999ms;
  BOOST_TEST(server("PTTL a") == ":1");
  BOOST_TEST(server("GET a") == "$1\r\n1");
  server.now += 1ms;
  BOOST_TEST(server("GET a") == "$-1");
  BOOST_TEST(server("TTL a") == ":-2");
  server("SET a 1");
  BOOST_TEST(server("TTL a") == ":-1");
  BOOST_TEST(server("EXPIRE a 5") == ":1");
  BOOST_TEST(server("EXPIRE nope 5") == ":0");
  BOOST_TEST(server("PERSIST a") == ":1");
  BOOST_TEST(server("PERSIST a") == ":0");
  BOOST_TEST(server("PEXPIRE a 5") == ":1");
  BOOST_TEST(server("INCR a") == ":2");
  BOOST_TEST(server("PTTL a") == ":5", "a change keeps the time");
  server("SET a 3");
  BOOST_TEST(server("TTL a") == ":-1", "a new value doesn't");
  BOOST_TEST(server("EXPIRE a 0") == ":1");
  BOOST_TEST(server("EXISTS a") == ":0");
}

BOOST_AUTO_TEST_CASE(what_has_expired_is_not_counted_and_is_freed) {
  Server server;
  for (int i = 0; i < 10; ++i)
    server("SET k" + std::to_string(i) + " v PX " + std::to_string(i + 1));
  server.now += 5ms;
  BOOST_TEST(server("KEYS *").starts_with("*5\r\n"));
  BOOST_TEST(server("DBSIZE") == ":5");
  server.now += 5ms;
  server.store.remove_expired();
  BOOST_TEST(server("DBSIZE") == ":0");
}

BOOST_AUTO_TEST_CASE(keys_are_found_by_pattern) {
  Server server;
  server("MSET hello 1 hallo 2 heap 3");
  BOOST_TEST(server("KEYS heap") == "*1\r\n$4\r\nheap");
  BOOST_TEST(server("KEYS h?llo").starts_with("*2\r\n"));
  BOOST_TEST(server("SCAN 0 COUNT 1 MATCH he*").starts_with("*2\r\n$1\r\n0\r\n*2\r\n"));
  BOOST_TEST(server("SCAN 7") == "-ERR invalid cursor");
  BOOST_TEST(server("SCAN 0 MATCH") == "-ERR syntax error");
}

BOOST_AUTO_TEST_CASE(patterns_match_as_a_shell_does) {
  for (const auto& [pattern, text] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"", ""},
                                                                  {"*", ""},
                                                                  {"*", "abc"},
                                                                  {"a*c", "abbc"},
                                                                  {"a*c*", "ac"},
                                                                  {"*b*b", "abcb"},
                                                                  {"[a-c]x", "bx"},
                                                                  {"[^a-c]x", "dx"},
                                                                  {"[c-a]", "b"},
                                                                  {"\\*", "*"},
                                                                  {"[\\]]", "]"},
                                                                  {"**", "a"},
                                                                  {"[a", "a"}}) {
    BOOST_TEST(matches(pattern, text), pattern << " matches " << text);
  }
  for (const auto& [pattern, text] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"", "a"},
                                                                  {"a", ""},
                                                                  {"?", ""},
                                                                  {"a*c", "abcd"},
                                                                  {"[a-c]", "d"},
                                                                  {"[^a-c]", "b"},
                                                                  {"\\*", "a"},
                                                                  {"a", "A"}}) {
    BOOST_TEST(!matches(pattern, text), pattern << " doesn't match " << text);
  }
  std::string hostile;
  for (int i = 0; i < 50; ++i) hostile += "*a";
  BOOST_TEST(!matches(hostile + "b", std::string(10'000, 'a')), "in bounded time");
}

BOOST_AUTO_TEST_CASE(pattern_gives_up_when_its_budget_is_used_up) {
  const Pattern pattern("*aaaaaaaab");
  const std::string text(1000, 'a');
  std::size_t budget = 100;
  BOOST_TEST(!pattern.matches(text + "b", budget));
  BOOST_TEST(budget == 0U);
  budget = 100'000;
  BOOST_TEST(pattern.matches(text + "b", budget));
  BOOST_TEST(budget < 100'000U);
  budget = 0;
  BOOST_TEST(Pattern("a*").matches(text, budget), "what is compared once costs nothing");
}

BOOST_AUTO_TEST_CASE(keys_with_an_expensive_pattern_are_refused) {
  Server server;
  server("SET " + std::string(200'000, 'a') + " 1");
  BOOST_TEST(server("KEYS *" + std::string(2000, 'a') + "b") ==
             "-ERR pattern takes too long to match");
  BOOST_TEST(server("KEYS " + std::string(Pattern::kLongest + 1, 'a')) ==
             "-ERR pattern is too long");
  BOOST_TEST(server("SCAN 0 MATCH *" + std::string(2000, 'a') + "b") ==
             "-ERR pattern takes too long to match");
  BOOST_TEST(server("KEYS a*").starts_with("*1\r\n"));
}

BOOST_AUTO_TEST_CASE(reply_beyond_the_limit_becomes_an_error_and_is_not_kept) {
  Server server;
  server("SET big " + std::string(1'000'000, 'x'));
  std::string many = "MGET";
  for (int i = 0; i < 1500; ++i) many += " big";
  BOOST_TEST(server(many) == "-ERR reply exceeds maximum allowed size");
  BOOST_TEST(server.capacity < 2 * Replies::kMostBytes);
  BOOST_TEST(server("GET big").size() > 1'000'000U);

  // The longest value, and the longest list of keys.
  const std::string longest(static_cast<std::size_t>(CommandParser::kMostBytes), 'x');
  server("SET longest " + longest);
  BOOST_TEST(server("GET longest").size() > longest.size());
  server("SET " + longest + " 1");
  server("SET " + longest + "x 1");
  BOOST_TEST(server("KEYS *") == "-ERR reply exceeds maximum allowed size");
}

BOOST_AUTO_TEST_CASE(mistakes_are_told) {
  Server server;
  BOOST_TEST(server("NOSUCH a") == "-ERR unknown command 'NOSUCH'");
  BOOST_TEST(server(std::string(1000, 'x')).size() < 100U);
  BOOST_TEST(server("GET") == "-ERR wrong number of arguments for 'get' command");
  BOOST_TEST(server("get a b") == "-ERR wrong number of arguments for 'get' command");
  BOOST_TEST(server("MSET a 1 b") == "-ERR wrong number of arguments for 'mset' command");
  BOOST_TEST(server("SELECT 1") == "-ERR DB index is out of range");
  BOOST_TEST(server("CONFIG SET a b").starts_with("-ERR"));
}

BOOST_AUTO_TEST_CASE(what_clients_ask_at_first_is_answered) {
  Server server;
  BOOST_TEST(server("PING") == "+PONG");
  BOOST_TEST(server("PING you") == "$3\r\nyou");
  BOOST_TEST(server("ECHO you") == "$3\r\nyou");
  BOOST_TEST(server("CONFIG GET save") == "*2\r\n$4\r\nsave\r\n$0\r\n");
  BOOST_TEST(server("CONFIG GET nope") == "*0");
  BOOST_TEST(server("COMMAND DOCS") == "*0");
  BOOST_TEST(server("SELECT 0") == "+OK");
  BOOST_TEST(server("INFO").find("keys:0") != std::string::npos);
  BOOST_TEST((server.afterwards == Afterwards::kGoOn));
  BOOST_TEST(server("quit") == "+OK");
  BOOST_TEST((server.afterwards == Afterwards::kQuit));
}

BOOST_AUTO_TEST_CASE(threads_see_each_operation_whole) {
  constexpr int kThreads = 4;
  constexpr int kEach = 1000;
  Server shared;
  std::vector<std::thread> threads;
  std::atomic<int> torn{0};
  shared.store.set_all(std::vector<std::string_view>{"x", "0", "y", "0"});
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&shared, &torn, number] {
      const std::string value = std::to_string(number);
      for (int i = 0; i < kEach; ++i) {
        std::int64_t sum = 0;
        shared.store.add("n", 1, sum);
        shared.store.set_all(std::vector<std::string_view>{"x", value, "y", value});
        std::vector<std::string> seen;
        shared.store.get_all(std::vector<std::string_view>{"x", "y"},
                             [&](auto found) { seen.emplace_back(*found); });
        if (seen[0] != seen[1]) ++torn;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(torn == 0);
  BOOST_TEST(shared("GET n") == "$4\r\n4000");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace key_value
