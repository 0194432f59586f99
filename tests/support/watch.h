// What the tests of the pollers' insides have in common: a poller that must not fail, and events
// that compare. The conformance kit has its own, which needs no Boost.Test.
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
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sockets.h"
#include "pollard/tests/support/each_backend.h"

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

 private:
  std::unique_ptr<Poller> poller_;
};

}  // namespace pollard::testing

namespace boost::test_tools::tt_detail {

template <>
struct print_log_value<pollard::Interest> {
  void operator()(std::ostream& out, pollard::Interest interest) {
    out << pollard::to_string(interest);
  }
};

}  // namespace boost::test_tools::tt_detail
