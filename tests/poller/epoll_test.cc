// epoll's history: sets that hold what has ended, and errors that depend on what was there before.
#include <string>
#include <vector>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

using platform::SystemCalls;

BOOST_AUTO_TEST_SUITE(epoll_poller)

// A registration that ended while its event lay in the batch is no reason for a new set.
BOOST_AUTO_TEST_CASE(makes_no_set_for_an_event_that_was_collected_before_its_end) {
  Faults faults;
  Watch watch("epoll");
  const std::size_t before = faults.count(Call::kEpollCreate1);
  for (int i = 0; i < 20; ++i) {
    const Pair pair = socket_pair();
    watch.add(pair.near, Interest::kWrite);
    watch.wait();
    watch.remove(pair.near);
    BOOST_TEST(watch.take().empty());
    watch->verify();
  }
  BOOST_TEST(watch.collect().empty());
  BOOST_TEST(watch->stale_events() == 20U);
  BOOST_TEST(faults.count(Call::kEpollCreate1) == before);
}

// However many dead registrations a set holds, one successor is enough.
BOOST_AUTO_TEST_CASE(makes_one_set_for_all_that_live_on_in_duplicates) {
  Faults faults;
  Watch watch("epoll");
  const Pair other = socket_pair();
  watch.add(other.near, Interest::kRead);
  std::vector<Descriptor> ghosts;
  std::vector<Pair> pairs(20);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kWrite);
    ghosts.push_back(duplicate(pair.near.get()));
    const int number = pair.near.get();
    watch->remove_before_close(number);
    pair.near.reset();
  }
  const std::size_t before = faults.count(Call::kEpollCreate1);
  for (int waits = 0; waits < 5; ++waits) BOOST_TEST(watch.collect(1ms).empty());
  BOOST_TEST(faults.count(Call::kEpollCreate1) == before + 1);
  BOOST_TEST(watch->stale_events() == pairs.size());
  write_text(other.far.get(), "to somebody");
  BOOST_TEST(watch.ready(other.near) == kReadable);
}

// The number is new to the poller, and the set has it all the same.
BOOST_AUTO_TEST_CASE(answers_eexist_by_changing_what_is_there) {
  Faults faults;
  int refused = 0;
  faults.replace<&SystemCalls::epoll_ctl>(
      [&](int epoll, int operation, int fd, platform::EpollEvent* event) {
        if (operation == platform::kEpollAdd && refused == 0) {
          ++refused;
          BOOST_TEST(faults.underlying().epoll_ctl(epoll, operation, fd, event) == 0);
        }
        return faults.underlying().epoll_ctl(epoll, operation, fd, event);
      });
  Watch watch("epoll");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kWrite);
  BOOST_TEST(refused == 1);
  BOOST_TEST(watch.ready(pair.near) == kWritable);
}

// The poller knows the registration, and the set has lost it.
BOOST_AUTO_TEST_CASE(answers_enoent_by_adding_again) {
  Faults faults;
  int lost = 0;
  faults.replace<&SystemCalls::epoll_ctl>(
      [&](int epoll, int operation, int fd, platform::EpollEvent* event) {
        if (operation == platform::kEpollModify && lost == 0) {
          ++lost;
          faults.underlying().epoll_ctl(epoll, platform::kEpollRemove, fd, event);
        }
        return faults.underlying().epoll_ctl(epoll, operation, fd, event);
      });
  Watch watch("epoll");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  BOOST_TEST(!watch->modify(pair.near.get(), Interest::kWrite));
  const auto events = watch.collect();
  BOOST_TEST_REQUIRE(events.size() == 1U);
  BOOST_TEST(events.begin()->second.writable);
  BOOST_TEST(!events.begin()->second.error, "the change must be made, not reported as refused");
  BOOST_TEST(lost == 1);
}

// A poller whose set must be left behind: a closed descriptor goes on in a duplicate.
struct Haunted {
  Haunted() {
    watch.add(other.near, Interest::kRead);
    watch.add(pair.near, Interest::kWrite);
    ghost = duplicate(pair.near.get());
    const int number = pair.near.get();
    pair.near.reset();
    watch->remove(number);
    BOOST_TEST(watch.collect(1ms).empty());  // the ghost is seen
  }

  Watch watch{"epoll"};
  Pair other = socket_pair();
  Pair pair = socket_pair();
  Descriptor ghost;
};

BOOST_AUTO_TEST_CASE(gives_up_its_set_for_a_new_one_in_each_shortage) {
  for (const std::errc error :
       {std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
        std::errc::not_enough_memory}) {
    Faults faults;
    Haunted haunted;
    const std::size_t before = faults.count(Call::kEpollCreate1);
    faults.fail(Call::kEpollCreate1, error);
    BOOST_TEST(haunted.watch.collect(1ms).empty());
    BOOST_TEST(faults.count(Call::kEpollCreate1) == before + 2);
    write_text(haunted.other.far.get(), "to somebody");
    BOOST_TEST(haunted.watch.ready(haunted.other.near) == kReadable);
    haunted.watch->verify();
  }
}

// While there is no set at all, everything can be asked for, and is there in the set that comes.
BOOST_AUTO_TEST_CASE(without_a_set_takes_registrations_for_the_next) {
  for (const std::errc error : {std::errc::too_many_files_open, std::errc::not_enough_memory}) {
    Faults faults;
    Haunted haunted;
    Watch& watch = haunted.watch;
    faults.fail(Call::kEpollCreate1, error, {.times = 4});
    for (int waits = 0; waits < 2; ++waits) {
      BOOST_TEST((watch->wait(1ms) == error));
      watch->verify();
    }
    const Pair fresh = socket_pair();
    watch.add(fresh.near, Interest::kWrite);
    watch.remove(haunted.other.near);
    BOOST_TEST(watch.ready(fresh.near) == kWritable);
    write_text(haunted.other.far.get(), "to nobody");
    BOOST_TEST(watch.ready(haunted.other.near) == kNothing);
    watch->verify();
  }
}

// What ended up neither taken nor refused was once forgotten: the kernel kept reporting it.
BOOST_AUTO_TEST_CASE(keeps_in_its_books_what_a_refused_change_left_in_the_kernel) {
  Faults faults;
  Watch watch("epoll");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  BOOST_TEST(!watch->modify(pair.near.get(), Interest::kBoth));
  faults.fail(Call::kEpollCtl, std::errc::not_enough_memory);
  watch.collect();
  BOOST_TEST(!watch->modify(pair.near.get(), Interest::kNone));
  const std::size_t before = faults.count(Call::kWait);
  BOOST_TEST(watch.collect(1ms).empty());
  BOOST_TEST(watch.collect(1ms).empty());
  BOOST_TEST(faults.count(Call::kWait) == before + 2);
  const MonotonicTime began = platform::monotonic_now();
  BOOST_TEST(watch.collect(5ms).empty());
  BOOST_TEST((platform::monotonic_now() - began >= 5ms), "a wait must not end at once");
}

BOOST_AUTO_TEST_SUITE_END()

// An event that was collected before a change isn't given for what is no longer wanted.
POLLARD_EACH_BACKEND(an_event_collected_before_a_change_is_of_what_is_wanted_now) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kBoth);
  watch.wait();
  BOOST_TEST(!watch->modify(pair.near.get(), Interest::kRead));
  auto events = watch.take();
  BOOST_TEST_REQUIRE(events.size() == 1U);
  BOOST_TEST(events.begin()->second.readable);
  BOOST_TEST(!events.begin()->second.writable);
  watch.wait();
  BOOST_TEST(!watch->modify(pair.near.get(), Interest::kNone));
  BOOST_TEST(watch.take().empty());
  watch->verify();
}

// An edge that was withheld comes back with the interest, whatever else is changed at that time.
POLLARD_EACH_EDGE_BACKEND(a_withheld_edge_comes_back_with_its_interest) {
  for (const Interest between : {Interest::kNone, Interest::kRead, Interest::kBoth}) {
    for (const Interest after : {Interest::kWrite, Interest::kBoth}) {
      Watch watch(backend);
      const Pair pair = socket_pair();
      watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
      watch.wait();
      BOOST_TEST(!watch->modify(pair.near.get(), Interest::kRead));
      BOOST_TEST(watch.take().empty());
      BOOST_TEST(!watch->modify(pair.near.get(), between));
      BOOST_TEST(!watch->modify(pair.near.get(), after));
      BOOST_TEST(watch.ready(pair.near) == kWritable, to_string(between));
      watch->verify();
    }
  }
}

}  // namespace
}  // namespace pollard::testing
