// Bytes in blocks: nothing is lost or moved, and copies are made only where bytes lie in two.
#include "pollard/net/bytes/internal/block_list.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "pollard/base/random.h"
#include "pollard/tests/support/effort.h"

namespace pollard::testing {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// A row of blocks, one for each text: none fits behind the one before.
BlockList blocks_of(std::initializer_list<std::string> texts) {
  BlockList all;
  for (const std::string& text : texts) {
    BlockList one;
    one.append(bytes_of(text));
    all.append(one);
  }
  return all;
}

std::string large(char letter, std::size_t size = 2000) { return std::string(size, letter); }

BOOST_AUTO_TEST_SUITE(block_list)

BOOST_AUTO_TEST_CASE(what_lies_in_one_block_is_shown_in_place) {
  BlockList list = blocks_of({large('a')});
  const char* where = list.front(1).data();
  BOOST_TEST((list.front(2000).data() == where));
  list.consume(100);
  BOOST_TEST((list.front(1000).data() == where + 100));
  BOOST_TEST(list.memory() == 2000U);
}

BOOST_AUTO_TEST_CASE(what_lies_in_several_is_put_together_and_the_rest_stays_where_it_is) {
  BlockList list = blocks_of({large('a'), large('b'), large('c')});
  const std::string_view seen = list.front(2000);
  BOOST_TEST(list.front(4001) == large('a') + large('b') + "c");
  BOOST_TEST(seen == large('a'));  // as long as nothing is released
  list.consume(4001);
  BOOST_TEST(list.front(1999) == large('c', 1999));
  BOOST_TEST(list.size() == 1999U);
  list.release();
  BOOST_TEST(list.front(1999) == large('c', 1999));
  BOOST_TEST(list.memory() == 2000U);
}

BOOST_AUTO_TEST_CASE(what_was_consumed_is_shown_until_it_is_released) {
  BlockList list = blocks_of({large('a'), large('b')});
  const std::string_view a = list.front(2000);
  list.consume(2000);
  const std::string_view b = list.front(2000);
  list.consume(2000);
  BOOST_TEST(list.empty());
  BOOST_TEST(a == large('a'));
  BOOST_TEST(b == large('b'));
  list.release();
  BOOST_TEST(list.memory() == 0U);
}

BOOST_AUTO_TEST_CASE(small_pieces_share_a_block) {
  BlockList list;
  std::string wanted;
  for (int i = 0; i < 1000; ++i) {
    BlockList one;
    one.append(bytes_of("x"));
    list.append(one);
    BOOST_TEST_REQUIRE(one.empty());
    wanted += 'x';
  }
  BOOST_TEST(list.memory() == 1024U);
  BOOST_TEST(list.front(1000) == wanted);
}

// Else who asks for one byte more each time would have everything copied each time.
BOOST_AUTO_TEST_CASE(who_asks_for_more_and_more_has_few_copies_made) {
  BlockList list;
  std::map<const char*, int> places;
  for (std::size_t size = 500; size <= 500'000; size += 500) {
    BlockList one;
    one.append(bytes_of(large('x', 500)));
    list.append(one);
    ++places[list.front(size).data()];
  }
  BOOST_TEST(places.size() < 15U);
}

BOOST_AUTO_TEST_CASE(a_delimiter_is_found_wherever_it_lies) {
  const std::string text = large('a') + "\r\n" + large('b');
  for (std::size_t split = 1999; split <= 2003; ++split) {
    BlockList list = blocks_of({text.substr(0, split), text.substr(split)});
    BOOST_TEST((list.find("\r\n") == 2000U));
    list.consume(2002);
    BOOST_TEST(!list.find("\r\n").has_value());
  }
  BlockList thirds = blocks_of({large('a') + "<", large('-') + ">"});
  std::string across = "<";
  across += large('-');
  across += '>';
  BOOST_TEST((thirds.find(across) == 2000U));
}

BOOST_AUTO_TEST_CASE(a_delimiter_that_comes_in_pieces_is_found) {
  BlockList list;
  for (const char* piece : {"ab\r", "\r", "c\r", "\n", "d"}) {
    BOOST_TEST(!list.find("\r\n").has_value());
    BlockList one;
    one.append(bytes_of(piece));
    list.append(one);
    if (std::string_view(piece) == "\n") break;
  }
  BOOST_TEST((list.find("\r\n") == 5U));
  BOOST_TEST((list.find("b") == 1U));
  BOOST_TEST((list.find("\r\n") == 5U));
  BOOST_TEST((list.find("") == 0U));
}

// Against a string that does the same.
BOOST_AUTO_TEST_CASE(it_behaves_as_a_string_would) {
  for (std::uint64_t seed = 0; seed < repeated(200); ++seed) {
    SplitMix64 random(seed);
    BlockList list;
    std::string model;
    for (int i = 0; i < 200; ++i) {
      const std::size_t amount = random.up_to(random.up_to(3) == 0 ? 3000U : 20U);
      switch (random.up_to(4)) {
        case 0:
        case 1: {
          std::string piece(amount, '.');
          for (char& letter : piece) letter = "ab\n."[random.up_to(3)];
          BlockList one;
          one.append(bytes_of(piece));
          if (random.up_to(1) == 0) one.append(bytes_of(piece));
          model += one.size() == 2 * piece.size() ? piece + piece : piece;
          list.append(one);
          break;
        }
        case 2: {
          const std::size_t count = std::min(amount, model.size());
          BOOST_TEST_REQUIRE(list.front(count) == model.substr(0, count));
          list.consume(count);
          model.erase(0, count);
          break;
        }
        case 3: {
          const std::string what = random.up_to(1) == 0 ? "\n" : "ab\na";
          const std::size_t at = model.find(what);
          BOOST_TEST_REQUIRE(list.find(what).value_or(std::string::npos) == at);
          break;
        }
        default: list.release();
      }
      BOOST_TEST_REQUIRE(list.size() == model.size());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
