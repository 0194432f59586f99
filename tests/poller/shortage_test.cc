// Kernels that are short, or that forbid from some moment on what they allowed before: the poller
// says so where it must, and is as good as before at the next wait.
#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

using platform::SystemCalls;

POLLARD_EACH_BACKEND(a_wait_that_fails_for_a_shortage_leaves_the_poller_usable) {
  for (const std::errc error :
       {std::errc::not_enough_memory, std::errc::resource_unavailable_try_again,
        std::errc::too_many_files_open_in_system}) {
    Faults faults;
    Watch watch(backend);
    const Pair pair = socket_pair();
    const Pair paused = socket_pair();
    watch.add(pair.near, Interest::kRead);
    watch.add(paused.near, Interest::kNone);
    write_text(pair.far.get(), "data");
    for (int waits = 0; waits < 3; ++waits) {
      BOOST_TEST(
          !watch->modify(paused.near.get(), waits == 1 ? Interest::kNone : Interest::kWrite));
      faults.fail(Call::kWait, error);
      BOOST_TEST((watch->wait(1ms) == error));
      watch->verify();
      BOOST_TEST(watch.take().empty());
    }
    BOOST_TEST(watch.ready(pair.near) == kReadable);
    BOOST_TEST(watch.ready(paused.near) == kWritable);
    BOOST_TEST(!watch->modify(paused.near.get(), Interest::kNone));
    BOOST_TEST(watch.ready(paused.near) == kNothing);
    watch->verify();
  }
}

// What a failed wait may have changed in the kernel is asked for anew, or ended.
POLLARD_EACH_BACKEND(changes_of_a_failed_wait_can_be_taken_back) {
  for (const bool reached_the_kernel : {false, true}) {
    Faults faults;
    bool fails = false;
    faults.replace<&SystemCalls::kevent>([&](auto... arguments) {
      if (!fails) return faults.underlying().kevent(arguments...);
      fails = false;
      if (reached_the_kernel) faults.underlying().kevent(arguments...);
      return -ENOMEM;
    });
    Watch watch(backend);
    const Pair pair = socket_pair();
    watch.add(pair.near, Interest::kRead);
    BOOST_TEST(!watch->modify(pair.near.get(), Interest::kBoth));
    fails = true;
    static_cast<void>(watch->wait(Duration::zero()));
    BOOST_TEST(!watch->modify(pair.near.get(), Interest::kRead));
    BOOST_TEST(watch.ready(pair.near) == kNothing);
    BOOST_TEST(!watch->modify(pair.near.get(), Interest::kNone));
    fails = true;
    static_cast<void>(watch->wait(Duration::zero()));
    write_text(pair.far.get(), "data");
    BOOST_TEST(watch.ready(pair.near) == kNothing);
    BOOST_TEST(!watch->modify(pair.near.get(), Interest::kRead));
    BOOST_TEST(watch.ready(pair.near) == kReadable);
    watch->verify();
  }
}

// A sandbox that starts later.
POLLARD_EACH_BACKEND(a_call_that_is_forbidden_later_is_done_without) {
  for (const std::errc error :
       {std::errc::function_not_supported, std::errc::operation_not_permitted}) {
    Faults faults;
    Watch watch(backend);
    const Pair pair = socket_pair();
    watch.add(pair.near, Interest::kRead);
    BOOST_TEST(watch.collect(1us).empty());
    const bool uses_nanoseconds = faults.count(Call::kEpollPwait2) + faults.count(Call::kPpoll) > 0;
    faults.fail(Call::kEpollPwait2, error, {.times = kForever});
    faults.fail(Call::kPpoll, error, {.times = kForever});
    const MonotonicTime began = platform::monotonic_now();
    BOOST_TEST(watch.collect(1ms).empty());
    BOOST_TEST((platform::monotonic_now() - began >= 1ms));
    const Duration coarse = std::max(Duration(1ms), Duration(kernel_calls().wait_tick()));
    if (uses_nanoseconds) BOOST_TEST((watch->resolution() == coarse));
    write_text(pair.far.get(), "data");
    BOOST_TEST(watch.ready(pair.near, kPatience) == kReadable);
  }
}

// Only what is missing or forbidden is; a shortage during the construction is no reason.
POLLARD_EACH_BACKEND(a_shortage_at_the_beginning_does_not_coarsen_the_timeouts) {
  Faults faults;
  Watch fine(backend);
  const Duration step = fine->resolution();
  if (step != Duration(1)) return;  // there is no finer call that could be refused
  faults.fail(Call::kEpollPwait2, std::errc::not_enough_memory, {.after = 0, .times = 1});
  faults.fail(Call::kPpoll, std::errc::not_enough_memory, {.after = 0, .times = 1});
  for (const PollerBackend& entry : registered_pollers()) {
    if (entry.name == backend) BOOST_TEST((entry.create()->resolution() == step));
  }
}

// A kernel that takes at most `limit` records of poll: RLIMIT_NOFILE was lowered.
class LoweredLimit {
 public:
  explicit LoweredLimit(Faults& faults) {
    faults.replace<&SystemCalls::poll>([this, &faults](pollfd* records, std::size_t count, int ms) {
      return count > limit ? -EINVAL : faults.underlying().poll(records, count, ms);
    });
    faults.replace<&SystemCalls::ppoll>(
        [this, &faults](pollfd* records, std::size_t count, const timespec* timeout) {
          return count > limit ? -EINVAL : faults.underlying().ppoll(records, count, timeout);
        });
  }
  std::size_t limit = SIZE_MAX;
};

POLLARD_EACH_BACKEND(a_lowered_limit_of_descriptors_ends_no_wait) {
  Faults faults;
  LoweredLimit lowered(faults);
  Watch watch(backend);
  std::vector<Pair> pairs(30);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    watch.add(pair.near, Interest::kRead);
  }
  lowered.limit = 7;
  const MonotonicTime began = platform::monotonic_now();
  BOOST_TEST(watch.collect(3ms).empty());
  BOOST_TEST((platform::monotonic_now() - began >= 3ms));
  for (const Pair& pair : pairs) {
    write_text(pair.far.get(), "data");
    BOOST_TEST(watch.ready(pair.near, kPatience) == kReadable);
    static_cast<void>(read_text(pair.near.get()));
  }
  for (const Pair& pair : pairs) write_text(pair.far.get(), "data");
  BOOST_TEST(watch.collect().size() == pairs.size());
  lowered.limit = SIZE_MAX;
  BOOST_TEST(watch.collect().size() == pairs.size());
}

// Not even one record: that is no matter of parts.
BOOST_AUTO_TEST_SUITE(poll_that_is_refused)

BOOST_AUTO_TEST_CASE(altogether_says_so) {
  Faults faults;
  LoweredLimit lowered(faults);
  Watch watch("poll");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.add(pair.far, Interest::kRead);
  lowered.limit = 0;
  BOOST_TEST((watch->wait(1ms) == std::errc::invalid_argument));
}

// Darwin's poll answers NVAL for terminals and devices.
BOOST_AUTO_TEST_CASE(for_a_kind_of_descriptor_says_which_it_is) {
  Faults faults;
  Watch watch("poll");
  const Pair pair = socket_pair();
  Pair other = socket_pair();
  const int closed = other.near.get();
  watch.add(pair.near, Interest::kRead);
  watch.add(pair.far, Interest::kRead);
  watch.add(other.near, Interest::kRead);
  watch.remove(pair.far);
  watch.remove(other.near);
  other.near.reset();
  faults.replace<&SystemCalls::poll>([&](pollfd* records, std::size_t count, int milliseconds) {
    const int found = faults.underlying().poll(records, count, milliseconds);
    for (std::size_t i = 0; i < count; ++i) {
      if (records[i].fd == pair.far.get()) records[i].revents = POLLNVAL;
    }
    return count == 1 ? 1 : found;
  });
  for (const Interest interest : kInterests) {
    BOOST_TEST(
        (watch->add(pair.far.get(), interest, Token{1}) == std::errc::operation_not_permitted));
    BOOST_TEST((watch->add(closed, interest, Token{1}) == std::errc::bad_file_descriptor));
  }
  BOOST_TEST(watch->size() == 1U);
  watch->verify();
}

BOOST_AUTO_TEST_SUITE_END()

// Kernels that count in ticks end a short wait up to a tick early.
POLLARD_EACH_BACKEND(a_wait_that_the_kernel_ends_early_is_waited_out) {
  Faults faults;
  int early = 0;
  faults.replace<&SystemCalls::ppoll>(
      [&](pollfd* records, std::size_t count, const timespec* timeout) {
        constexpr timespec kAtOnce{};
        const bool ends_early = early > 0 && early-- > 0;
        return faults.underlying().ppoll(records, count, ends_early ? &kAtOnce : timeout);
      });
  faults.replace<&SystemCalls::pselect>(
      [&](int limit, void* readable, void* writable, void* exceptional, const timespec* timeout) {
        constexpr timespec kAtOnce{};
        const bool ends_early = early > 0 && early-- > 0;
        return faults.underlying().pselect(limit, readable, writable, exceptional,
                                           ends_early ? &kAtOnce : timeout);
      });
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  for (int waits = 0; waits < 3; ++waits) {
    early = waits;
    const MonotonicTime began = platform::monotonic_now();
    BOOST_TEST(watch.collect(5ms).empty());
    BOOST_TEST((platform::monotonic_now() - began >= 5ms));
  }
}

}  // namespace
}  // namespace pollard::testing
