// What pollers do with memory, and without: add() makes room for all that comes later.
#include <algorithm>
#include <new>
#include <string>
#include <vector>

#include "pollard/tests/support/exempt_kernel.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// Waits, and takes each event; how many there were.
std::size_t wait_and_take(Poller& poller, Duration timeout = Duration::zero()) {
  std::error_code failure;
  if (!poller.wait(timeout, failure)) return SIZE_MAX;
  std::size_t events = 0;
  for (Event event; poller.next(event);) ++events;
  return events;
}

POLLARD_EACH_BACKEND(a_wait_allocates_nothing) {
  const ExemptKernel kernel;
  Watch watch(backend);
  std::vector<Pair> pairs(20);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kBoth);
    write_text(pair.far.get(), "data");
  }
  for (int waits = 0; waits < 3; ++waits) {
    std::size_t events = 0;
    BOOST_TEST(allocations_of([&] { events = wait_and_take(*watch.operator->()); }) == 0U);
    BOOST_TEST(events == pairs.size());
  }
}

POLLARD_EACH_BACKEND(a_wait_that_times_out_allocates_nothing) {
  const ExemptKernel kernel;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  BOOST_TEST(allocations_of([&] { wait_and_take(*watch.operator->(), 1ms); }) == 0U);
}

// Each change, and the first wait with it, without a wait of the kind before.
POLLARD_EACH_BACKEND(changes_and_the_wait_with_them_allocate_nothing) {
  const ExemptKernel kernel;
  Watch watch(backend);
  std::vector<Pair> pairs(50);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kNone);
  }
  for (const Interest interest :
       {Interest::kRead, Interest::kNone, Interest::kBoth, Interest::kWrite}) {
    std::size_t events = 0;
    const std::uint64_t allocations = allocations_of([&] {
      for (const Pair& pair : pairs) static_cast<void>(watch->modify(pair.near.get(), interest));
      events = wait_and_take(*watch.operator->());
    });
    BOOST_TEST(allocations == 0U, to_string(interest));
    BOOST_TEST(events == (wants_write(interest) ? pairs.size() : 0U));
    watch->verify();
  }
  BOOST_TEST(allocations_of([&] {
               for (const Pair& pair : pairs) watch->remove(pair.near.get());
             }) == 0U);
}

// More than a batch of changes, each of which the kernel refuses: the descriptors are closed.
POLLARD_EACH_BACKEND(a_wait_with_many_refused_changes_allocates_nothing) {
  constexpr int kMany = 1500;
  BOOST_TEST_REQUIRE(can_open(kMany + 100));
  const ExemptKernel kernel;
  Watch watch(backend);
  const Pair pair = socket_pair();
  std::vector<Descriptor> closed;
  for (int i = 0; i < kMany; ++i) {
    closed.push_back(duplicate(pair.far.get()));
    watch.add(closed.back(), Interest::kNone);
  }
  std::vector<int> numbers;
  for (const Descriptor& fd : closed) numbers.push_back(fd.get());
  closed.clear();
  std::vector<int> heard;
  heard.reserve(2 * kMany);
  const std::uint64_t allocations = allocations_of([&] {
    for (const int fd : numbers) static_cast<void>(watch->modify(fd, Interest::kBoth));
    for (int waits = 0; waits < 10; ++waits) {
      std::error_code failure;
      if (!watch->wait(Duration::zero(), failure)) return;
      for (Event event; watch->next(event);) heard.push_back(static_cast<int>(event.token));
      watch->verify();
    }
  });
  BOOST_TEST(allocations == 0U);
  std::ranges::sort(heard);
  BOOST_TEST(heard == numbers, boost::test_tools::per_element());
}

// Memory that is short in add() makes it throw, and leaves no trace.
POLLARD_EACH_BACKEND(an_add_that_throws_changes_nothing) {
  const ExemptKernel kernel;
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  bool failed = true;
  for (std::uint64_t which = 1; failed; ++which) {
    BOOST_TEST_REQUIRE(which < 20);
    failed = false;
    try {
      const FailingAllocation failing(which);
      BOOST_TEST_REQUIRE(!watch->add(pair.near.get(), Interest::kBoth, Watch::token(1)));
    } catch (const std::bad_alloc&) {
      failed = true;
      BOOST_TEST(watch->size() == 0U);
      watch->verify();
      BOOST_TEST(watch.collect().empty());
    }
  }
  BOOST_TEST(watch.collect().size() == 1U);
  watch->verify();
}

// A modify() once lost its change, and every later one of the number, where memory was short.
POLLARD_EACH_BACKEND(a_change_made_without_memory_is_not_lost) {
  const ExemptKernel kernel;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  {
    const FailingAllocation failing(1);
    BOOST_TEST_REQUIRE(!watch->modify(pair.near.get(), Interest::kBoth));
    BOOST_TEST(wait_and_take(*watch.operator->()) == 1U);
  }
  BOOST_TEST(watch.ready(pair.near) == kWritable);
  watch->verify();
}

// A poller of the user's own, which reports one event and throws behind it, or while it is told of
// a change.
class ThrowingPoller final : public Poller {
 public:
  ThrowingPoller() : Poller("throwing", {.batched_changes = true}) {}
  [[nodiscard]] Duration resolution() const override { return Duration(1); }

  bool throw_in_apply = false;
  bool throw_in_collect = false;
  bool deferred = false;  // as the last apply() saw it

 private:
  std::error_code apply(int, Interest, Interest) override {
    deferred = may_defer();
    if (throw_in_apply) throw std::bad_alloc();
    return {};
  }
  platform::Result collect(Duration) override {
    for_each_applied([this](int fd, Interest) { report(fd, kReadable); });
    if (throw_in_collect) throw std::bad_alloc();
    return {};
  }
};

BOOST_AUTO_TEST_SUITE(a_backend_that_throws)

BOOST_AUTO_TEST_CASE(leaves_what_it_reported_before) {
  ThrowingPoller poller;
  const Pair pair = socket_pair();
  BOOST_TEST_REQUIRE(!poller.add(pair.near.get(), Interest::kRead, Token{7}));
  for (int waits = 0; waits < 2; ++waits) {
    poller.throw_in_collect = true;
    std::error_code failure;
    BOOST_CHECK_THROW(static_cast<void>(poller.wait(Duration::zero(), failure)), std::bad_alloc);
    poller.verify();
    Event event;
    BOOST_TEST(poller.next(event));
    BOOST_TEST((event.token == Token{7}));
    BOOST_TEST(!poller.next(event));
  }
  poller.throw_in_collect = false;
  BOOST_TEST(wait_and_take(poller) == 1U);
}

BOOST_AUTO_TEST_CASE(is_told_of_the_change_again) {
  ThrowingPoller poller;
  const Pair pair = socket_pair();
  const Pair other = socket_pair();
  BOOST_TEST_REQUIRE(!poller.add(pair.near.get(), Interest::kNone, Token{7}));
  BOOST_TEST_REQUIRE(!poller.add(pair.far.get(), Interest::kNone, Token{8}));
  BOOST_TEST_REQUIRE(!poller.modify(pair.near.get(), Interest::kRead));
  BOOST_TEST_REQUIRE(!poller.modify(pair.far.get(), Interest::kRead));
  poller.throw_in_apply = true;
  std::error_code failure;
  BOOST_CHECK_THROW(static_cast<void>(poller.wait(Duration::zero(), failure)), std::bad_alloc);
  poller.verify();
  BOOST_TEST(!poller.has_ready());
  poller.throw_in_apply = false;
  BOOST_TEST(!poller.add(other.near.get(), Interest::kRead, Token{9}));
  BOOST_TEST(!poller.deferred, "add() outside of a wait must be answered at once");
  BOOST_TEST(wait_and_take(poller) == 3U);
  poller.verify();
}

BOOST_AUTO_TEST_CASE(that_reports_more_than_a_batch_has_room_for_it) {
  BOOST_TEST_REQUIRE(can_open(3100));
  ThrowingPoller poller;
  const Pair pair = socket_pair();
  std::vector<Descriptor> many;
  for (int i = 0; i < 3000; ++i) {
    many.push_back(duplicate(pair.near.get()));
    BOOST_TEST_REQUIRE(!poller.add(many.back().get(), Interest::kRead, Token{7}));
  }
  BOOST_TEST(wait_and_take(poller) == many.size());
  BOOST_TEST(wait_and_take(poller) == many.size());
  poller.verify();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
