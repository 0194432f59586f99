#include "pollard/base/move_function.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace pollard::testing {
namespace {

// Counts its living copies: what is made once must be destroyed once, wherever it was moved to.
class Counted {
 public:
  explicit Counted(int& alive) : alive_(&alive) { ++*alive_; }
  Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive_; }

  [[nodiscard]] int alive() const { return *alive_; }

 private:
  int* alive_;
};

BOOST_AUTO_TEST_SUITE(move_function)

BOOST_AUTO_TEST_CASE(an_empty_one_is_false) {
  MoveFunction<void()> made;
  MoveFunction<void()> null = nullptr;
  BOOST_TEST(!made);
  BOOST_TEST(!null);
}

BOOST_AUTO_TEST_CASE(captures_that_fit_and_captures_that_do_not_answer_alike) {
  int small = 1;
  const std::array<int, 3> fits{1, 2, 3};
  const std::array<int, 100> large{7};
  const MoveFunction<int(int)> inside = [&small](int x) { return small + x; };
  const MoveFunction<int(int)> filling = [fits](int x) { return fits[2] + x; };
  const MoveFunction<int(int)> outside = [large](int x) { return large[0] + x; };
  BOOST_TEST(inside(10) == 11);
  BOOST_TEST(filling(10) == 13);
  BOOST_TEST(outside(10) == 17);
}

BOOST_AUTO_TEST_CASE(it_holds_what_can_only_be_moved) {
  MoveFunction<int()> answer = [owned = std::make_unique<int>(42)] { return *owned; };
  const MoveFunction<int()> moved = std::move(answer);
  BOOST_TEST(!answer);  // NOLINT(bugprone-use-after-move): that it is empty is promised
  BOOST_TEST(moved() == 42);
}

template <std::size_t kPadding>
void expect_destroyed_once() {
  int alive = 0;
  {
    MoveFunction<int()> first = [counted = Counted(alive), padding = std::array<char, kPadding>{}] {
      return counted.alive() + padding[0];
    };
    BOOST_TEST(alive == 1);
    BOOST_TEST(first() == 1);
    MoveFunction<int()> second = std::move(first);
    BOOST_TEST(alive == 1);
    MoveFunction<int()> third;
    third = std::move(second);
    BOOST_TEST(alive == 1);
    BOOST_TEST(third() == 1);
    third = [] { return 0; };
    BOOST_TEST(alive == 0);
    third = [counted = Counted(alive)] { return counted.alive(); };
    BOOST_TEST(alive == 1);
    third = nullptr;
    BOOST_TEST(alive == 0);
    third = [counted = Counted(alive)] { return counted.alive(); };
  }
  BOOST_TEST(alive == 0);
}

BOOST_AUTO_TEST_CASE(what_it_holds_is_destroyed_exactly_once) {
  expect_destroyed_once<1>();
  expect_destroyed_once<200>();
}

BOOST_AUTO_TEST_CASE(moving_it_to_itself_keeps_it) {
  int alive = 0;
  MoveFunction<int()> function = [counted = Counted(alive)] { return counted.alive(); };
  MoveFunction<int()>& same = function;
  function = std::move(same);
  BOOST_TEST_REQUIRE(static_cast<bool>(function));
  BOOST_TEST(function() == 1);
}

// Calls what it is given when it ends.
struct AtEnd {
  explicit AtEnd(std::function<void()> call) : call_(std::move(call)) {}
  AtEnd(AtEnd&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;
  AtEnd& operator=(AtEnd&&) = delete;
  ~AtEnd() {
    if (call_) call_();
  }

 private:
  std::function<void()> call_;
};

BOOST_AUTO_TEST_CASE(what_it_held_ends_when_the_new_one_is_in) {
  MoveFunction<int()> function;
  int seen = 0;
  function = [guard = AtEnd([&] { seen = function(); })] { return 1; };
  function = [] { return 2; };
  BOOST_TEST(seen == 2);
}

BOOST_AUTO_TEST_CASE(what_it_held_may_assign_to_it_while_it_ends) {
  MoveFunction<int()> function;
  function = [guard = AtEnd([&] { function = [] { return 3; }; })] { return 1; };
  function = [] { return 2; };
  BOOST_TEST(function() == 3);
}

BOOST_AUTO_TEST_CASE(what_it_held_finds_it_empty_when_it_is_made_so) {
  MoveFunction<int()> function;
  bool empty = false;
  function = [guard = AtEnd([&] { empty = !function; })] { return 1; };
  function = nullptr;
  BOOST_TEST(empty);
}

BOOST_AUTO_TEST_CASE(a_part_of_what_it_holds_takes_its_place) {
  struct Chain {
    MoveFunction<int()> next;
    MoveFunction<int()>** place;
    int operator()() {
      *place = &next;
      return 1;
    }
  };
  MoveFunction<int()>* next = nullptr;
  MoveFunction<int()> function = Chain{.next = [] { return 2; }, .place = &next};
  BOOST_TEST(function() == 1);
  function = std::move(*next);
  BOOST_TEST(function() == 2);
}

BOOST_AUTO_TEST_CASE(what_throws_when_moved_lives_on_the_heap_and_is_moved_no_more) {
  struct Throwing {
    explicit Throwing(bool& armed) : armed_(&armed) {}
    Throwing(Throwing&& other) : armed_(other.armed_) {  // NOLINT: the point of it
      if (*armed_) throw std::logic_error("moved");
    }
    Throwing(const Throwing&) = delete;
    Throwing& operator=(const Throwing&) = delete;
    Throwing& operator=(Throwing&&) = delete;
    ~Throwing() = default;
    int operator()() const { return 5; }
    bool* armed_;
  };
  bool armed = false;
  MoveFunction<int()> function = Throwing(armed);
  armed = true;
  const MoveFunction<int()> moved = std::move(function);
  BOOST_TEST(moved() == 5);
}

BOOST_AUTO_TEST_CASE(an_empty_function_of_another_kind_is_empty) {
  const std::function<void()> empty;
  void (*const pointer)() = nullptr;
  BOOST_TEST(!MoveFunction<void()>(empty));
  BOOST_TEST(!MoveFunction<void()>(pointer));
  BOOST_TEST(static_cast<bool>(MoveFunction<void()>(std::function<void()>([] {}))));
}

int twice(int x) { return 2 * x; }

struct Member {
  int value = 3;
  [[nodiscard]] int plus(int x) const { return value + x; }
};

BOOST_AUTO_TEST_CASE(it_takes_whatever_can_be_invoked) {
  const MoveFunction<int(int)> pointer = &twice;
  const MoveFunction<int(int)> name = twice;
  const MoveFunction<int(const Member&, int)> member = &Member::plus;
  BOOST_TEST(pointer(4) == 8);
  BOOST_TEST(name(4) == 8);
  BOOST_TEST(member(Member{}, 4) == 7);
}

BOOST_AUTO_TEST_CASE(an_answer_may_be_dropped_or_converted) {
  int calls = 0;
  const MoveFunction<void()> dropped = [&calls] { return ++calls; };
  const MoveFunction<std::string()> converted = [] { return "text"; };
  dropped();
  BOOST_TEST(calls == 1);
  BOOST_TEST(converted() == "text");
}

BOOST_AUTO_TEST_CASE(arguments_are_passed_as_they_are) {
  const MoveFunction<int(std::unique_ptr<int>)> by_value = [](std::unique_ptr<int> p) {
    return *p;
  };
  const MoveFunction<void(int&)> by_reference = [](int& x) { ++x; };
  int x = 1;
  by_reference(x);
  BOOST_TEST(x == 2);
  BOOST_TEST(by_value(std::make_unique<int>(9)) == 9);
}

BOOST_AUTO_TEST_CASE(state_that_changes_is_kept_between_calls) {
  const MoveFunction<int()> count = [n = 0]() mutable { return ++n; };
  BOOST_TEST(count() == 1);
  BOOST_TEST(count() == 2);
}

// Captures that need more alignment than the object has are kept elsewhere, also small ones.
template <std::size_t kAlignment>
void expect_aligned_captures() {
  struct alignas(kAlignment) Aligned {
    char byte = 'a';
  };
  const auto address = [aligned = Aligned()] {
    return reinterpret_cast<std::uintptr_t>(&aligned.byte);
  };
  std::vector<MoveFunction<std::uintptr_t()>> functions;
  for (int i = 0; i < 9; ++i) functions.emplace_back(address);  // moved when the vector grows
  for (const auto& function : functions) BOOST_TEST(function() % kAlignment == 0U);
}

BOOST_AUTO_TEST_CASE(over_aligned_captures_are_aligned) {
  expect_aligned_captures<alignof(std::max_align_t)>();
  expect_aligned_captures<64>();
  expect_aligned_captures<4096>();
}

BOOST_AUTO_TEST_CASE(an_exception_passes_through) {
  const MoveFunction<void()> throws = [] { throw std::runtime_error("through"); };
  BOOST_CHECK_THROW(throws(), std::runtime_error);
}

// At every other place of eight bytes, memory inside of the function would not do for them.
BOOST_AUTO_TEST_CASE(captures_keep_their_alignment_wherever_the_function_lies) {
  struct alignas(16) Wide {
    char bytes[16] = {};
  };
  struct Shifted {
    void* shift = nullptr;
    MoveFunction<std::uintptr_t()> function;
  };
  std::array<Shifted, 4> all;
  for (Shifted& one : all) {
    one.function = [wide = Wide()] { return reinterpret_cast<std::uintptr_t>(&wide); };
    BOOST_TEST(one.function() % alignof(Wide) == 0U);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
