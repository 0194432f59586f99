// What the tests of the pollers have in common: a poller that must not fail, and events that
// compare.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <system_error>
#include <vector>

#include "pollard/platform/time.h"
#include "pollard/poller/poller.h"
#include "pollard/poller/registry.h"
#include "pollard/tests/support/each_backend.h"
#include "pollard/tests/support/faults.h"
#include "pollard/tests/support/sockets.h"

namespace pollard::testing {

using namespace std::chrono_literals;

/// Long enough that only a lost event lets it pass; the watchdog is not asked.
inline constexpr Duration kPatience = 10s;

/// The guaranteed half of an event; hints are asserted by name where a test is about them.
struct Ready {
  bool readable = false;
  bool writable = false;

  friend bool operator==(const Ready&, const Ready&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Ready& ready) {
    return out << (ready.readable ? "r" : "-") << (ready.writable ? "w" : "-");
  }
};
inline constexpr Ready kNothing{};
inline constexpr Ready kReadable{.readable = true};
inline constexpr Ready kWritable{.writable = true};
inline constexpr Ready kBothWays{.readable = true, .writable = true};

inline constexpr Interest kInterests[] = {Interest::kNone, Interest::kRead, Interest::kWrite,
                                          Interest::kBoth};

/// A poller in which each descriptor's token is its number.
class Watch {
 public:
  explicit Watch(const std::string& backend) : poller_(make_poller(backend)) {}

  Poller* operator->() { return poller_.get(); }

  static Token token(int fd) { return static_cast<Token>(fd); }

  void add(int fd, Interest interest, Trigger trigger = Trigger::kLevel) {
    BOOST_TEST_REQUIRE(poller_->add(fd, interest, token(fd), trigger) == std::error_code());
  }
  void add(const Descriptor& fd, Interest interest, Trigger trigger = Trigger::kLevel) {
    add(fd.get(), interest, trigger);
  }
  void modify(const Descriptor& fd, Interest interest) {
    BOOST_TEST_REQUIRE(poller_->modify(fd.get(), interest) == std::error_code());
  }
  void remove(const Descriptor& fd) {
    BOOST_TEST_REQUIRE(poller_->remove(fd.get()) == std::error_code());
  }

  void wait(std::optional<Duration> timeout = Duration::zero()) {
    BOOST_TEST_REQUIRE(poller_->wait(timeout) == std::error_code());
  }

  /// Waits, and takes every event. One descriptor in two events is a failure.
  std::map<int, Event> collect(std::optional<Duration> timeout = Duration::zero()) {
    wait(timeout);
    return take();
  }

  std::map<int, Event> take() {
    std::map<int, Event> events;
    for (Event event; poller_->next(event);) {
      const int fd = static_cast<int>(event.token);
      BOOST_TEST(events.emplace(fd, event).second, "two events of one descriptor in one wait");
      BOOST_TEST((event.readable || event.writable), "an event of nothing");
    }
    return events;
  }

  /// What the next wait says of a descriptor that is expected to be ready, or not to be, by now.
  Ready ready(const Descriptor& fd, Duration timeout = Duration::zero()) {
    const auto events = collect(timeout);
    const auto found = events.find(fd.get());
    if (found == events.end()) return kNothing;
    return {.readable = found->second.readable, .writable = found->second.writable};
  }

  /// The event of a descriptor that is going to be ready.
  Event await(const Descriptor& fd) {
    const MonotonicTime deadline = platform::monotonic_now() + kPatience;
    do {
      const auto events = collect(kPatience);
      const auto found = events.find(fd.get());
      if (found != events.end()) return found->second;
    } while (platform::monotonic_now() < deadline);
    BOOST_FAIL("the event never came");
    return {};
  }

  /// Waits until `fd` is ready in at least these ways, however many events that takes.
  void await(const Descriptor& fd, Ready wanted) {
    Ready seen;
    while ((wanted.readable && !seen.readable) || (wanted.writable && !seen.writable)) {
      const Event event = await(fd);
      seen.readable |= event.readable;
      seen.writable |= event.writable;
    }
  }

 private:
  std::unique_ptr<Poller> poller_;
};

/// The wait sleeps for its whole time and finds nothing: no event, and no spin.
inline void expect_silence(Watch& watch, Duration time = 20ms) {
  const MonotonicTime start = platform::monotonic_now();
  BOOST_TEST(watch.collect(time).empty());
  BOOST_TEST((platform::monotonic_now() - start >= time), "the wait ended before its time");
}

/// Nothing is found for this long, in a bounded number of waits: one may end early, all mustn't.
inline void expect_no_spin(Watch& watch, Duration time = 20ms, int most_waits = 4) {
  const MonotonicTime deadline = platform::monotonic_now() + time;
  int waits = 0;
  for (MonotonicTime now = platform::monotonic_now(); now < deadline;
       now = platform::monotonic_now()) {
    BOOST_TEST(watch.collect(deadline - now).empty());
    if (++waits > most_waits) break;
  }
  BOOST_TEST(waits <= most_waits, "the wait returns again and again with nothing");
}

}  // namespace pollard::testing

namespace boost::test_tools::tt_detail {

template <>
struct print_log_value<pollard::Interest> {
  void operator()(std::ostream& out, pollard::Interest interest) {
    out << pollard::to_string(interest);
  }
};

}  // namespace boost::test_tools::tt_detail
