// Levels, one event a descriptor and wait, and the silence of what is paused.
#include <string>
#include <vector>

#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

void a_level_is_reported_by_every_wait_while_its_cause_lasts(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "cause");
  for (int i = 0; i < 5; ++i) watch.expect(pair.near, kReadable, "unread data");
  read_text(pair.near.get());
  watch.expect_silence("all is read");
}

void a_level_that_is_served_in_part_is_reported_again(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "abc");
  for (const char* letter : {"a", "b", "c"}) {
    watch.expect(pair.near, kReadable, "the rest of the data");
    trial.expect(read_text(pair.near.get(), 1) == letter, "the descriptor was read from");
  }
  watch.expect(pair.near, kNothing, "an empty socket");
}

void a_level_is_the_trigger_unless_another_is_asked_for(Trial& trial) {
  // With the registered default, and beside an edge where there are any.
  Watch watch(trial);
  const Pair level = socket_pair();
  const Pair edge = socket_pair();
  const Trigger other = trial.declared().edge_triggered ? Trigger::kEdge : Trigger::kLevel;
  watch.add(level.near, Interest::kWrite);
  watch.add(edge.near, Interest::kWrite, other);
  watch.collect();
  for (int i = 0; i < 3; ++i) watch.expect(level.near, kWritable, "a level beside an edge");
}

void what_was_not_taken_comes_with_the_next_wait(Trial& trial) {
  Watch watch(trial);
  std::vector<Pair> pairs;
  for (int i = 0; i < 8; ++i) {
    pairs.push_back(socket_pair());
    write_text(pairs.back().far.get(), "data");
    watch.add(pairs.back().near, Interest::kRead);
  }
  watch.wait();
  Event event;
  trial.expect(watch->next(event) && watch->has_ready(), "a wait finds less than is ready");
  trial.expect(watch.collect().size() == pairs.size(), "events that weren't taken are lost");
}

void a_full_socket_becomes_writable_when_its_peer_reads(Trial& trial) {
  Watch watch(trial);
  const Pair pair = tcp_pair();
  fill(pair.near.get());
  watch.add(pair.near, Interest::kWrite);
  while (watch.ready(pair.near, 1ms) == kNothing) read_text(pair.far.get());
  watch.expect(pair.near, kWritable, "a socket with room");
}

void a_token_is_handed_back_unread(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  for (const std::uint64_t bits :
       {std::uint64_t{0xfedcba9876543210U}, std::uint64_t{0}, ~std::uint64_t{0}}) {
    const auto added = watch->add(pair.near.get(), Interest::kWrite, Token{bits}, Trigger::kLevel);
    trial.expect(added, std::error_code(), "add");
    watch.wait();
    Event event;
    trial.expect(watch->next(event), "a writable socket isn't reported");
    trial.expect(event.token == Token{bits}, "the token of an event is another one");
    watch.remove(pair.near);
  }
}

void a_poller_of_nothing_waits_and_finds_nothing(Trial& trial) {
  Watch watch(trial);
  watch.expect_silence("nothing is watched", 1ms);
  trial.expect(watch->size() == 0U, "a new poller counts registrations");
  trial.expect(!watch->has_ready(), "a new poller has events");
}

void registrations_are_counted(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.add(pair.far, Interest::kNone);
  trial.expect(watch->size() == 2U, "two registrations aren't counted as two");
  watch.modify(pair.near, Interest::kNone);
  trial.expect(watch->size() == 2U, "a pause changes the number of registrations");
  watch.remove(pair.near);
  trial.expect(watch->size() == 1U, "a registration that ended is counted");
}

void capabilities_are_what_was_declared(Trial& trial) {
  const PollerCapabilities own = trial.make()->capabilities();
  const PollerCapabilities& declared = trial.declared();
  trial.expect(own.edge_triggered == declared.edge_triggered &&
                   own.scales_with_ready == declared.scales_with_ready &&
                   own.batched_changes == declared.batched_changes,
               "the poller and its entry declare different capabilities");
}

void reading_and_writing_are_one_event_of_one_descriptor(Trial& trial) {
  Watch watch(trial);
  for (const bool tcp : {false, true}) {
    trial.at(kind_of(tcp));
    const Pair pair = pair_of(tcp);
    write_text(pair.far.get(), "data");
    wait_readable(pair.near.get());
    watch.add(pair.near, Interest::kBoth);
    const auto events = watch.collect();  // which fails when a descriptor comes twice
    trial.expect(events.size() == 1U, "not one event of one ready descriptor");
    watch.expect(pair.near, kBothWays, "a socket with data and room");
    watch.remove(pair.near);
  }
}

void an_end_in_both_directions_is_one_event(Trial& trial) {
  Watch watch(trial);
  Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kBoth);
  reset_connection(pair.far);
  wait_for_end(pair.near.get());
  watch.expect(pair.near, kBothWays, "a connection that was reset");
}

void a_paused_descriptor_whose_peer_hangs_up_is_silent(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  Pair tcp = tcp_pair();
  Pipe pipe = open_pipe();
  for (const Descriptor* fd : {&pair.near, &tcp.near, &pipe.read}) watch.add(*fd, Interest::kRead);
  watch.collect();
  for (const Descriptor* fd : {&pair.near, &tcp.near, &pipe.read}) {
    watch.modify(*fd, Interest::kNone);
  }
  pair.far.reset();
  reset_connection(tcp.far);
  pipe.write.reset();
  watch.expect_silence("paused descriptors whose peers are gone");
  for (const Descriptor* fd : {&pair.near, &tcp.near, &pipe.read}) {
    watch.modify(*fd, Interest::kRead);
  }
  for (const Descriptor* fd : {&pair.near, &tcp.near, &pipe.read}) watch.await(*fd, kReadable);
}

void a_descriptor_that_is_added_paused_is_silent_until_it_is_resumed(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kNone);
  trial.expect(watch->size() == 1U, "a paused registration isn't counted");
  watch.expect_silence("added without an interest");
  watch.modify(pair.near, Interest::kBoth);
  watch.expect(pair.near, kBothWays, "a socket with data and room");
  watch.modify(pair.near, Interest::kNone);
  pair.far.reset();
  watch.expect_silence("paused again, and the peer is gone");
}

void what_the_caller_stops_wanting_after_the_wait_is_not_delivered(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kBoth);
  watch.wait();
  watch.modify(pair.near, Interest::kWrite);
  const auto events = watch.take();
  trial.expect(events.size() == 1U && !events.begin()->second.readable,
               "what was no longer wanted is delivered, or what still was isn't");
  watch.wait();
  watch.modify(pair.near, Interest::kNone);
  trial.expect(watch.take().empty(), "an event of a descriptor that was paused meanwhile");
  watch.expect_silence("paused");
}

}  // namespace

std::vector<Promise> level_promises() {
  return {
      POLLARD_PROMISE(kLevels, a_level_is_reported_by_every_wait_while_its_cause_lasts),
      POLLARD_PROMISE(kLevels, a_level_that_is_served_in_part_is_reported_again),
      POLLARD_PROMISE(kLevels, a_level_is_the_trigger_unless_another_is_asked_for),
      POLLARD_PROMISE(kLevels, what_was_not_taken_comes_with_the_next_wait),
      POLLARD_PROMISE(kLevels, a_full_socket_becomes_writable_when_its_peer_reads),
      POLLARD_PROMISE(kLevels, a_token_is_handed_back_unread),
      POLLARD_PROMISE(kLevels, a_poller_of_nothing_waits_and_finds_nothing),
      POLLARD_PROMISE(kLevels, registrations_are_counted),
      POLLARD_PROMISE(kLevels, capabilities_are_what_was_declared),
      POLLARD_PROMISE(kOneEvent, reading_and_writing_are_one_event_of_one_descriptor),
      POLLARD_PROMISE(kOneEvent, an_end_in_both_directions_is_one_event),
      POLLARD_PROMISE(kPause, a_paused_descriptor_whose_peer_hangs_up_is_silent),
      POLLARD_PROMISE(kPause, a_descriptor_that_is_added_paused_is_silent_until_it_is_resumed),
      POLLARD_PROMISE(kPause, what_the_caller_stops_wanting_after_the_wait_is_not_delivered),
  };
}

}  // namespace pollard::conformance
