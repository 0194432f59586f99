// epoll(7), Linux. Its grievances, and how this file answers them:
//
//   - It watches open files and calls them by the number they had. After close(fd) with a duplicate
//     alive somewhere (a forked child is enough) events go on for the dead number, and no call can
//     end them. Each registration carries its generation; an event of a dead one makes a new epoll
//     set.
//   - Its errors depend on the same history: EEXIST for a number that is new to us, ENOENT for one
//     that isn't. Each is answered with the other operation.
//   - It refuses regular files with EPERM, where poll and select call them ready. So be it: add()
//     says so.
//   - RDHUP must be asked for; HUP and ERR come unasked, so that an uninterested registration would
//     spin. Interest::kNone therefore leaves the set.
//   - An edge doesn't say that a stream ended behind the data it announces, unless RDHUP is in the
//     same event; and urgent data makes a read short without being its end. With edges both are
//     asked for.
//   - epoll_wait counts milliseconds. epoll_pwait2 counts nanoseconds and may be absent (before
//     5.11) or forbidden (seccomp says EPERM), also from some moment on: each call may be the first
//     that is refused, and then milliseconds do.
#include <span>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/epoll.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/time.h"
#include "pollard/poller/backends.h"

namespace pollard {
namespace {

using platform::Result;

class EpollPoller final : public Poller {
 public:
  EpollPoller() : Poller("epoll", kEpollCapabilities), epoll_(open()) {
    static_cast<void>(wait_nanoseconds(Duration::zero()));
  }

  [[nodiscard]] Duration resolution() const override {
    return platform::step_of_timeouts(has_nanoseconds_ ? Duration(1)
                                                       : std::chrono::milliseconds(1));
  }

 private:
  static int open() {
    const Result made = platform::epoll_create();
    if (!made.ok()) throw std::system_error(made.error(), "epoll_create1");
    return made.descriptor();
  }

  std::error_code apply(int fd, Interest from, Interest to) override {
    if (!epoll_) return {};  // start_over() tells the next set
    if (to == Interest::kNone) return control(platform::kEpollRemove, fd, to).error();
    const bool known = from != Interest::kNone;
    Result done = control(known ? platform::kEpollModify : platform::kEpollAdd, fd, to);
    if (done.ok()) return {};
    if (known && done.is(std::errc::no_such_file_or_directory)) {
      done = control(platform::kEpollAdd, fd, to);
    } else if (!known && done.is(std::errc::file_exists)) {
      done = control(platform::kEpollModify, fd, to);
    }
    return done.error();
  }

  Result control(int operation, int fd, Interest interest) {
    return platform::epoll_control(epoll_.get(), operation, fd, to_events(fd, interest),
                                   to_data({fd, generation(fd)}));
  }

  [[nodiscard]] std::uint32_t to_events(int fd, Interest interest) const {
    std::uint32_t events = 0;
    if (wants_read(interest)) events |= platform::kEpollIn | platform::kEpollPeerEnd;
    if (wants_write(interest)) events |= platform::kEpollOut;
    if (is_edge(fd)) events |= platform::kEpollEdge | platform::kEpollUrgent;
    return events;
  }

  // Closing ends it, unless a duplicate lives on, whose first event then makes a new set.
  std::error_code apply_close(int, Interest) override { return {}; }

  [[gnu::hot]] Result collect(Duration timeout) override {
    if (has_strays()) return collect_anew(timeout);
    if (timeout != kNoTimeout) return collect_within(timeout);
    return count(platform::epoll_wait_milliseconds(epoll_.get(), space_to_collect(), -1));
  }

  [[gnu::always_inline]] Result count(Result found) {
    if (found.ok()) collected(found.count());
    return found;
  }

  [[gnu::noinline]] Result collect_within(Duration timeout) {
    if (timeout > Duration::zero() && has_nanoseconds_) {
      const Result found = wait_nanoseconds(timeout);
      if (has_nanoseconds_) return count(found);
    }
    return count(platform::epoll_wait_milliseconds(epoll_.get(), space_to_collect(),
                                                   platform::to_milliseconds_rounded_up(timeout)));
  }

  Result wait_nanoseconds(Duration timeout) {
    const Result found =
        platform::epoll_wait_nanoseconds(epoll_.get(), space_to_collect(), timeout);
    has_nanoseconds_ = !platform::is_absent(found);
    return found;
  }

  // The set holds a registration that nobody can name any more: it is left behind.
  [[gnu::cold, gnu::noinline]] Result collect_anew(Duration timeout) {
    if (const Result made = start_over(); !made.ok()) return made;
    strays_ended();
    return collect(found_nothing() ? until_next_try(timeout) : Duration::zero());
  }

  static_assert(kReadable == platform::kEpollIn && kWritable == platform::kEpollOut);
  [[nodiscard]] unsigned to_ready(std::uint32_t events) const override {
    using namespace platform;  // kEpoll…
    unsigned ready = events & (kReadable | kWritable);
    if ((events & (kEpollPeerEnd | kEpollUrgent)) != 0) ready |= kReadable;
    if ((events & (kEpollHangup | kEpollPeerEnd)) != 0) ready |= kHangup;
    if ((events & (kEpollError | kEpollUrgent)) != 0) ready |= kError;
    if ((events & (kEpollHangup | kEpollError)) != 0) ready |= kReadable | kWritable;
    return ready;
  }

  // Where descriptors or memory are short, the old set gives its own to its successor. Without a
  // successor there is none for now: the strays are left, so the next wait tries again.
  Result start_over() {
    Result made = platform::epoll_create();
    if (platform::is_shortage(made)) {
      epoll_.reset();
      made = platform::epoll_create();
    }
    if (!made.ok()) return made;
    epoll_.reset(made.descriptor());
    for_each_applied([&](int fd, Interest interest) {
      const std::error_code refused = apply(fd, Interest::kNone, interest);
      if (!refused) return;
      const bool later = may_pass(refused) || batch_full();
      later ? note_not_taken(fd, interest) : evict(fd);
    });
    return made;
  }

  platform::Descriptor epoll_;
  bool has_nanoseconds_ = true;
};

}  // namespace

std::unique_ptr<Poller> make_epoll_poller() { return std::make_unique<EpollPoller>(); }

}  // namespace pollard
