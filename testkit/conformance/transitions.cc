// Every change of interest: all pairs and all triples, with and without a wait between them, on a
// socket that is readable and writable throughout.
#include <string>
#include <vector>

#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

Pair ready_pair() {
  Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  return pair;
}

void expect_level(Watch& watch, const Descriptor& fd, Interest interest) {
  const std::string wanted = "with interest " + std::string(to_string(interest)) + " it";
  watch.expect(fd, masked(kBothWays, interest), wanted);
  watch.expect(fd, masked(kBothWays, interest), wanted);
}

// What is newly wanted comes, what isn't wanted doesn't, and then it is silent. Whether that which
// was wanted before comes once more is the mechanism's affair: epoll looks at a descriptor as a
// whole.
void expect_edge(Trial& trial, Watch& watch, const Descriptor& fd, Interest before, Interest now) {
  const Ready ready = watch.ready(fd);
  const bool lost = (wants_read(now) && !wants_read(before) && !ready.readable) ||
                    (wants_write(now) && !wants_write(before) && !ready.writable);
  trial.expect(!lost, "what is newly wanted, and there already, is no edge");
  trial.expect(ready == masked(ready, now), "an edge that isn't wanted");
  watch.expect(fd, kNothing, "after its edge it");
  watch.expect(fd, kNothing, "after its edge it");
}

template <class Visit>
void for_each_triple(Trial& trial, Visit visit) {
  for (const Interest first : kInterests) {
    for (const Interest second : kInterests) {
      for (const Interest third : kInterests) {
        trial.at(std::string(to_string(first)) + " -> " + std::string(to_string(second)) + " -> " +
                 std::string(to_string(third)));
        visit(first, second, third);
      }
    }
  }
}

void every_interest_is_followed_by_every_other_with_levels(Trial& trial) {
  const Pair pair = ready_pair();
  for_each_triple(trial, [&](Interest first, Interest second, Interest third) {
    Watch watch(trial);
    watch.add(pair.near, first);
    expect_level(watch, pair.near, first);
    watch.modify(pair.near, second);
    expect_level(watch, pair.near, second);
    watch.modify(pair.near, third);
    expect_level(watch, pair.near, third);
    watch.remove(pair.near);
    trial.expect(watch.collect().empty(), "an event after remove");
  });
}

void of_several_changes_between_two_waits_the_last_counts_with_levels(Trial& trial) {
  const Pair pair = ready_pair();
  for_each_triple(trial, [&](Interest first, Interest second, Interest third) {
    Watch watch(trial);
    watch.add(pair.near, first);
    watch.modify(pair.near, second);
    watch.modify(pair.near, third);
    expect_level(watch, pair.near, third);
    watch.modify(pair.near, second);
    watch.modify(pair.near, first);
    expect_level(watch, pair.near, first);
  });
}

void a_descriptor_is_removed_from_every_interest_and_added_with_every_other(Trial& trial) {
  const Pair pair = ready_pair();
  for_each_triple(trial, [&](Interest first, Interest second, Interest third) {
    Watch watch(trial);
    watch.add(pair.near, first);
    watch.modify(pair.near, second);
    watch.remove(pair.near);
    watch.add(pair.near, third);
    expect_level(watch, pair.near, third);
  });
}

void every_interest_is_followed_by_every_other_with_edges(Trial& trial) {
  const Pair pair = ready_pair();
  for_each_triple(trial, [&](Interest first, Interest second, Interest third) {
    Watch watch(trial);
    watch.add(pair.near, first, Trigger::kEdge);
    expect_edge(trial, watch, pair.near, Interest::kNone, first);
    watch.modify(pair.near, second);
    expect_edge(trial, watch, pair.near, first, second);
    watch.modify(pair.near, third);
    expect_edge(trial, watch, pair.near, second, third);
    watch.remove(pair.near);
    trial.expect(watch.collect().empty(), "an event after remove");
  });
}

void of_several_changes_between_two_waits_the_last_counts_with_edges(Trial& trial) {
  const Pair pair = ready_pair();
  for_each_triple(trial, [&](Interest first, Interest second, Interest third) {
    Watch watch(trial);
    watch.add(pair.near, first, Trigger::kEdge);
    expect_edge(trial, watch, pair.near, Interest::kNone, first);
    watch.modify(pair.near, second);
    watch.modify(pair.near, third);
    expect_edge(trial, watch, pair.near, first, third);
  });
}

// An edge that came while nobody wanted it is there when the interest returns.
void expect_returned(Trial& trial, Watch& watch, const Descriptor& fd, Interest masked_to) {
  watch.modify(fd, Interest::kBoth);
  const Ready ready = watch.ready(fd);
  trial.expect(wants_read(masked_to) || ready.readable, "the edge for reading is lost");
  trial.expect(wants_write(masked_to) || ready.writable, "the edge for writing is lost");
  watch.expect_silence("after the edge", 1ms);
}

void an_edge_that_was_masked_comes_when_the_interest_returns(Trial& trial) {
  for (const Interest interest : {Interest::kNone, Interest::kRead, Interest::kWrite}) {
    trial.at("masked to " + std::string(to_string(interest)));
    Watch watch(trial);
    const Pair pair = socket_pair();
    watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
    watch.collect();
    watch.modify(pair.near, interest);
    watch.collect();
    write_text(pair.far.get(), "behind the mask");
    watch.collect();
    expect_returned(trial, watch, pair.near, interest);
  }
}

void an_edge_that_was_withheld_after_its_wait_comes_when_the_interest_returns(Trial& trial) {
  for (const Interest interest : {Interest::kNone, Interest::kRead, Interest::kWrite}) {
    for (const bool wait_between : {false, true}) {
      trial.at("masked to " + std::string(to_string(interest)) +
               (wait_between ? ", with a wait between" : ""));
      Watch watch(trial);
      const Pair pair = ready_pair();
      watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
      watch.wait();
      watch.modify(pair.near, interest);
      watch.take();
      if (wait_between) watch.collect();
      expect_returned(trial, watch, pair.near, interest);
    }
  }
}

}  // namespace

std::vector<Promise> transition_promises() {
  return {
      POLLARD_PROMISE(kLevels, every_interest_is_followed_by_every_other_with_levels),
      POLLARD_PROMISE(kLevels, of_several_changes_between_two_waits_the_last_counts_with_levels),
      POLLARD_PROMISE(kLevels,
                      a_descriptor_is_removed_from_every_interest_and_added_with_every_other),
      POLLARD_PROMISE(kEdges, every_interest_is_followed_by_every_other_with_edges, Needs::kEdges),
      POLLARD_PROMISE(kEdges, of_several_changes_between_two_waits_the_last_counts_with_edges,
                      Needs::kEdges),
      POLLARD_PROMISE(kEdges, an_edge_that_was_masked_comes_when_the_interest_returns,
                      Needs::kEdges),
      POLLARD_PROMISE(kEdges,
                      an_edge_that_was_withheld_after_its_wait_comes_when_the_interest_returns,
                      Needs::kEdges),
  };
}

}  // namespace pollard::conformance
