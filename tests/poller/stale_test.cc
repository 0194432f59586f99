// Registrations that end at a bad moment: within a batch, under a number that is used again, with a
// duplicate of the descriptor alive, without remove().
#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// Two sockets, both readable; the wait has found both, and the first event was taken.
struct Batch {
  explicit Batch(const std::string& backend, Trigger trigger = Trigger::kLevel) : watch(backend) {
    for (Pair& pair : pairs) {
      pair = socket_pair();
      write_text(pair.far.get(), "data");
      watch.add(pair.near, Interest::kRead, trigger);
    }
    watch.wait();
    Event event;
    BOOST_TEST_REQUIRE(watch->next(event));
    const bool first = event.token == Watch::token(pairs[0].near.get());
    victim = first ? &pairs[1] : &pairs[0];
  }

  Watch watch;
  Pair pairs[2];
  Pair* victim = nullptr;
};

POLLARD_EACH_BACKEND(a_removed_descriptor_has_no_event_even_if_it_was_collected) {
  Batch batch(backend);
  batch.watch.remove(batch.victim->near);
  BOOST_TEST(batch.watch.take().empty());
  BOOST_TEST(batch.watch->stale_events() == 1U);
  BOOST_TEST(batch.watch.ready(batch.victim->near) == kNothing);
}

POLLARD_EACH_BACKEND(a_number_that_is_used_again_gets_no_event_of_its_predecessor) {
  Batch batch(backend);
  const int number = batch.victim->near.get();
  batch.watch.remove(batch.victim->near);
  batch.victim->near.reset();
  const Pair fresh = socket_pair_at(number);
  batch.watch.add(fresh.near, Interest::kRead);
  BOOST_TEST(batch.watch.take().empty());
  BOOST_TEST(batch.watch.ready(fresh.near) == kNothing);
  write_text(fresh.far.get(), "its own");
  BOOST_TEST(batch.watch.ready(fresh.near) == kReadable);
}

POLLARD_EACH_BACKEND(a_descriptor_that_is_removed_and_added_again_begins_anew) {
  Batch batch(backend);
  batch.watch.remove(batch.victim->near);
  batch.watch.add(batch.victim->near, Interest::kRead);
  BOOST_TEST(batch.watch.take().empty());
  BOOST_TEST(batch.watch.ready(batch.victim->near) == kReadable);
}

POLLARD_EACH_EDGE_BACKEND(a_descriptor_that_is_removed_and_added_again_has_its_edge_again) {
  Batch batch(backend, Trigger::kEdge);
  batch.watch.remove(batch.victim->near);
  batch.watch.add(batch.victim->near, Interest::kRead, Trigger::kEdge);
  BOOST_TEST(batch.watch.take().empty());
  BOOST_TEST(batch.watch.ready(batch.victim->near) == kReadable);
}

POLLARD_EACH_BACKEND(a_change_that_waits_for_its_wait_dies_with_its_registration) {
  Watch watch(backend);
  Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.modify(pair.near, Interest::kBoth);
  const int number = pair.near.get();
  watch.remove(pair.near);
  pair.near.reset();
  const Pair fresh = socket_pair_at(number);
  watch.add(fresh.near, Interest::kRead);
  expect_silence(watch);
  watch.modify(fresh.near, Interest::kWrite);
  BOOST_TEST(watch.ready(fresh.near) == kWritable);
}

POLLARD_EACH_BACKEND(a_descriptor_may_be_closed_before_it_is_removed) {
  Watch watch(backend);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(pair.near, Interest::kBoth);
  watch.add(other.near, Interest::kWrite);
  const int number = pair.near.get();
  pair.near.reset();
  BOOST_TEST(watch->remove(number) == std::error_code());
  BOOST_TEST(watch->size() == 1U);
  BOOST_TEST(watch.collect().size() == 1U);
  BOOST_TEST(watch.ready(other.near) == kWritable);
}

// epoll watches the open file and not its number: a duplicate keeps a closed one alive there.
POLLARD_EACH_BACKEND(a_closed_descriptor_is_silent_though_a_duplicate_lives) {
  for (const Interest interest : {Interest::kRead, Interest::kWrite, Interest::kBoth}) {
    Watch watch(backend);
    Pair pair = socket_pair();
    const Pair other = socket_pair();
    watch.add(pair.near, interest);
    watch.add(other.near, Interest::kRead);
    const Descriptor ghost = duplicate(pair.near.get());
    const int number = pair.near.get();
    pair.near.reset();
    watch->remove(number);
    write_text(pair.far.get(), "to nobody");
    expect_no_spin(watch);
    write_text(other.far.get(), "to somebody");
    BOOST_TEST(watch.await(other.near).readable);
    BOOST_TEST(watch.collect().size() == 1U);
  }
}

POLLARD_EACH_BACKEND(the_next_owner_of_a_number_is_not_haunted_by_a_duplicate) {
  Watch watch(backend);
  Pair pair = socket_pair();
  watch.add(pair.near, Interest::kBoth);
  const Descriptor ghost = duplicate(pair.near.get(), 100);
  const int number = pair.near.get();
  pair.near.reset();
  watch->remove(number);
  const Pair fresh = socket_pair_at(number);
  watch.add(fresh.near, Interest::kRead);
  write_text(pair.far.get(), "to nobody");
  expect_no_spin(watch);
  write_text(fresh.far.get(), "to its owner");
  BOOST_TEST(watch.await(fresh.near).readable);
}

POLLARD_EACH_EDGE_BACKEND(edges_survive_a_haunted_set) {
  Watch watch(backend);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(other.near, Interest::kRead, Trigger::kEdge);
  watch.add(pair.near, Interest::kWrite, Trigger::kLevel);
  const Descriptor ghost = duplicate(pair.near.get());
  const int number = pair.near.get();
  pair.near.reset();
  watch->remove(number);
  watch.collect();
  write_text(other.far.get(), "edge");
  BOOST_TEST(watch.await(other.near).readable);
}

POLLARD_EACH_BACKEND(removing_before_a_close_leaves_nothing_behind) {
  for (const Interest interest : {Interest::kRead, Interest::kWrite, Interest::kBoth}) {
    Faults faults;
    Watch watch(backend);
    Pair pair = socket_pair();
    watch.add(pair.near, interest);
    const Descriptor ghost = duplicate(pair.near.get(), 100);
    const int number = pair.near.get();
    const std::size_t before = faults.count(Call::kAny);
    BOOST_TEST(watch->remove_before_close(number) == std::error_code());
    BOOST_TEST(faults.count(Call::kAny) == before, "the close is all it takes");
    BOOST_TEST(watch->remove_before_close(number).value() == ENOENT);
    pair.near.reset();
    const Pair fresh = socket_pair_at(number);
    watch.add(fresh.near, Interest::kRead);
    write_text(pair.far.get(), "to nobody");
    expect_no_spin(watch);
    write_text(fresh.far.get(), "to its owner");
    BOOST_TEST(watch.await(fresh.near).readable);
  }
}

// Leaving a haunted set behind takes a descriptor for a moment.
POLLARD_EACH_BACKEND(a_haunted_set_is_left_behind_when_descriptors_are_short) {
  Faults faults;
  Watch watch(backend);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(pair.near, Interest::kWrite);
  watch.add(other.near, Interest::kRead);
  const Descriptor ghost = duplicate(pair.near.get());
  const int number = pair.near.get();
  pair.near.reset();
  watch->remove(number);
  faults.fail(Call::kEpollCreate1, std::errc::too_many_files_open);
  expect_no_spin(watch);
  write_text(other.far.get(), "to somebody");
  BOOST_TEST(watch.await(other.near).readable);
}

// A bug of the caller's, which must not make the loop spin. Mechanisms that forget a closed
// descriptor by themselves are silent; the others say it once.
POLLARD_EACH_BACKEND(a_descriptor_that_is_closed_without_remove_is_reported_at_most_once) {
  Watch watch(backend);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.add(other.near, Interest::kRead);
  const int number = pair.near.get();
  pair.near.reset();
  const auto events = watch.collect(1ms);
  BOOST_TEST(events.size() == (watch->capabilities().scales_with_ready ? 0U : 1U));
  for (const auto& [fd, event] : events) {
    BOOST_TEST(fd == number);
    BOOST_TEST(event.error);
  }
  expect_silence(watch);
  write_text(other.far.get(), "data");
  BOOST_TEST(watch.ready(other.near) == kReadable);
  BOOST_TEST(watch->remove(number) == std::error_code());
  BOOST_TEST(watch->size() == 1U);
}

POLLARD_EACH_BACKEND(a_resumed_descriptor_that_is_closed_is_an_event_with_an_error_and_no_spin) {
  Watch watch(backend);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(pair.near, Interest::kNone);
  watch.add(other.near, Interest::kRead);
  const int number = pair.near.get();
  pair.near.reset();
  BOOST_TEST(watch->modify(number, Interest::kRead) == std::error_code());
  const auto events = watch.collect(kPatience);
  BOOST_TEST_REQUIRE(events.contains(number));
  BOOST_TEST(events.at(number).error);
  expect_silence(watch);
  write_text(other.far.get(), "data");
  BOOST_TEST(watch.ready(other.near) == kReadable);
}

}  // namespace
}  // namespace pollard::testing
