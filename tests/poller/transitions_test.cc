// Every change of interest: all pairs and all triples, with and without a wait between them, on a
// socket that is readable and writable throughout.
#include <string>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

Pair ready_pair() {
  Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  return pair;
}

Ready level_of(Interest interest) {
  return {.readable = wants_read(interest), .writable = wants_write(interest)};
}

void expect_level(Watch& watch, const Descriptor& fd, Interest interest) {
  BOOST_TEST(watch.ready(fd) == level_of(interest));
  BOOST_TEST(watch.ready(fd) == level_of(interest));
}

// What is newly wanted comes, what isn't wanted doesn't, and then it is silent. Whether that which
// was wanted before comes once more is the mechanism's affair: epoll looks at a descriptor as a
// whole.
void expect_edge(Watch& watch, const Descriptor& fd, Interest before, Interest now) {
  const Ready ready = watch.ready(fd);
  if (wants_read(now) && !wants_read(before)) BOOST_TEST(ready.readable);
  if (wants_write(now) && !wants_write(before)) BOOST_TEST(ready.writable);
  if (!wants_read(now)) BOOST_TEST(!ready.readable);
  if (!wants_write(now)) BOOST_TEST(!ready.writable);
  BOOST_TEST(watch.ready(fd) == kNothing);
  BOOST_TEST(watch.ready(fd) == kNothing);
}

template <class Visit>
void for_each_triple(Visit visit) {
  for (const Interest first : kInterests) {
    for (const Interest second : kInterests) {
      for (const Interest third : kInterests) {
        BOOST_TEST_CONTEXT(to_string(first)
                           << " -> " << to_string(second) << " -> " << to_string(third)) {
          visit(first, second, third);
        }
      }
    }
  }
}

POLLARD_EACH_BACKEND(every_interest_is_followed_by_every_other_with_levels) {
  const Pair pair = ready_pair();
  for_each_triple([&](Interest first, Interest second, Interest third) {
    Watch watch(backend);
    watch.add(pair.near, first);
    expect_level(watch, pair.near, first);
    watch.modify(pair.near, second);
    expect_level(watch, pair.near, second);
    watch.modify(pair.near, third);
    expect_level(watch, pair.near, third);
    watch.remove(pair.near);
    BOOST_TEST(watch.collect().empty());
  });
}

POLLARD_EACH_BACKEND(of_several_changes_between_two_waits_the_last_counts_with_levels) {
  const Pair pair = ready_pair();
  for_each_triple([&](Interest first, Interest second, Interest third) {
    Watch watch(backend);
    watch.add(pair.near, first);
    watch.modify(pair.near, second);
    watch.modify(pair.near, third);
    expect_level(watch, pair.near, third);
    watch.modify(pair.near, second);
    watch.modify(pair.near, first);
    expect_level(watch, pair.near, first);
  });
}

POLLARD_EACH_BACKEND(a_descriptor_is_removed_from_every_interest_and_added_with_every_other) {
  const Pair pair = ready_pair();
  for_each_triple([&](Interest first, Interest second, Interest third) {
    Watch watch(backend);
    watch.add(pair.near, first);
    watch.modify(pair.near, second);
    watch.remove(pair.near);
    watch.add(pair.near, third);
    expect_level(watch, pair.near, third);
  });
}

POLLARD_EACH_EDGE_BACKEND(every_interest_is_followed_by_every_other_with_edges) {
  const Pair pair = ready_pair();
  for_each_triple([&](Interest first, Interest second, Interest third) {
    Watch watch(backend);
    watch.add(pair.near, first, Trigger::kEdge);
    expect_edge(watch, pair.near, Interest::kNone, first);
    watch.modify(pair.near, second);
    expect_edge(watch, pair.near, first, second);
    watch.modify(pair.near, third);
    expect_edge(watch, pair.near, second, third);
    watch.remove(pair.near);
    BOOST_TEST(watch.collect().empty());
  });
}

POLLARD_EACH_EDGE_BACKEND(of_several_changes_between_two_waits_the_last_counts_with_edges) {
  const Pair pair = ready_pair();
  for_each_triple([&](Interest first, Interest second, Interest third) {
    Watch watch(backend);
    watch.add(pair.near, first, Trigger::kEdge);
    expect_edge(watch, pair.near, Interest::kNone, first);
    watch.modify(pair.near, second);
    watch.modify(pair.near, third);
    expect_edge(watch, pair.near, first, third);
  });
}

POLLARD_EACH_EDGE_BACKEND(an_edge_that_was_masked_comes_when_the_interest_returns) {
  for (const Interest masked : {Interest::kNone, Interest::kRead, Interest::kWrite}) {
    BOOST_TEST_CONTEXT("masked to " << to_string(masked)) {
      Watch watch(backend);
      const Pair pair = socket_pair();
      watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
      watch.collect();
      watch.modify(pair.near, masked);
      watch.collect();
      write_text(pair.far.get(), "behind the mask");
      watch.collect();
      watch.modify(pair.near, Interest::kBoth);
      const Ready ready = watch.ready(pair.near);
      if (!wants_read(masked)) BOOST_TEST(ready.readable);
      if (!wants_write(masked)) BOOST_TEST(ready.writable);
      expect_silence(watch, 1ms);
    }
  }
}

POLLARD_EACH_EDGE_BACKEND(
    an_edge_that_was_withheld_after_its_wait_comes_when_the_interest_returns) {
  for (const Interest masked : {Interest::kNone, Interest::kRead, Interest::kWrite}) {
    for (const bool wait_between : {false, true}) {
      BOOST_TEST_CONTEXT("masked to " << to_string(masked) << ", wait between: " << wait_between) {
        Watch watch(backend);
        const Pair pair = ready_pair();
        watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
        watch.wait();
        watch.modify(pair.near, masked);
        watch.take();
        if (wait_between) watch.collect();
        watch.modify(pair.near, Interest::kBoth);
        const Ready ready = watch.ready(pair.near);
        if (!wants_read(masked)) BOOST_TEST(ready.readable);
        if (!wants_write(masked)) BOOST_TEST(ready.writable);
        expect_silence(watch, 1ms);
      }
    }
  }
}

}  // namespace
}  // namespace pollard::testing
