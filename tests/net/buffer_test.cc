// Buffer: what a string of bytes does, in memory of its own or of somebody else.
#include "pollard/net/bytes/buffer.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "pollard/base/random.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/effort.h"

namespace pollard::testing {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

void fill_reserved(Buffer& buffer, std::string_view text) {
  const std::span<std::byte> space = buffer.reserve(text.size());
  BOOST_REQUIRE(space.size() >= text.size());
  if (!text.empty()) std::memcpy(space.data(), text.data(), text.size());
  buffer.commit(text.size());
}

BOOST_AUTO_TEST_SUITE(buffer)

BOOST_AUTO_TEST_CASE(an_empty_buffer_holds_no_memory) {
  Buffer buffer;
  const auto expect_nothing_held = [&buffer] {
    BOOST_TEST(buffer.empty());
    BOOST_TEST(buffer.size() == 0U);
    BOOST_TEST(buffer.view() == "");
    BOOST_TEST(buffer.bytes().empty());
    BOOST_TEST(!buffer.borrows());
    BOOST_TEST(buffer.capacity() == 0U);
  };
  expect_nothing_held();
  buffer.append("");
  expect_nothing_held();
  buffer.append("some bytes");
  BOOST_TEST(buffer.capacity() >= buffer.size());
  buffer.consume(10);
  expect_nothing_held();
  buffer.append("some bytes");
  BOOST_TEST(buffer.take() == "some bytes");
  expect_nothing_held();
  buffer.append("some bytes");
  buffer.clear();
  expect_nothing_held();
  buffer.borrow(bytes_of("borrowed"));
  BOOST_TEST(buffer.capacity() == 0U);
  buffer.clear();
  expect_nothing_held();
}

BOOST_AUTO_TEST_CASE(space_that_nothing_came_into_is_given_back) {
  Buffer buffer;
  BOOST_TEST(buffer.reserve(1000).size() >= 1000U);
  buffer.commit(0);
  BOOST_TEST(buffer.empty());
  BOOST_TEST(buffer.capacity() == 0U);
}

BOOST_AUTO_TEST_CASE(no_space_is_reserved_and_committed_without_harm) {
  Buffer buffer;
  std::ignore = buffer.reserve(0);
  buffer.commit(0);
  BOOST_TEST(buffer.empty());
  const std::string memory = "memory";
  buffer.borrow(bytes_of(memory).first(0));  // of nothing, but somewhere
  BOOST_TEST(!buffer.borrows());
  std::ignore = buffer.reserve(0);
  buffer.commit(0);
  BOOST_TEST(buffer.empty());
  buffer.append("bytes");
  BOOST_TEST(buffer.view() == "bytes");
}

BOOST_AUTO_TEST_CASE(borrowed_contents_lie_where_they_are) {
  const std::string memory = "somebody else's";
  Buffer buffer("replaced");
  buffer.borrow(bytes_of(memory));
  BOOST_TEST(buffer.borrows());
  BOOST_TEST((buffer.view().data() == memory.data()));
  BOOST_TEST(buffer.capacity() == 0U);
  buffer.consume(9);
  BOOST_TEST(buffer.view() == "else's");
  BOOST_TEST(buffer.borrows());
  BOOST_TEST((buffer.view().data() == memory.data() + 9));
  BOOST_TEST(buffer.take(4) == "else");
  BOOST_TEST(buffer.borrows());
}

// Each of these is what ends the borrowing; the memory is overwritten behind it.
template <class Change>
std::string contents_after(Change change) {
  std::string memory = "borrowed";
  Buffer buffer;
  buffer.borrow(bytes_of(memory));
  Buffer result = change(buffer);
  std::ranges::fill(memory, '!');
  BOOST_TEST(!result.borrows());
  return std::string(result.view());
}

BOOST_AUTO_TEST_CASE(borrowed_contents_survive_what_outlives_them) {
  BOOST_TEST(contents_after([](Buffer& buffer) { return Buffer(std::move(buffer)); }) ==
             "borrowed");
  BOOST_TEST(contents_after([](Buffer& buffer) {
               Buffer other("replaced");
               other = std::move(buffer);
               BOOST_TEST(buffer.empty());
               return other;
             }) == "borrowed");
  BOOST_TEST(contents_after([](Buffer& buffer) {
               buffer.append(" and more");
               return std::move(buffer);
             }) == "borrowed and more");
  BOOST_TEST(contents_after([](Buffer& buffer) {
               buffer.consume(3);
               buffer.own();
               return std::move(buffer);
             }) == "rowed");
  BOOST_TEST(contents_after([](Buffer& buffer) {
               fill_reserved(buffer, "!");
               return std::move(buffer);
             }) == "borrowed!");
}

BOOST_AUTO_TEST_CASE(a_move_leaves_an_empty_buffer_and_moves_no_owned_bytes) {
  Buffer buffer("contents");
  const char* const place = buffer.view().data();
  Buffer moved = std::move(buffer);
  BOOST_TEST((moved.view().data() == place));
  BOOST_TEST(buffer.empty());  // NOLINT(bugprone-use-after-move): that is what is promised
  BOOST_TEST(buffer.capacity() == 0U);
  buffer.append("again");
  BOOST_TEST(buffer.view() == "again");
  Buffer& itself = moved;
  moved = std::move(itself);
  BOOST_TEST(moved.view() == "contents");
}

BOOST_AUTO_TEST_CASE(a_buffer_can_be_added_to_itself) {
  Buffer buffer("ab");
  for (int i = 0; i < 4; ++i) buffer.append(buffer.view());
  BOOST_TEST(buffer.view() == "abababababababababababababababab");
  buffer.consume(1);
  buffer.append(buffer.view().substr(0, 1));
  buffer.append(buffer.view().substr(30));
  BOOST_TEST(buffer.view() ==
             "bababababababababababababababab"
             "b"
             "bb");
  const std::string memory = "xy";
  buffer.borrow(bytes_of(memory));
  buffer.append(buffer.view());
  BOOST_TEST(buffer.view() == "xyxy");
}

BOOST_AUTO_TEST_CASE(what_is_sought_is_found_at_its_first_place_or_nowhere) {
  const Buffer buffer("one\r\ntwo\r\n");
  BOOST_TEST((buffer.find("\r\n") == 3U));
  BOOST_TEST((buffer.find("\r\n", 3) == 3U));
  BOOST_TEST((buffer.find("\r\n", 4) == 8U));
  BOOST_TEST((buffer.find("\r\n", 9) == std::nullopt));
  BOOST_TEST((buffer.find("three") == std::nullopt));
  BOOST_TEST((buffer.find("\r\n", 1000) == std::nullopt));
  BOOST_TEST((buffer.find("") == 0U));
  BOOST_TEST((buffer.find("", 10) == 10U));
  BOOST_TEST((buffer.find("", 11) == std::nullopt));
  BOOST_TEST((Buffer().find("x") == std::nullopt));
  BOOST_TEST((Buffer().find("") == 0U));
}

BOOST_AUTO_TEST_CASE(bytes_of_every_value_are_kept) {
  std::string all;
  for (int value = 0; value < 256; ++value) all += static_cast<char>(value);
  Buffer buffer(all);
  BOOST_TEST((buffer.view() == all));
  BOOST_TEST((buffer.find(std::string_view("\0", 1)) == 0U));
}

BOOST_AUTO_TEST_CASE(more_than_there_is_cannot_be_taken_or_committed) {
  BOOST_TEST(aborts([] { Buffer("three").consume(6); }));
  BOOST_TEST(aborts([] { std::ignore = Buffer("three").take(6); }));
  BOOST_TEST(aborts([] { Buffer().consume(1); }));
  BOOST_TEST(aborts([] { Buffer().commit(1); }));
  BOOST_TEST(aborts([] {
    Buffer buffer;
    buffer.commit(buffer.reserve(10).size() + 1);
  }));
  BOOST_TEST(aborts([] {
    Buffer buffer;
    const std::string memory = "borrowed";
    buffer.borrow(bytes_of(memory).first(4));
    buffer.commit(1);
  }));
  BOOST_TEST(!aborts([] { Buffer("three").consume(5); }));
}

BOOST_AUTO_TEST_CASE(space_that_no_memory_has_is_a_length_error_and_changes_nothing) {
  for (const std::size_t count : {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1}) {
    Buffer buffer("contents");
    BOOST_CHECK_THROW(std::ignore = buffer.reserve(count), std::length_error);
    BOOST_TEST(buffer.view() == "contents");
  }
}

// How many bytes were copied inside a buffer that is kept `level` full while `total` pass through
// it by single bytes, judged by how often its contents moved.
BOOST_AUTO_TEST_CASE(a_full_buffer_in_steady_use_is_seldom_moved) {
  constexpr std::size_t kLevel = 4096;
  constexpr std::size_t kTotal = 16 * kLevel;
  Buffer buffer(std::string(kLevel, 'x'));
  std::size_t moves = 0;
  for (std::size_t i = 0; i < kTotal; ++i) {
    buffer.consume(1);
    const char* const expected = buffer.view().data();
    buffer.append("y");
    if (buffer.view().data() != expected) ++moves;
  }
  BOOST_TEST(moves <= 2 * kTotal / kLevel);
  BOOST_TEST(buffer.capacity() <= 4 * kLevel);
}

BOOST_AUTO_TEST_CASE(growing_by_single_bytes_copies_each_a_bounded_number_of_times) {
  Buffer buffer;
  std::size_t moves = 0;
  for (std::size_t i = 0; i < 100'000; ++i) {
    const char* const before = buffer.view().data();
    buffer.append("x");
    if (buffer.view().data() != before) ++moves;
  }
  BOOST_TEST(moves <= 20U);
}

// A string beside it, and random operations on both.
class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (random_.up_to(11)) {
      case 0:
      case 1: append(); break;
      case 2: reserve_and_commit(); break;
      case 3: consume(); break;
      case 4: take(); break;
      case 5: borrow(); break;
      case 6: buffer_.own(); break;
      case 7: move_away_and_back(); break;
      case 8: find(); break;
      case 9: append_itself(); break;
      case 10: std::ignore = buffer_.reserve(random_.up_to(100U)); break;
      default: rarely_clear(); break;
    }
    check();
  }

 private:
  std::string text() {
    std::string made;
    const std::uint64_t size = random_.up_to(random_.up_to(9) == 0 ? 5000 : 40);
    for (std::uint64_t i = 0; i < size; ++i) made += static_cast<char>('a' + random_.up_to(3));
    return made;
  }

  void append() {
    const std::string more = text();
    buffer_.append(more);
    model_ += more;
  }

  void reserve_and_commit() {
    const std::string more = text();
    const std::span<std::byte> space = buffer_.reserve(more.size() + random_.up_to(50U));
    BOOST_REQUIRE(space.size() >= more.size());
    if (!more.empty()) std::memcpy(space.data(), more.data(), more.size());
    buffer_.commit(more.size());
    model_ += more;
  }

  void consume() {
    const std::size_t count = random_.up_to(model_.size());
    buffer_.consume(count);
    model_.erase(0, count);
  }

  void take() {
    const std::size_t count = random_.up_to(model_.size());
    BOOST_REQUIRE(buffer_.take(count) == model_.substr(0, count));
    model_.erase(0, count);
  }

  void borrow() {
    memory_.push_back(text());  // none of these dies before the buffer
    buffer_.borrow(bytes_of(memory_.back()));
    model_ = memory_.back();
    BOOST_REQUIRE(buffer_.borrows() == !model_.empty());
  }

  void move_away_and_back() {
    Buffer elsewhere = std::move(buffer_);
    BOOST_REQUIRE(buffer_.empty());  // NOLINT(bugprone-use-after-move)
    BOOST_REQUIRE(elsewhere.view() == model_);
    buffer_ = std::move(elsewhere);
    BOOST_REQUIRE(!buffer_.borrows());
  }

  void find() {
    const std::string what = text().substr(0, 3);
    const std::size_t from = random_.up_to(model_.size() + 2);
    const std::size_t expected = model_.find(what, from);
    const auto found = buffer_.find(what, from);
    BOOST_REQUIRE(found.has_value() == (expected != std::string::npos));
    if (found.has_value()) BOOST_REQUIRE(*found == expected);
  }

  void append_itself() {
    if (model_.size() > 10'000) return;
    const std::size_t from = random_.up_to(model_.size());
    buffer_.append(buffer_.view().substr(from));
    model_ += model_.substr(from);
  }

  void rarely_clear() {
    if (random_.up_to(3) != 0) return;
    buffer_.clear();
    model_.clear();
    BOOST_REQUIRE(buffer_.capacity() == 0U);
  }

  void check() {
    BOOST_REQUIRE(buffer_.size() == model_.size());
    BOOST_REQUIRE(buffer_.empty() == model_.empty());
    BOOST_REQUIRE(buffer_.view() == model_);
    if (buffer_.borrows()) BOOST_REQUIRE(buffer_.capacity() == 0U);
    BOOST_REQUIRE((buffer_.capacity() == 0U || buffer_.capacity() >= buffer_.size()));
  }

  SplitMix64 random_;
  std::deque<std::string> memory_;
  Buffer buffer_;
  std::string model_;
};

BOOST_AUTO_TEST_CASE(it_does_what_a_string_does) {
  for (std::uint64_t seed = 1; seed <= repeated(40); ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      Model model(seed);
      for (int step = 0; step < 1000; ++step) model.step();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
