// How the four backends of ours keep the contract, where that is more than the contract says. What
// it says is in the conformance kit.
#include <algorithm>
#include <string>

#include "pollard/poller/backends.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND(events_of_an_ended_registration_are_counted_as_stale) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kRead);
  watch.wait();
  watch.remove(pair.near);
  BOOST_TEST(watch.take().empty());
  BOOST_TEST(watch->stale_events() == 1U);
}

POLLARD_EACH_BACKEND(a_life_without_a_surprise_has_no_stale_event) {
  Watch watch(backend);
  for (int i = 0; i < 100; ++i) {
    const Pair pair = socket_pair();
    write_text(pair.far.get(), "data");
    watch.add(pair.near, Interest::kBoth);
    BOOST_TEST(watch.ready(pair.near) == kBothWays);
    watch.remove(pair.near);
  }
  BOOST_TEST(watch->stale_events() == 0U);
}

// The contract lets a poller refuse them; ours don't.
POLLARD_EACH_BACKEND(descriptors_past_fd_setsize_are_watched) {
  BOOST_TEST_REQUIRE(can_open(6100));
  Watch watch(backend);
  for (const int number : {1023, 1024, 1500, 5001, 6000}) {
    BOOST_TEST_CONTEXT(number) {
      const Pair pair = socket_pair();
      const Descriptor high = duplicate(pair.near.get(), number);
      watch.add(high, Interest::kBoth);
      BOOST_TEST(watch.ready(high) == kWritable);
      watch.remove(high);
    }
  }
}

// A poller with a descriptor that was closed, and goes on in a duplicate, and one that lives. It
// leaves the set that the first one haunts, if its mechanism has one.
struct Haunted {
  explicit Haunted(const std::string& backend) : watch(backend) {
    Pair pair = socket_pair();
    watch.add(pair.near, Interest::kWrite);
    watch.add(other.near, Interest::kRead);
    ghost = duplicate(pair.near.get());
    const int number = pair.near.get();
    pair.near.reset();
    watch->remove(number);
  }

  // In a few waits, none of which has to last.
  bool hears_of_other() {
    constexpr int kMostWaits = 10;
    for (int waits = 0; waits < kMostWaits; ++waits) {
      if (watch.ready(other.near, kPatience) == kReadable) return true;
    }
    return false;
  }

  Watch watch;
  Pair other = socket_pair();
  Descriptor ghost;
};

// Leaving a haunted set behind takes a descriptor for a moment.
POLLARD_EACH_BACKEND(a_haunted_set_is_left_behind_when_descriptors_are_short) {
  Faults faults;
  Haunted haunted(backend);
  faults.fail(Call::kEpollCreate1, std::errc::too_many_files_open);
  BOOST_TEST(haunted.watch.collect(1ms).empty());
  BOOST_TEST(haunted.watch.collect(1ms).empty());
  write_text(haunted.other.far.get(), "to somebody");
  BOOST_TEST(haunted.watch.ready(haunted.other.near, kPatience) == kReadable);
}

// When not even one can be had the wait says so, and a later one finds everything again.
POLLARD_EACH_BACKEND(a_haunted_set_without_a_successor_has_one_later) {
  Faults faults;
  Haunted haunted(backend);
  faults.fail(Call::kEpollCreate1, std::errc::too_many_files_open, {.times = 4});
  for (int waits = 0; waits < 4; ++waits) {
    const std::error_code failed = haunted.watch->wait(1ms);
    BOOST_TEST((!failed || failed == std::errc::too_many_files_open), failed.message());
    BOOST_TEST(haunted.watch.take().empty());
  }
  faults.restore(Call::kEpollCreate1);
  write_text(haunted.other.far.get(), "to somebody");
  BOOST_TEST(haunted.hears_of_other());
}

// What the successor had no memory for is not forgotten for as long as the wait may last.
POLLARD_EACH_BACKEND(a_successor_of_a_haunted_set_that_lacks_memory_is_completed_soon) {
  Faults faults;
  Haunted haunted(backend);
  BOOST_TEST(haunted.watch.collect(1ms).empty());
  write_text(haunted.other.far.get(), "to somebody");
  faults.fail(Call::kEpollCtl, std::errc::not_enough_memory, {.times = 2});
  const MonotonicTime began = platform::monotonic_now();
  BOOST_TEST(haunted.hears_of_other());
  BOOST_TEST((platform::monotonic_now() - began < kPatience / 2));
}

POLLARD_EACH_BACKEND(a_call_that_is_missing_is_asked_for_once_and_its_step_is_not_told) {
  for (const std::errc error :
       {std::errc::function_not_supported, std::errc::operation_not_permitted}) {
    Faults faults;
    faults.fail(Call::kEpollPwait2, error, {.times = kForever});
    faults.fail(Call::kPpoll, error, {.times = kForever});
    const auto tries = [&] {
      return faults.count(Call::kEpollPwait2) + faults.count(Call::kPpoll);
    };
    Watch watch(backend);
    const std::size_t asked = tries();
    const Duration own = asked > 0 ? Duration(1ms) : Duration(1);
    BOOST_TEST((watch->resolution() == std::max(own, Duration(kernel_calls().wait_tick()))));
    BOOST_TEST(watch.collect(1us).empty());
    BOOST_TEST(tries() == asked);
  }
}

BOOST_AUTO_TEST_SUITE(select_that_is_short)

BOOST_AUTO_TEST_CASE(a_number_that_the_kernel_refuses_is_refused_with_the_reason) {
  Faults faults;
  Watch watch("select");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  const Descriptor high = duplicate(pair.far.get(), 1500);
  const auto add = [&] { return watch->add(high.get(), Interest::kRead, Watch::token(1)); };
  faults.fail(Call::kPselect, std::errc::invalid_argument, {.times = kForever});
  BOOST_TEST((add() == std::errc::too_many_files_open));
  faults.restore(Call::kPselect);
  BOOST_TEST(watch->size() == 1U);
  BOOST_TEST(watch.ready(pair.near) == kNothing);
  BOOST_TEST(!add());
}

BOOST_AUTO_TEST_CASE(a_number_that_the_kernel_refuses_is_refused_without_an_interest_too) {
  Faults faults;
  Watch watch("select");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  const Descriptor high = duplicate(pair.far.get(), 1500);
  for (const Interest interest : kInterests) {
    faults.fail(Call::kPselect, std::errc::invalid_argument, {.times = kForever});
    const std::error_code refused = watch->add(high.get(), interest, Watch::token(high.get()));
    BOOST_TEST((refused == std::errc::too_many_files_open), refused.message());
    faults.restore(Call::kPselect);
    BOOST_TEST(watch.ready(pair.near) == kReadable);
  }
}

BOOST_AUTO_TEST_CASE(select_that_is_forbidden_is_reported_as_forbidden) {
  for (const std::errc error : {std::errc::operation_not_permitted,
                                std::errc::function_not_supported, std::errc::not_enough_memory}) {
    Faults faults;
    faults.fail(Call::kPselect, error, {.times = kForever});
    const auto poller = make_select_poller();
    const Pair pair = socket_pair();
    BOOST_TEST((poller->add(pair.near.get(), Interest::kRead, Token{1}) == error));
    BOOST_TEST(poller->size() == 0U);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
