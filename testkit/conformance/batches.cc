// What changes cost, and that nobody starves. Calls are counted in the table of system calls: those
// that a mechanism makes past it are not seen.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

void write_interest_that_comes_and_goes_between_two_waits_costs_no_call(Trial& trial) {
  Faults faults;
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.collect();
  const std::size_t before_a_wait = faults.count(Call::kAny);
  watch.wait();
  const std::size_t before = faults.count(Call::kAny);
  for (int i = 0; i < 100; ++i) {
    watch.modify(pair.near, Interest::kBoth);
    watch.modify(pair.near, Interest::kRead);
  }
  watch.wait();
  const std::size_t calls = faults.count(Call::kAny) - before;
  trial.expect(calls == before - before_a_wait,
               std::to_string(calls) + " calls instead of those of the wait alone");
}

void changes_ride_along_with_the_wait_where_they_are_batched(Trial& trial) {
  constexpr int kPairs = 20;
  Faults faults;
  Watch watch(trial);
  std::vector<Pair> pairs(kPairs);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kRead);
  }
  watch.collect();
  const std::size_t unchanged = faults.count(Call::kAny);
  watch.wait();
  const std::size_t wait = faults.count(Call::kAny) - unchanged;
  for (const Interest interest : {Interest::kBoth, Interest::kNone, Interest::kRead}) {
    const std::size_t before = faults.count(Call::kAny);
    for (const Pair& pair : pairs) watch.modify(pair.near, interest);
    watch.wait();
    const std::size_t most = wait + (trial.declared().batched_changes ? 0 : pairs.size());
    const std::size_t calls = faults.count(Call::kAny) - before;
    trial.expect(calls <= most, std::to_string(calls) + " calls for a wait with " +
                                    std::to_string(kPairs) + " changes, instead of " +
                                    std::to_string(most));
  }
}

std::vector<Pair> more_ready_than_a_batch_holds(Watch& watch, Interest interest) {
  constexpr int kPairs = 1200;
  if (!can_open(2 * kPairs + 100)) {
    throw NotSupported("this process may not have 2500 descriptors");
  }
  std::vector<Pair> pairs(kPairs);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    write_text(pair.far.get(), "data");
    watch.add(pair.near, interest);
  }
  return pairs;
}

void with_more_ready_than_a_batch_holds_all_are_served_in_turn(Trial& trial) {
  constexpr int kWaits = 30;
  Watch watch(trial);
  const std::vector<Pair> pairs = more_ready_than_a_batch_holds(watch, Interest::kRead);
  std::map<int, int> served;
  for (int wait = 1; wait <= kWaits; ++wait) {
    const auto events = watch.collect();
    trial.expect(events.size() < 600U,
                 std::to_string(events.size()) + " events in one batch, which has no bound");
    for (const auto& [fd, event] : events) ++served[fd];
    trial.expect(
        wait != 3 || served.size() == pairs.size(),
        "three batches leave some of " + std::to_string(pairs.size()) + " without their turn");
  }
  const auto [least, most] =
      std::ranges::minmax_element(served, {}, [](const auto& of) { return of.second; });
  trial.expect(most->second - least->second <= 2, "some are served more often than others");
}

Pair& one_without_an_event(Trial& trial, std::vector<Pair>& pairs,
                           const std::map<int, Event>& events) {
  const auto one = std::ranges::find_if(
      pairs, [&](const Pair& pair) { return !events.contains(pair.near.get()); });
  trial.expect(one != pairs.end(), "one batch has served all");
  return *one;
}

void who_changes_its_interest_before_each_wait_has_its_turn(Trial& trial) {
  constexpr int kWaits = 12;
  Watch watch(trial);
  std::vector<Pair> pairs = more_ready_than_a_batch_holds(watch, Interest::kRead);
  const Pair& changing = one_without_an_event(trial, pairs, watch.collect());
  int served = 0;
  for (int wait = 0; wait < kWaits; ++wait) {
    watch.modify(changing.near, wait % 2 == 0 ? Interest::kBoth : Interest::kRead);
    const auto events = watch.collect();
    const auto event = events.find(changing.near.get());
    if (event != events.end() && event->second.readable) ++served;
  }
  trial.expect(served > 0, "it is never told of its data");
}

void what_a_batch_left_over_and_nobody_wants_any_more_ends_no_wait(Trial& trial) {
  Watch watch(trial);
  const std::vector<Pair> pairs = more_ready_than_a_batch_holds(watch, Interest::kWrite);
  watch.collect();
  for (const Pair& pair : pairs) {
    read_text(pair.near.get());
    watch.modify(pair.near, Interest::kRead);
  }
  watch.expect_silence("all that were ready to be written wait for data now");
}

// What a wait found is more than it hands out; one of those goes, and its number comes back.
void what_a_batch_left_over_is_nobodys_who_comes_later(Trial& trial) {
  Watch watch(trial);
  std::vector<Pair> pairs = more_ready_than_a_batch_holds(watch, Interest::kRead);
  Pair& unserved = one_without_an_event(trial, pairs, watch.collect());
  const int number = unserved.near.get();
  watch.remove(unserved.near);
  unserved = {};
  Pair later = socket_pair();
  if (later.far.get() == number) std::swap(later.near, later.far);
  trial.expect(later.near.get() == number, "the number was not used again");
  watch.add(later.near, Interest::kRead);
  for (int wait = 0; wait < 6; ++wait) {
    for (const auto& [fd, event] : watch.collect()) {
      trial.expect(fd != number, "an event that was meant for an earlier owner of the number");
    }
  }
}

void who_is_always_ready_starves_nobody(Trial& trial) {
  Watch watch(trial);
  std::vector<Pair> busy(64);
  for (Pair& pair : busy) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kWrite);
  }
  const Pair late = socket_pair();
  watch.add(late.near, Interest::kRead);
  for (int i = 0; i < 10; ++i) watch.collect();
  write_text(late.far.get(), "data");
  watch.expect(late.near, kReadable, "a socket with data beside many that are writable");
}

}  // namespace

std::vector<Promise> batch_promises() {
  return {
      POLLARD_PROMISE(kChanges, write_interest_that_comes_and_goes_between_two_waits_costs_no_call),
      POLLARD_PROMISE(kChanges, changes_ride_along_with_the_wait_where_they_are_batched),
      POLLARD_PROMISE(kBatches, with_more_ready_than_a_batch_holds_all_are_served_in_turn),
      POLLARD_PROMISE(kBatches, who_changes_its_interest_before_each_wait_has_its_turn),
      POLLARD_PROMISE(kBatches, what_a_batch_left_over_and_nobody_wants_any_more_ends_no_wait),
      POLLARD_PROMISE(kBatches, what_a_batch_left_over_is_nobodys_who_comes_later),
      POLLARD_PROMISE(kBatches, who_is_always_ready_starves_nobody),
  };
}

}  // namespace pollard::conformance
