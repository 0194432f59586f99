// Registrations that end at a bad moment: within a batch, under a number that is used again, with a
// duplicate of the descriptor alive, without remove().
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

// Two sockets, both readable; the wait has found both, and the first event was taken.
struct Batch {
  explicit Batch(Trial& trial, Trigger trigger = Trigger::kLevel) : watch(trial) {
    for (Pair& pair : pairs) {
      pair = socket_pair();
      write_text(pair.far.get(), "data");
      watch.add(pair.near, Interest::kRead, trigger);
    }
    watch.wait();
    Event event;
    trial.expect(watch->next(event), "a wait finds nothing where two are ready");
    const bool first = event.token == Watch::token(pairs[0].near.get());
    victim = first ? &pairs[1] : &pairs[0];
  }

  Watch watch;
  Pair pairs[2];
  Pair* victim = nullptr;
};

void a_removed_descriptor_has_no_event_even_if_it_was_collected(Trial& trial) {
  Batch batch(trial);
  batch.watch.remove(batch.victim->near);
  trial.expect(batch.watch.take().empty(), "an event of a registration that has ended");
  batch.watch.expect(batch.victim->near, kNothing, "what was removed");
}

void a_number_that_is_used_again_gets_no_event_of_its_predecessor(Trial& trial) {
  Batch batch(trial);
  const int number = batch.victim->near.get();
  batch.watch.remove(batch.victim->near);
  batch.victim->near.reset();
  const Pair fresh = socket_pair_at(number);
  batch.watch.add(fresh.near, Interest::kRead);
  trial.expect(batch.watch.take().empty(), "an event of a registration that has ended");
  batch.watch.expect(fresh.near, kNothing, "the next descriptor of the same number");
  write_text(fresh.far.get(), "its own");
  batch.watch.expect(fresh.near, kReadable, "the next descriptor of the same number");
}

void a_descriptor_that_is_removed_and_added_again_begins_anew(Trial& trial) {
  Batch batch(trial);
  batch.watch.remove(batch.victim->near);
  batch.watch.add(batch.victim->near, Interest::kRead);
  trial.expect(batch.watch.take().empty(), "an event of a registration that has ended");
  batch.watch.expect(batch.victim->near, kReadable, "what was added again");
}

void a_descriptor_that_is_removed_and_added_again_has_its_edge_again(Trial& trial) {
  Batch batch(trial, Trigger::kEdge);
  batch.watch.remove(batch.victim->near);
  batch.watch.add(batch.victim->near, Interest::kRead, Trigger::kEdge);
  trial.expect(batch.watch.take().empty(), "an event of a registration that has ended");
  batch.watch.expect(batch.victim->near, kReadable, "what was added again");
}

void a_registration_may_end_while_events_are_taken(Trial& trial) {
  Watch watch(trial);
  std::vector<Pair> pairs;
  for (int i = 0; i < 9; ++i) {
    pairs.push_back(socket_pair());
    write_text(pairs.back().far.get(), "data");
    watch.add(pairs.back().near, Interest::kRead);
  }
  // Each event ends the registration of another descriptor, which mustn't come any more.
  watch.wait();
  std::vector<int> ended;
  std::size_t delivered = 0;
  for (Event event; watch->next(event); ++delivered) {
    const int fd = static_cast<int>(event.token);
    trial.expect(std::count(ended.begin(), ended.end(), fd) == 0,
                 "an event of a registration that has ended");
    const auto other = std::find_if(pairs.begin(), pairs.end(), [&](const Pair& pair) {
      return pair.near.get() != fd && pair.near;
    });
    if (other == pairs.end()) continue;
    ended.push_back(other->near.get());
    watch.remove(other->near);
    other->near.reset();
  }
  trial.expect(delivered + ended.size() >= pairs.size(), "somebody got no event");
  trial.expect(watch->size() == pairs.size() - ended.size(), "registrations are miscounted");
}

void a_change_that_waits_for_its_wait_dies_with_its_registration(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.modify(pair.near, Interest::kBoth);
  const int number = pair.near.get();
  watch.remove(pair.near);
  pair.near.reset();
  const Pair fresh = socket_pair_at(number);
  watch.add(fresh.near, Interest::kRead);
  watch.expect_silence("the predecessor wanted to write, this one doesn't");
  watch.modify(fresh.near, Interest::kWrite);
  watch.expect(fresh.near, kWritable, "the next descriptor of the same number");
}

void a_descriptor_may_be_closed_before_it_is_removed(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(pair.near, Interest::kBoth);
  watch.add(other.near, Interest::kWrite);
  const int number = pair.near.get();
  pair.near.reset();
  trial.expect(watch->remove(number), std::error_code(), "remove of a closed descriptor");
  trial.expect(watch->size() == 1U, "a registration that ended is counted");
  trial.expect(watch.collect().size() == 1U, "not just the other descriptor is reported");
  watch.expect(other.near, kWritable, "another descriptor");
}

// A mechanism may watch the open file and not its number: a duplicate keeps a closed one alive.
void a_closed_descriptor_is_silent_though_a_duplicate_lives(Trial& trial) {
  for (const Interest interest : kWants) {
    trial.at("interest " + std::string(to_string(interest)));
    Watch watch(trial);
    Pair pair = socket_pair();
    const Pair other = socket_pair();
    watch.add(pair.near, interest);
    watch.add(other.near, Interest::kRead);
    const Descriptor ghost = duplicate(pair.near.get());
    const int number = pair.near.get();
    pair.near.reset();
    trial.expect(watch->remove(number), std::error_code(), "remove of a closed descriptor");
    write_text(pair.far.get(), "to nobody");
    watch.expect_no_spin("closed, with a duplicate alive");
    write_text(other.far.get(), "to somebody");
    watch.await(other.near, kReadable);
    trial.expect(watch.collect().size() == 1U, "not just the other descriptor is reported");
  }
}

void the_next_owner_of_a_number_is_not_haunted_by_a_duplicate(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  watch.add(pair.near, Interest::kBoth);
  const Descriptor ghost = duplicate(pair.near.get(), pair.near.get() + 100);
  const int number = pair.near.get();
  pair.near.reset();
  trial.expect(watch->remove(number), std::error_code(), "remove of a closed descriptor");
  const Pair fresh = socket_pair_at(number);
  watch.add(fresh.near, Interest::kRead);
  write_text(pair.far.get(), "to nobody");
  watch.expect_no_spin("the next owner of a number");
  write_text(fresh.far.get(), "to its owner");
  watch.await(fresh.near, kReadable);
}

void edges_survive_the_duplicate_of_a_closed_descriptor(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(other.near, Interest::kRead, Trigger::kEdge);
  watch.add(pair.near, Interest::kWrite, Trigger::kLevel);
  const Descriptor ghost = duplicate(pair.near.get());
  const int number = pair.near.get();
  pair.near.reset();
  trial.expect(watch->remove(number), std::error_code(), "remove of a closed descriptor");
  watch.collect();
  write_text(other.far.get(), "edge");
  watch.await(other.near, kReadable);
}

void removing_before_a_close_leaves_nothing_behind(Trial& trial) {
  for (const Interest interest : kWants) {
    trial.at("interest " + std::string(to_string(interest)));
    Watch watch(trial);
    Pair pair = socket_pair();
    watch.add(pair.near, interest);
    const Descriptor ghost = duplicate(pair.near.get(), pair.near.get() + 100);
    const int number = pair.near.get();
    trial.expect(watch->remove_before_close(number), std::error_code(), "remove_before_close");
    trial.expect(watch->remove_before_close(number), std::errc::no_such_file_or_directory,
                 "remove_before_close of a stranger");
    pair.near.reset();
    const Pair fresh = socket_pair_at(number);
    watch.add(fresh.near, Interest::kRead);
    write_text(pair.far.get(), "to nobody");
    watch.expect_no_spin("the next owner of the number");
    write_text(fresh.far.get(), "to its owner");
    watch.await(fresh.near, kReadable);
  }
}

// A bug of the caller's, which must not make the loop spin. A mechanism that forgets a closed
// descriptor by itself is silent; any other says it once.
void a_descriptor_that_is_closed_without_remove_is_reported_at_most_once(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.add(other.near, Interest::kRead);
  const int number = pair.near.get();
  pair.near.reset();
  for (const auto& [fd, event] : watch.collect(1ms)) {
    trial.expect(fd == number && event.error, "an event of another, or without an error");
  }
  watch.expect_silence("reported once");
  write_text(other.far.get(), "data");
  watch.expect(other.near, kReadable, "another descriptor");
  trial.expect(watch->remove(number), std::error_code(), "remove of a closed descriptor");
  trial.expect(watch->size() == 1U, "a registration that ended is counted");
}

void a_resumed_descriptor_that_is_closed_is_an_event_with_an_error_and_no_spin(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  const Pair other = socket_pair();
  watch.add(pair.near, Interest::kNone);
  watch.add(other.near, Interest::kRead);
  const int number = pair.near.get();
  pair.near.reset();
  trial.expect(watch->modify(number, Interest::kRead), std::error_code(), "modify");
  const auto events = watch.collect(kPatience);
  const auto found = events.find(number);
  trial.expect(found != events.end() && found->second.error,
               "its owner is not told that it can't be watched");
  watch.expect_silence("reported once");
  write_text(other.far.get(), "data");
  watch.expect(other.near, kReadable, "another descriptor");
}

void registering_and_removing_leaves_nothing_behind(Trial& trial) {
  Watch watch(trial);
  const Pair still = socket_pair();
  watch.add(still.near, Interest::kRead);
  for (int i = 0; i < 500; ++i) {
    Pair pair = socket_pair();
    write_text(pair.far.get(), "data");
    watch.add(pair.near, Interest::kBoth);
    if (i % 3 == 0) watch.modify(pair.near, Interest::kRead);
    if (i % 2 == 0) trial.expect(watch.ready(pair.near).readable, "unread data is not reported");
    watch.remove(pair.near);
  }
  trial.expect(watch->size() == 1U, "registrations that ended are counted");
  watch.expect_silence("all but one were removed");
}

}  // namespace

std::vector<Promise> ended_registration_promises() {
  return {
      POLLARD_PROMISE(kEnded, a_removed_descriptor_has_no_event_even_if_it_was_collected),
      POLLARD_PROMISE(kEnded, a_number_that_is_used_again_gets_no_event_of_its_predecessor),
      POLLARD_PROMISE(kEnded, a_descriptor_that_is_removed_and_added_again_begins_anew),
      POLLARD_PROMISE(kEnded, a_descriptor_that_is_removed_and_added_again_has_its_edge_again,
                      Needs::kEdges),
      POLLARD_PROMISE(kEnded, a_registration_may_end_while_events_are_taken),
      POLLARD_PROMISE(kEnded, a_change_that_waits_for_its_wait_dies_with_its_registration),
      POLLARD_PROMISE(kEnded, a_descriptor_may_be_closed_before_it_is_removed),
      POLLARD_PROMISE(kEnded, a_closed_descriptor_is_silent_though_a_duplicate_lives),
      POLLARD_PROMISE(kEnded, the_next_owner_of_a_number_is_not_haunted_by_a_duplicate),
      POLLARD_PROMISE(kEnded, edges_survive_the_duplicate_of_a_closed_descriptor, Needs::kEdges),
      POLLARD_PROMISE(kEnded, removing_before_a_close_leaves_nothing_behind),
      POLLARD_PROMISE(kEnded, a_descriptor_that_is_closed_without_remove_is_reported_at_most_once),
      POLLARD_PROMISE(kEnded,
                      a_resumed_descriptor_that_is_closed_is_an_event_with_an_error_and_no_spin),
      POLLARD_PROMISE(kEnded, registering_and_removing_leaves_nothing_behind),
  };
}

}  // namespace pollard::conformance
