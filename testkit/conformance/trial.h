// What the checks are written with: a poller that must do as it is told, and expectations. The
// first one that isn't met ends the check.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "pollard/platform/time.h"
#include "pollard/testkit/conformance/conformance.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sockets.h"

namespace pollard::conformance {

using namespace std::chrono_literals;
// The descriptors and the faults are those of the library's own tests.
using namespace pollard::testing;  // NOLINT(google-build-using-namespace)

/// Whether the kernel in force is this machine's: one that isn't has a clock of its own.
[[nodiscard]] inline bool is_real_kernel() {
  return kernel_calls().clock_gettime == platform::real_system_calls().clock_gettime;
}

/// Long enough that only a lost event lets it pass.
inline constexpr Duration kPatience = 10s;

/// A promise that was seen broken.
class Broken : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A promise that the subject doesn't make, or that can't be checked here.
class NotSupported : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The guaranteed half of an event.
struct Ready {
  bool readable = false;
  bool writable = false;

  friend bool operator==(const Ready&, const Ready&) = default;
};
inline constexpr Ready kNothing{};
inline constexpr Ready kReadable{.readable = true};
inline constexpr Ready kWritable{.writable = true};
inline constexpr Ready kBothWays{.readable = true, .writable = true};

/// "nothing", "readable", "writable" or "readable and writable".
[[nodiscard]] std::string to_string(Ready ready);
/// The part of it that somebody with this interest is told.
[[nodiscard]] Ready masked(Ready ready, Interest interest);

inline constexpr Interest kInterests[] = {Interest::kNone, Interest::kRead, Interest::kWrite,
                                          Interest::kBoth};
inline constexpr Interest kWants[] = {Interest::kRead, Interest::kWrite, Interest::kBoth};

/// One check of one subject.
class Trial {
 public:
  explicit Trial(const Subject& subject) : subject_(subject) {}

  [[nodiscard]] std::unique_ptr<Driven> make() const { return subject_.create(); }
  [[nodiscard]] const PollerCapabilities& declared() const { return subject_.capabilities; }

  /// What the check is at, in words that a failure begins with; empty for none.
  void at(std::string where) { where_ = std::move(where); }

  /// Throws Broken unless the condition holds; `otherwise` says what was seen.
  void expect(bool condition, const std::string& otherwise) const;
  void expect(std::error_code seen, std::error_code wanted, const std::string& of) const;
  void expect(std::error_code seen, std::errc wanted, const std::string& of) const;
  void expect(Ready seen, Ready wanted, const std::string& of) const;

 private:
  const Subject& subject_;
  std::string where_;
};

/// A poller in which each descriptor's token is its number.
class Watch {
 public:
  explicit Watch(const Trial& trial) : trial_(trial), driven_(trial.make()) {}

  Driven* operator->() { return driven_.get(); }

  static Token token(int fd) { return static_cast<Token>(fd); }

  void add(int fd, Interest interest, Trigger trigger = Trigger::kLevel);
  void add(const Descriptor& fd, Interest interest, Trigger trigger = Trigger::kLevel) {
    add(fd.get(), interest, trigger);
  }
  void modify(const Descriptor& fd, Interest interest);
  void remove(const Descriptor& fd);

  void wait(std::optional<Duration> timeout = Duration::zero());
  /// Takes every event of the last wait. Two of one descriptor, or one of nothing, break a promise.
  std::map<int, Event> take();
  std::map<int, Event> collect(std::optional<Duration> timeout = Duration::zero()) {
    wait(timeout);
    return take();
  }

  /// What the next wait says of a descriptor.
  Ready ready(const Descriptor& fd, Duration timeout = Duration::zero());
  /// What the next wait must say of a descriptor, which is ready by now, or isn't.
  void expect(const Descriptor& fd, Ready wanted, const std::string& when);

  /// The event of a descriptor that is going to be ready.
  Event await(const Descriptor& fd);
  /// Waits until it was ready in at least these ways, however many events that takes.
  void await(const Descriptor& fd, Ready wanted);

  /// The wait sleeps for its whole time and finds nothing: no event, and no spin.
  void expect_silence(const std::string& when, Duration time = 20ms);
  /// Nothing is found for so long, in a bounded number of waits: one may end early, all mustn't.
  void expect_no_spin(const std::string& when, Duration time = 20ms, int most_waits = 4);

 private:
  const Trial& trial_;
  std::unique_ptr<Driven> driven_;
};

/// "TCP" or "Unix".
[[nodiscard]] inline Pair pair_of(bool tcp) { return tcp ? tcp_pair() : socket_pair(); }
[[nodiscard]] inline const char* kind_of(bool tcp) { return tcp ? "TCP" : "Unix"; }

}  // namespace pollard::conformance
