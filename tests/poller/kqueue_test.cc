// kqueue's answers to changes: what is refused, lacking, half done or left over. On the simulated
// kernels of the systems that have kqueue.
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "pollard/poller/backends.h"
#include "pollard/testkit/forked.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

using platform::KernelEvent;
using platform::SystemCalls;

const std::vector<sim::Profile>& systems() {
  static const std::vector<sim::Profile> all{sim::linux_system(), sim::freebsd(), sim::netbsd(),
                                             sim::openbsd(), sim::darwin()};
  return all;
}

// Refuses changes before the kernel sees them, as far as `refuses` wants; other changes go through.
class RefusedChanges {
 public:
  using Refuses = std::function<int(const KernelEvent&)>;  // an errno, or 0

  explicit RefusedChanges(Faults& faults) {
    faults.replace<&SystemCalls::kevent>([this, &faults](int queue, const KernelEvent* changes,
                                                         int count, KernelEvent* events, int room,
                                                         const timespec* timeout) {
      const auto& kernel = faults.underlying();
      std::vector<KernelEvent> accepted;
      std::vector<KernelEvent> answers;
      for (int i = 0; i < count; ++i) {
        const int error = refuses ? refuses(changes[i]) : 0;
        if (error == 0) {
          accepted.push_back(changes[i]);
          continue;
        }
        answers.push_back(changes[i]);
        answers.back().flags = static_cast<decltype(KernelEvent::flags)>(platform::kEventError);
        answers.back().data = error;
      }
      if (answers.empty()) return kernel.kevent(queue, changes, count, events, room, timeout);
      constexpr timespec kAtOnce{};
      const int found = kernel.kevent(queue, accepted.data(), static_cast<int>(accepted.size()),
                                      nullptr, 0, &kAtOnce);
      BOOST_TEST(found == 0);
      std::ranges::copy(answers, events);
      return static_cast<int>(answers.size());
    });
  }

  Refuses refuses;
};

RefusedChanges::Refuses refuse_adding(std::int64_t filter, int error) {
  return [filter, error](const KernelEvent& change) {
    const bool adds = platform::has_flag(change, platform::kEventAdd);
    return adds && platform::is_filter(change, filter) ? error : 0;
  };
}

// Waits for a while of virtual time; how many waits it took.
int waits_within(const sim::Kernel& kernel, Watch& watch, Duration length) {
  constexpr int kMany = 1000;
  const MonotonicTime end = kernel.now() + length;
  int waits = 0;
  for (; kernel.now() < end && waits < kMany; ++waits) {
    watch.wait(end - kernel.now());
    BOOST_TEST(watch.take().empty());
  }
  return waits;
}

BOOST_AUTO_TEST_SUITE(kqueue_poller)

// A pipe's writer whose reader is gone, watched from now on, at once or by a change.
BOOST_AUTO_TEST_CASE(reports_readerless_pipe_in_every_wait_until_removed) {
  for (const sim::Profile& system : systems()) {
    for (const Interest before : {Interest::kNone, Interest::kWrite, Interest::kBoth}) {
      const sim::Kernel kernel({.profile = system});
      Watch watch("kqueue");
      Pipe pipe = open_pipe();
      const Pair other = socket_pair();
      watch.add(other.near, Interest::kWrite);
      pipe.read.reset();
      watch.add(pipe.write, before);
      BOOST_TEST(!watch->modify(pipe.write.get(), Interest::kWrite));
      for (int waits = 0; waits < 3; ++waits) {
        const auto events = watch.collect(1s);
        BOOST_TEST_REQUIRE(events.contains(pipe.write.get()), system.name);
        BOOST_TEST(events.at(pipe.write.get()).writable);
        BOOST_TEST(events.at(pipe.write.get()).hangup);
        BOOST_TEST((events.at(pipe.write.get()).error ||
                    system.readerless_pipe == sim::ReaderlessPipe::kAccepted));
        BOOST_TEST(events.contains(other.near.get()), "another descriptor must be served too");
        watch->verify();
      }
      watch.remove(other.near);
      watch.remove(pipe.write);
      BOOST_TEST(waits_within(kernel, watch, 50ms) <= 7);
      watch->verify();
    }
  }
}

BOOST_AUTO_TEST_CASE(is_silent_about_readerless_pipe_that_is_not_wanted_any_more) {
  for (const sim::Profile& system : systems()) {
    const sim::Kernel kernel({.profile = system});
    Watch watch("kqueue");
    Pipe pipe = open_pipe();
    pipe.read.reset();
    watch.add(pipe.write, Interest::kWrite);
    BOOST_TEST(watch.ready(pipe.write) == kWritable);
    BOOST_TEST(!watch->modify(pipe.write.get(), Interest::kNone));
    BOOST_TEST(waits_within(kernel, watch, 50ms) <= 7);
    BOOST_TEST(!watch->modify(pipe.write.get(), Interest::kWrite));
    BOOST_TEST(watch.ready(pipe.write) == kWritable);
  }
}

BOOST_AUTO_TEST_CASE(gives_one_edge_of_readerless_pipe) {
  for (const sim::Profile& system : systems()) {
    const sim::Kernel kernel({.profile = system});
    Watch watch("kqueue");
    Pipe pipe = open_pipe();
    pipe.read.reset();
    watch.add(pipe.write, Interest::kWrite, Trigger::kEdge);
    BOOST_TEST(watch.ready(pipe.write) == kWritable);
    BOOST_TEST(waits_within(kernel, watch, 50ms) <= 7);
  }
}

// More of them than one wait reports: each has its turn.
BOOST_AUTO_TEST_CASE(reports_each_of_many_readerless_pipes) {
  constexpr std::size_t kMany = 1200;
  const sim::Kernel kernel({.profile = sim::freebsd()});
  Watch watch("kqueue");
  std::vector<Pipe> pipes(kMany);
  for (Pipe& pipe : pipes) {
    pipe = open_pipe();
    pipe.read.reset();
    watch.add(pipe.write, Interest::kWrite);
  }
  std::map<int, int> heard;
  for (int waits = 0; waits < 20; ++waits) {
    for (const auto& [fd, event] : watch.collect(1s)) ++heard[fd];
  }
  BOOST_TEST(heard.size() == kMany);
  std::vector<int> times;
  for (const auto& [fd, count] : heard) times.push_back(count);
  const auto [least, most] = std::ranges::minmax(times);
  BOOST_TEST(most - least <= 1);
}

// Where a reader comes back, as one of a FIFO does, the kernel takes the filter.
BOOST_AUTO_TEST_CASE(stops_reporting_pipe_whose_filter_is_taken) {
  const sim::Kernel kernel;
  Faults faults;
  RefusedChanges changes(faults);
  Watch watch("kqueue");
  const Pair pair = socket_pair();
  fill(pair.near.get());
  changes.refuses = refuse_adding(platform::kFilterWrite, EPIPE);
  watch.add(pair.near, Interest::kWrite);
  BOOST_TEST(watch.ready(pair.near) == kWritable);
  changes.refuses = nullptr;
  BOOST_TEST(waits_within(kernel, watch, 50ms) <= 2);
}

// The one filter was taken when the other was refused.
BOOST_AUTO_TEST_CASE(leaves_no_filter_of_half_refused_registration) {
  for (const int error : {EOPNOTSUPP, ENOMEM, EBADF}) {
    for (const std::int64_t filter : {platform::kFilterRead, platform::kFilterWrite}) {
      const sim::Kernel kernel;
      Faults faults;
      RefusedChanges changes(faults);
      Watch watch("kqueue");
      const Pair pair = socket_pair();
      write_text(pair.far.get(), "data");
      const bool readerless = error == EBADF && filter == platform::kFilterWrite;
      changes.refuses = refuse_adding(filter, error);
      BOOST_TEST(!!watch->add(pair.near.get(), Interest::kBoth, Token{1}) == !readerless);
      if (readerless) watch.remove(pair.near);
      BOOST_TEST(waits_within(kernel, watch, 20ms) == 1);
      BOOST_TEST(watch->stale_events() == 0U);
      watch->verify();
    }
  }
}

BOOST_AUTO_TEST_CASE(calls_each_refusal_of_a_kind_operation_not_permitted) {
  const sim::Kernel kernel;
  Faults faults;
  RefusedChanges changes(faults);
  Watch watch("kqueue");
  const Pair pair = socket_pair();
  for (const int error : {EOPNOTSUPP, EINVAL, ENODEV, EPERM, ENXIO}) {
    changes.refuses = [error](const KernelEvent& change) {
      return platform::has_flag(change, platform::kEventAdd) ? error : 0;
    };
    for (const Interest interest : kInterests) {
      BOOST_TEST(
          (watch->add(pair.near.get(), interest, Token{1}) == std::errc::operation_not_permitted));
    }
  }
}

// NetBSD refuses the filter that a pipe's end can't have: the end without an interest is no less
// watchable for it.
BOOST_AUTO_TEST_CASE(adds_either_end_of_pipe_without_interest) {
  sim::Profile profile = sim::netbsd();
  profile.refuses_wrong_pipe_end = true;
  const sim::Kernel kernel({.profile = profile});
  Watch watch("kqueue");
  const Pipe pipe = open_pipe();
  watch.add(pipe.read, Interest::kNone);
  watch.add(pipe.write, Interest::kNone);
  BOOST_TEST(!watch->modify(pipe.write.get(), Interest::kWrite));
  BOOST_TEST(watch.ready(pipe.write) == kWritable);
}

// The first filter stays in the books when there is no memory for the second, and so is ended.
BOOST_AUTO_TEST_CASE(ends_first_filter_after_second_lacked_memory) {
  for (const bool removes : {false, true}) {
    const sim::Kernel kernel;
    Faults faults;
    RefusedChanges changes(faults);
    Watch watch("kqueue");
    const Pair pair = socket_pair();
    watch.add(pair.near, Interest::kRead);
    BOOST_TEST(!watch->modify(pair.near.get(), Interest::kBoth));
    changes.refuses = refuse_adding(platform::kFilterWrite, ENOMEM);
    watch.wait();
    watch->verify();
    changes.refuses = nullptr;
    if (removes) {
      watch.remove(pair.near);
    } else {
      BOOST_TEST(!watch->modify(pair.near.get(), Interest::kNone));
    }
    write_text(pair.far.get(), "x");
    BOOST_TEST(waits_within(kernel, watch, 100ms) <= 2);
    BOOST_TEST(watch->stale_events() == 0U);
  }
}

// A filter that could not be ended with its registration ends with its first event.
BOOST_AUTO_TEST_CASE(ends_filter_left_by_failed_removal) {
  const sim::Kernel kernel;
  Faults faults;
  RefusedChanges changes(faults);
  Watch watch("kqueue");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kBoth);
  changes.refuses = [](const KernelEvent&) { return ENOMEM; };
  watch.remove(pair.near);
  changes.refuses = nullptr;
  write_text(pair.far.get(), "x");
  BOOST_TEST(waits_within(kernel, watch, 100ms) <= 2);
  BOOST_TEST(watch->stale_events() == 2U);
  watch.add(pair.near, Interest::kRead);
  BOOST_TEST(watch.ready(pair.near) == kReadable);
}

// The kernel's call returns at once with the refusals; the caller's wait goes on.
BOOST_AUTO_TEST_CASE(waits_on_after_refused_changes_alone) {
  for (const int error : {ENOENT, ENOMEM}) {
    const sim::Kernel kernel;
    Faults faults;
    RefusedChanges changes(faults);
    Watch watch("kqueue");
    const Pair pair = socket_pair();
    fill(pair.near.get());
    watch.add(pair.near, Interest::kBoth);
    BOOST_TEST(!watch->modify(pair.near.get(), Interest::kRead));
    int refused = 0;
    changes.refuses = [&](const KernelEvent&) { return refused++ == 0 ? error : 0; };
    const MonotonicTime began = kernel.now();
    watch.wait(8ms);
    BOOST_TEST(watch.take().empty());
    BOOST_TEST((kernel.now() - began >= 8ms));
    watch->verify();
  }
}

// Changes beyond what rides along with a wait are all in force when it begins.
BOOST_AUTO_TEST_CASE(makes_more_changes_than_ride_along_in_one_wait) {
  constexpr std::size_t kMany = 400;
  const sim::Kernel kernel;
  Watch watch("kqueue");
  std::vector<Pair> pairs(kMany);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kNone);
    write_text(pair.far.get(), "data");
  }
  for (const Pair& pair : pairs) BOOST_TEST(!watch->modify(pair.near.get(), Interest::kBoth));
  const auto events = watch.collect();
  BOOST_TEST(events.size() >= kMany / 2);
  for (const Pair& pair : pairs) BOOST_TEST(!watch->modify(pair.near.get(), Interest::kNone));
  BOOST_TEST(waits_within(kernel, watch, 20ms) == 1);
  watch->verify();
}

// The number may be another file in the child.
BOOST_AUTO_TEST_CASE(leaves_its_queue_alone_in_a_forked_child) {
  const sim::Kernel kernel;
  std::unique_ptr<Poller> poller = make_kqueue_poller();
  const std::size_t open = kernel.open_descriptors().size();
  BOOST_TEST(true_in_child([&] {
    poller.reset();
    return kernel.open_descriptors().size() == open;
  }));
  poller.reset();
  BOOST_TEST(kernel.open_descriptors().size() == open - 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
