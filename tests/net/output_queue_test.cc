// OutputQueue: what was put in comes out, in order, whatever it was made of and however little the
// socket takes.
#include "pollard/net/bytes/internal/output_queue.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/platform/io.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/testkit/sockets.h"
#include "pollard/tests/support/effort.h"

namespace pollard::testing {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string pattern(std::size_t size, char first = 'a') {
  std::string made(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    made[i] = static_cast<char>(first + static_cast<char>(i % 23));
  return made;
}

FileRegion region_of(std::string_view content, std::uint64_t offset, std::uint64_t size) {
  return {.file = temporary_file(content), .offset = offset, .size = size};
}

// A queue, and the socket that it leaves by.
struct Fixture {
  OutputQueue queue;
  Pair pair = socket_pair();

  platform::Result send() { return queue.send_some(pair.near.get()); }

  std::string receive() { return read_text(pair.far.get()); }

  // Everything, by as many calls as it takes.
  std::string drain() {
    std::string received;
    while (!queue.empty()) {
      const std::uint64_t before = queue.size();
      const platform::Result sent = send();
      if (sent.would_block()) {
        received += receive();
        continue;
      }
      BOOST_REQUIRE_MESSAGE(sent.ok(), sent.error().message());
      BOOST_REQUIRE(sent.count() > 0U);
      BOOST_REQUIRE(queue.size() == before - sent.count());
    }
    return received + receive();
  }
};

BOOST_AUTO_TEST_SUITE(output_queue)

BOOST_AUTO_TEST_CASE(an_empty_queue_has_nothing_and_takes_nothing) {
  Fixture f;
  BOOST_TEST(f.queue.empty());
  BOOST_TEST(f.queue.size() == 0U);
  BOOST_TEST(f.queue.memory() == 0U);
  f.queue.borrow({});
  f.queue.copy({});
  f.queue.take(std::string());
  f.queue.take(Buffer());
  f.queue.take(region_of("content", 3, 0));
  f.queue.own_borrowed();
  BOOST_TEST(f.queue.empty());
  BOOST_TEST(f.queue.size() == 0U);
  BOOST_TEST(aborts([&] { static_cast<void>(f.send()); }));
}

BOOST_AUTO_TEST_CASE(pieces_of_all_kinds_leave_in_the_order_in_which_they_came) {
  Fixture f;
  const std::string large = pattern(5000);
  f.queue.borrow(bytes_of("borrowed "));
  f.queue.copy(bytes_of("copied "));
  f.queue.take(std::string("string "));
  f.queue.take(region_of("a whole file ", 2, 6));
  f.queue.take(std::string(large));
  f.queue.take(Buffer(large));
  f.queue.copy(bytes_of(" copied"));
  f.queue.take(Buffer(" buffer"));
  f.queue.take(region_of(" file", 0, 5));
  const std::string expected =
      "borrowed copied string whole " + large + large + " copied buffer file";
  BOOST_TEST(f.queue.size() == expected.size());
  BOOST_TEST((f.drain() == expected));
  BOOST_TEST(f.queue.size() == 0U);
}

BOOST_AUTO_TEST_CASE(one_piece_is_a_plain_send_and_several_are_one_gathered) {
  const Faults faults;
  Fixture f;
  f.queue.borrow(bytes_of("one"));
  BOOST_TEST(f.drain() == "one");
  BOOST_TEST(faults.count(Call::kSend) == 1U);
  BOOST_TEST(faults.count(Call::kAnySend) == 1U);
  f.queue.borrow(bytes_of("one"));
  f.queue.take(std::string(2000, 'x'));
  BOOST_TEST((f.drain() == "one" + std::string(2000, 'x')));
  BOOST_TEST(faults.count(Call::kSendmsg) == 1U);
  BOOST_TEST(faults.count(Call::kAnySend) == 2U);
}

BOOST_AUTO_TEST_CASE(small_copies_in_a_row_are_one_piece) {
  const Faults faults;
  Fixture f;
  for (int i = 0; i < 100; ++i) f.queue.copy(bytes_of("0123456789"));
  BOOST_TEST(f.drain().size() == 1000U);
  BOOST_TEST(faults.count(Call::kSend) == 1U);
  BOOST_TEST(faults.count(Call::kAnySend) == 1U);
}

BOOST_AUTO_TEST_CASE(many_small_copies_leave_in_few_calls) {
  const Faults faults;
  Fixture f;
  constexpr std::size_t kCopies = 10'000;
  std::string expected;
  for (std::size_t i = 0; i < kCopies; ++i) {
    const std::string text = std::to_string(i) + ' ';
    f.queue.copy(bytes_of(text));
    expected += text;
  }
  BOOST_TEST(f.queue.memory() < 2 * expected.size() + 32 * 1024);
  BOOST_TEST((f.drain() == expected));
  BOOST_TEST(faults.count(Call::kAnySend) <= 4U);
}

BOOST_AUTO_TEST_CASE(more_pieces_than_one_call_gathers_leave_by_several) {
  const Faults faults;
  Fixture f;
  std::deque<std::string> texts;
  std::string expected;
  constexpr std::size_t kPieces = 3 * platform::kGatherLimit + 7;
  for (std::size_t i = 0; i < kPieces; ++i) {
    texts.push_back(std::to_string(i) + ',');
    f.queue.borrow(bytes_of(texts.back()));
    expected += texts.back();
  }
  BOOST_TEST(f.queue.size() == expected.size());
  BOOST_TEST((f.drain() == expected));
  BOOST_TEST(faults.count(Call::kSendmsg) == 4U);
}

BOOST_AUTO_TEST_CASE(what_a_call_takes_in_part_goes_on_where_it_ended) {
  for (const std::size_t most : {1U, 2U, 7U, 1000U, 1024U}) {
    BOOST_TEST_CONTEXT(most << " bytes a call") {
      Faults faults;
      for (const Call call : {Call::kSend, Call::kSendmsg, Call::kSendfile}) faults.cap(call, most);
      Fixture f;
      const std::string large = pattern(3000);
      f.queue.copy(bytes_of("copied"));
      f.queue.take(std::string(large));
      f.queue.borrow(bytes_of("borrowed"));
      f.queue.take(region_of(large, 10, 1500));
      f.queue.take(Buffer(large));
      BOOST_TEST((f.drain() == "copied" + large + "borrowed" + large.substr(10, 1500) + large));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_full_socket_loses_nothing_and_repeats_nothing) {
  Fixture f;
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string text = pattern(50'000, static_cast<char>('A' + i));
    f.queue.take(std::string(text));
    f.queue.copy(bytes_of("between"));
    expected += text + "between";
  }
  std::size_t sent = 0;
  platform::Result result;
  while ((result = f.send()).ok()) sent += result.count();
  BOOST_TEST(result.would_block());
  BOOST_TEST(f.queue.size() == expected.size() - sent);
  BOOST_TEST(f.send().would_block());
  BOOST_TEST(f.queue.size() == expected.size() - sent);
  BOOST_TEST((f.drain() == expected));
}

BOOST_AUTO_TEST_CASE(an_error_of_the_socket_is_answered_and_leaves_the_queue_alone) {
  Fixture f;
  f.queue.copy(bytes_of("lost"));
  f.pair.far.reset();
  BOOST_TEST((f.send().error() == std::errc::broken_pipe));
  BOOST_TEST(f.queue.size() == 4U);
  f.queue.clear();
  BOOST_TEST(f.queue.empty());
}

BOOST_AUTO_TEST_CASE(a_file_region_between_bytes_keeps_its_place) {
  Fixture f;
  f.queue.take(region_of("first", 0, 5));
  f.queue.borrow(bytes_of(" then "));
  f.queue.take(region_of("second", 0, 6));
  f.queue.take(region_of("third", 0, 5));
  f.queue.copy(bytes_of("."));
  BOOST_TEST(f.drain() == "first then secondthird.");
}

BOOST_AUTO_TEST_CASE(a_file_is_closed_as_soon_as_its_region_has_left_or_is_dropped) {
  Fixture f;
  FileRegion region = region_of("content", 0, 7);
  const int first = region.file.get();
  f.queue.take(std::move(region));
  f.queue.copy(bytes_of("behind"));
  BOOST_TEST(platform::is_open(first));
  BOOST_TEST(f.send().ok());
  BOOST_TEST(!platform::is_open(first));
  region = region_of("content", 0, 7);
  const int second = region.file.get();
  f.queue.take(std::move(region));
  f.queue.clear();
  BOOST_TEST(!platform::is_open(second));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_shorter_than_promised_is_an_io_error) {
  Fixture f;
  f.queue.take(region_of("content", 4, 100));
  f.queue.copy(bytes_of("never sent"));
  BOOST_TEST(f.send().count() == 3U);
  BOOST_TEST((f.send().error() == std::errc::io_error));
  BOOST_TEST((f.send().error() == std::errc::io_error));
  BOOST_TEST(f.receive() == "ent");
  Fixture behind;
  behind.queue.take(region_of("content", 100, 1));
  BOOST_TEST((behind.send().error() == std::errc::io_error));
}

BOOST_AUTO_TEST_CASE(a_file_leaves_also_where_there_is_no_sendfile) {
  Faults faults;
  faults.fail(Call::kSendfile, std::errc::function_not_supported, {.times = kForever});
  faults.cap(Call::kPread, 1000);
  Fixture f;
  const std::string content = pattern(10'000);
  f.queue.take(region_of(content, 1, 9000));
  f.queue.copy(bytes_of("behind"));
  f.queue.take(region_of("short", 0, 6));
  BOOST_TEST((f.send().count() == 1000U));
  while (f.queue.size() > 6) BOOST_TEST_REQUIRE(f.send().ok());
  BOOST_TEST((f.receive() == content.substr(1, 9000) + "behind"));
  BOOST_TEST(f.send().count() == 5U);
  BOOST_TEST((f.send().error() == std::errc::io_error));
}

BOOST_AUTO_TEST_CASE(what_is_borrowed_lies_where_it_is_until_it_is_owned) {
  Fixture f;
  std::string first = "first ";
  std::string second = pattern(3000);
  f.queue.borrow(bytes_of(first));
  f.queue.copy(bytes_of("copied "));
  f.queue.borrow(bytes_of(second));
  const std::string expected = "first copied " + second;
  const std::size_t before = f.queue.memory();
  f.queue.own_borrowed();
  BOOST_TEST(f.queue.memory() >= before);
  BOOST_TEST(f.queue.size() == expected.size());
  std::ranges::fill(first, '!');
  std::ranges::fill(second, '!');
  BOOST_TEST((f.drain() == expected));
}

BOOST_AUTO_TEST_CASE(of_what_has_left_in_part_the_rest_is_owned) {
  Faults faults;
  faults.cap(Call::kSend, 4);
  Fixture f;
  std::string memory = "left, stays";
  f.queue.borrow(bytes_of(memory));
  BOOST_TEST(f.send().count() == 4U);
  f.queue.own_borrowed();
  std::ranges::fill(memory, '!');
  BOOST_TEST(f.drain() == "left, stays");
}

BOOST_AUTO_TEST_CASE(a_large_string_or_buffer_is_moved_and_a_borrowing_one_is_copied) {
  Fixture f;
  std::string text = pattern(5000);
  f.queue.take(std::move(text));
  BOOST_TEST(text.empty());  // NOLINT(bugprone-use-after-move): moved, not copied
  Buffer buffer(pattern(5000));
  f.queue.take(std::move(buffer));
  BOOST_TEST(buffer.empty());  // NOLINT(bugprone-use-after-move)
  std::string memory = pattern(5000, 'A');
  const std::string expected = pattern(5000) + pattern(5000) + memory;
  Buffer borrowing;
  borrowing.borrow(bytes_of(memory));
  f.queue.take(std::move(borrowing));
  std::ranges::fill(memory, '!');
  BOOST_TEST((f.drain() == expected));
}

BOOST_AUTO_TEST_CASE(memory_is_counted_kept_for_the_next_copy_and_not_otherwise) {
  Fixture f;
  constexpr std::size_t kKept = 20 * 1024;
  f.queue.take(pattern(1'000'000));
  BOOST_TEST(f.queue.memory() >= 1'000'000U);
  f.drain();
  BOOST_TEST(f.queue.memory() < kKept);
  f.queue.copy(bytes_of("small"));
  const std::size_t small = f.queue.memory();
  BOOST_TEST(small < kKept);
  f.drain();
  BOOST_TEST(f.queue.memory() <= small);
  for (int i = 0; i < 100; ++i) f.queue.copy(bytes_of(pattern(10'000)));
  BOOST_TEST(f.queue.memory() >= 1'000'000U);
  f.drain();
  BOOST_TEST(f.queue.memory() < kKept);
}

BOOST_AUTO_TEST_CASE(a_queue_that_was_long_keeps_no_long_list) {
  Fixture f;
  constexpr int kPieces = 50'000;
  for (int i = 0; i < kPieces; ++i) f.queue.borrow(bytes_of("x"));
  BOOST_TEST(f.drain().size() == static_cast<std::size_t>(kPieces));
  BOOST_TEST(f.queue.memory() < 64U * 1024);
  for (int i = 0; i < kPieces; ++i) f.queue.borrow(bytes_of("x"));
  f.queue.clear();
  BOOST_TEST(f.queue.memory() < 64U * 1024);
}

BOOST_AUTO_TEST_CASE(a_queue_that_never_runs_empty_does_not_grow) {
  Fixture f;
  f.queue.copy(bytes_of(pattern(100)));
  std::size_t most = 0;
  for (int i = 0; i < 5000; ++i) {
    f.queue.copy(bytes_of(pattern(100)));
    Faults faults;
    for (const Call call : {Call::kSend, Call::kSendmsg}) faults.cap(call, 100);
    BOOST_TEST_REQUIRE(f.send().ok());
    f.receive();
    most = std::max(most, f.queue.memory());
  }
  BOOST_TEST(f.queue.size() == 100U);
  BOOST_TEST(most < 100U * 1024);
}

BOOST_AUTO_TEST_CASE(clear_drops_everything_and_the_queue_goes_on) {
  Fixture f;
  f.queue.copy(bytes_of("dropped"));
  f.queue.borrow(bytes_of("dropped"));
  f.queue.take(pattern(5000));
  f.queue.take(region_of("dropped", 0, 7));
  f.queue.clear();
  BOOST_TEST(f.queue.empty());
  BOOST_TEST(f.queue.size() == 0U);
  f.queue.copy(bytes_of("goes on"));
  BOOST_TEST(f.drain() == "goes on");
}

// A string beside it, random pieces, and a socket that takes what it likes.
class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (random_.up_to(9)) {
      case 0:
      case 1: f_.queue.copy(bytes_of(next_text())); break;
      case 2: f_.queue.take(std::string(next_text())); break;
      case 3: f_.queue.take(Buffer(next_text())); break;
      case 4: f_.queue.borrow(bytes_of(next_text())); break;
      case 5: add_region(); break;
      case 6: own(); break;
      default: send(); break;
    }
    BOOST_REQUIRE(f_.queue.size() == expected_.size() - sent_);
    BOOST_REQUIRE(f_.queue.empty() == (expected_.size() == sent_));
  }

  void finish() { BOOST_REQUIRE((received_ + f_.drain() == expected_)); }

 private:
  const std::string& next_text() {
    const std::size_t size = random_.up_to(random_.up_to(9) == 0 ? 30'000U : 1500U);
    texts_.push_back(pattern(size, static_cast<char>(random_.up_to(100))));
    expected_ += texts_.back();
    return texts_.back();
  }

  void add_region() {
    if (random_.up_to(3) != 0) return;
    const std::string& text = next_text();
    f_.queue.take(region_of("before" + text + "behind", 6, text.size()));
  }

  void own() {
    f_.queue.own_borrowed();
    for (std::string& text : texts_) std::ranges::fill(text, '!');
    texts_.clear();
  }

  void send() {
    if (f_.queue.empty()) return;
    Faults faults;
    const std::size_t most = 1 + random_.up_to(5000U);
    for (const Call call : {Call::kSend, Call::kSendmsg, Call::kSendfile}) faults.cap(call, most);
    const platform::Result sent = f_.send();
    BOOST_REQUIRE((sent.ok() || sent.would_block()));
    if (sent.ok()) sent_ += sent.count();
    if (random_.up_to(3) == 0 || sent.would_block()) received_ += f_.receive();
  }

  SplitMix64 random_;
  Fixture f_;
  std::deque<std::string> texts_;
  std::string expected_;
  std::string received_;
  std::size_t sent_ = 0;
};

BOOST_AUTO_TEST_CASE(it_does_what_a_string_does) {
  for (std::uint64_t seed = 1; seed <= repeated(20); ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      Model model(seed);
      for (int step = 0; step < 400; ++step) model.step();
      model.finish();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
