// poll(2), everywhere. Its grievances, and how this file answers them:
//
//   - HUP, ERR and NVAL come without being asked for, so a record without interest would end every
//     wait at once. Interest::kNone leaves the array.
//   - A closed descriptor answers NVAL for ever. It is reported once, with an error, and taken out.
//   - What ended is HUP on one system, IN on another, both on a third; a dead pipe is HUP without
//     IN on Linux. HUP and ERR count as readable and writable, as far as either is wanted.
//   - Darwin's poll answers NVAL for terminals and devices. add() asks first and refuses them.
//   - The kernel reads the whole array at each wait, and so do we. Finding a descriptor's record
//     takes constant time, and removing one moves the last into its place.
//   - It refuses an array that is longer than the limit of open descriptors, also when that limit
//     was lowered below the number that is watched (EINVAL). Then parts of the array are asked in
//     turn.
//   - Some kernels count time in ticks and may end a short wait a tick early. It is waited out.
//   - Whoever stands first in the array would always be served first, and a batch out of thousands
//     would cost a look at all of them. What one call finds is handed out batch by batch, to the
//     last, before the next call is made.
#include <algorithm>
#include <span>
#include <vector>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/poll.h"
#include "pollard/platform/time.h"
#include "pollard/poller/backends.h"

namespace pollard {
namespace {

using platform::PollRecord;
using platform::Result;

class PollPoller final : public Poller {
 public:
  PollPoller() : Poller("poll", kPollCapabilities) {
    static_cast<void>(wait_nanoseconds({}, Duration::zero()));
  }

  [[nodiscard]] Duration resolution() const override {
    return platform::step_of_timeouts(has_nanoseconds_ ? Duration(1)
                                                       : std::chrono::milliseconds(1));
  }

 private:
  void reserve(int fd, std::size_t registrations) override {
    if (const auto number = static_cast<std::size_t>(fd); number >= place_of_.size()) {
      place_of_.resize(number + 1);
    }
    if (records_.capacity() < registrations) {
      records_.reserve(std::max(registrations, 2 * records_.capacity()));
    }
  }

  std::error_code apply(int fd, Interest from, Interest to) override {
    const auto number = static_cast<std::size_t>(fd);
    if (to == Interest::kNone) {
      remove_record(number);
    } else if (from == Interest::kNone) {
      // add() asks. What comes back is taken as it is: if it can't be watched it answers NVAL.
      if (const std::error_code refused = may_defer() ? std::error_code() : ask(fd)) return refused;
      place_of_[number] = records_.size();
      records_.push_back({.fd = fd, .events = to_events(to), .revents = 0});
    } else {
      PollRecord& record = records_[place_of_[number]];
      record.events = to_events(to);
      // What was found and nobody wants any more must not end a wait.
      record.revents = static_cast<short>(record.revents & (record.events | kUnasked));
    }
    return {};
  }

  void remove_record(std::size_t number) {
    const std::size_t place = place_of_[number];
    records_[place] = records_.back();
    place_of_[static_cast<std::size_t>(records_[place].fd)] = place;
    records_.pop_back();
  }

  // Whether poll can watch this descriptor at all.
  static std::error_code ask(int fd) {
    PollRecord record{.fd = fd, .events = 0, .revents = 0};
    const Result asked = platform::retry_interrupted([&] {
      return platform::poll_milliseconds({&record, 1}, 0);
    });
    if (!asked.ok()) return asked.error();
    if ((record.revents & platform::kPollInvalid) == 0) return {};
    return std::make_error_code(platform::is_open(fd) ? std::errc::operation_not_permitted
                                                      : std::errc::bad_file_descriptor);
  }

  // What comes whatever was asked for.
  static constexpr int kUnasked =
      platform::kPollError | platform::kPollHangup | platform::kPollInvalid;

  static short to_events(Interest interest) {
    int events = 0;
    if (wants_read(interest)) events |= platform::kPollIn | platform::kPollPeerEnd;
    if (wants_write(interest)) events |= platform::kPollOut;
    return static_cast<short>(events);
  }

  Result collect(Duration timeout) override {
    if (remaining_ > 0) {
      scan();
      if (!found_nothing()) return Result(0);
    }
    const Result found = platform::wait_out(timeout, [&](Duration left) {
      const Result all = wait_for(records_, left);
      return all.is(std::errc::invalid_argument) ? wait_in_parts(left) : all;
    });
    next_ = 0;
    remaining_ = found.ok() ? found.count() : 0;
    scan();
    return found;
  }

  Result wait_for(std::span<PollRecord> records, Duration timeout) {
    if (timeout == kNoTimeout) return platform::poll_milliseconds(records, -1);
    if (timeout > Duration::zero() && has_nanoseconds_) {
      const Result found = wait_nanoseconds(records, timeout);
      if (has_nanoseconds_) return found;
    }
    return platform::poll_milliseconds(records, platform::to_milliseconds_rounded_up(timeout));
  }

  Result wait_nanoseconds(std::span<PollRecord> records, Duration timeout) {
    const Result found = platform::poll_nanoseconds(records, timeout);
    has_nanoseconds_ = !platform::is_absent(found);
    return found;
  }

  // The kernel takes at most as many records as this process may have descriptors, and that limit
  // was lowered: parts of the array are asked in turn, and time passes in short waits for one of
  // them.
  Result wait_in_parts(Duration timeout) {
    constexpr Duration kTurn = std::chrono::milliseconds(10);
    const std::size_t part = longest_part();
    if (part == 0) return Result::failure(std::errc::invalid_argument);
    const MonotonicTime deadline = saturating_add(platform::monotonic_now(), timeout);
    for (;;) {
      const Result found = ask_all(part);
      const Duration left = deadline - platform::monotonic_now();
      if (!found.ok() || found.count() > 0 || left <= Duration::zero()) return found;
      const Result waited = wait_for(std::span(records_).first(part), std::min(left, kTurn));
      if (!waited.ok()) return waited;
    }
  }

  // How many records the kernel takes at once; zero when it refuses even one.
  std::size_t longest_part() {
    std::size_t part = records_.size() / 2;
    while (part > 0 && !platform::poll_milliseconds(std::span(records_).first(part), 0).ok()) {
      part /= 2;
    }
    return part;
  }

  Result ask_all(std::size_t part) {
    std::size_t found = 0;
    for (std::span<PollRecord> rest(records_); !rest.empty();) {
      const std::size_t size = std::min(part, rest.size());
      const Result asked = platform::poll_milliseconds(rest.first(size), 0);
      if (!asked.ok()) return asked;
      found += asked.count();
      rest = rest.subspan(size);
    }
    return Result(static_cast<std::ptrdiff_t>(found));
  }

  // Who comes, goes or moves to another place meanwhile may miss its turn, and gets the next.
  void scan() {
    while (remaining_ > 0 && next_ < records_.size() && !batch_full()) {
      const PollRecord record = records_[next_];
      if (record.revents != 0) --remaining_;
      if ((record.revents & platform::kPollInvalid) != 0) {
        evict(record.fd);  // the last record takes its place
        continue;
      }
      if (record.revents != 0) report(record.fd, ready_by(record.revents));
      ++next_;
    }
    if (next_ >= records_.size()) remaining_ = 0;
  }

  static unsigned ready_by(short events) {
    using namespace platform;  // kPoll…
    unsigned ready = 0;
    if ((events & (kPollIn | kPollPeerEnd)) != 0) ready |= kReadable;
    if ((events & kPollOut) != 0) ready |= kWritable;
    if ((events & (kPollHangup | kPollPeerEnd)) != 0) ready |= kHangup;
    if ((events & kPollError) != 0) ready |= kError;
    if ((events & (kPollHangup | kPollError)) != 0) ready |= kReadable | kWritable;
    return ready;
  }

  std::vector<PollRecord> records_;
  std::vector<std::size_t> place_of_;  // by descriptor number; meaningful while it has a record
  std::size_t next_ = 0;               // the record to look at next
  std::size_t remaining_ = 0;          // how many from there on may be ready, by the last call
  bool has_nanoseconds_ = true;
};

}  // namespace

std::unique_ptr<Poller> make_poll_poller() { return std::make_unique<PollPoller>(); }

}  // namespace pollard
