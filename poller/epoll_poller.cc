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
//     5.11) or forbidden (seccomp says EPERM): it is tried when the program runs.
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/epoll.h"
#include "pollard/platform/time.h"
#include "pollard/poller/backends.h"

namespace pollard {
namespace {

using platform::EpollEvent;
using platform::Result;

class EpollPoller final : public Poller {
 public:
  EpollPoller() : Poller("epoll", kEpollCapabilities), epoll_(open()), events_(kBatch) {
    has_nanoseconds_ =
        platform::epoll_wait_nanoseconds(epoll_.get(), events_, Duration::zero()).ok();
  }

  [[nodiscard]] Duration resolution() const override {
    return has_nanoseconds_ ? Duration(1) : std::chrono::milliseconds(1);
  }

 private:
  static int open() {
    const Result made = platform::epoll_create();
    if (!made.ok()) throw std::system_error(made.error(), "epoll_create1");
    return made.descriptor();
  }

  std::error_code apply(int fd, Interest from, Interest to) override {
    if (to == Interest::kNone) return control(platform::kEpollRemove, fd, to).error();
    const bool known = from != Interest::kNone;
    Result done = control(known ? platform::kEpollModify : platform::kEpollAdd, fd, to);
    if (known && done.is(std::errc::no_such_file_or_directory)) {
      done = control(platform::kEpollAdd, fd, to);
    } else if (!known && done.is(std::errc::file_exists)) {
      done = control(platform::kEpollModify, fd, to);
    }
    return done.error();
  }

  Result control(int operation, int fd, Interest interest) {
    const std::uint64_t data =
        (std::uint64_t{generation(fd)} << 32U) | static_cast<std::uint32_t>(fd);
    return platform::epoll_control(epoll_.get(), operation, fd, to_events(fd, interest), data);
  }

  [[nodiscard]] std::uint32_t to_events(int fd, Interest interest) const {
    std::uint32_t events = 0;
    if (wants_read(interest)) events |= platform::kEpollIn | platform::kEpollPeerEnd;
    if (wants_write(interest)) events |= platform::kEpollOut;
    if (trigger(fd) == Trigger::kEdge) events |= platform::kEpollEdge | platform::kEpollUrgent;
    return events;
  }

  // Closing ends it, unless a duplicate lives on, whose first event then makes a new set.
  std::error_code apply_close(int, Interest) override { return {}; }

  std::error_code collect(std::optional<Duration> timeout) override {
    const Result found = wait_for(timeout);
    if (found.interrupted()) return {};
    if (!found.ok()) return found.error();
    bool haunted = false;
    for (std::size_t i = 0; i < found.count(); ++i) {
      const std::uint64_t data = events_[i].data.u64;
      haunted |= !report(static_cast<int>(data & UINT32_MAX),
                         static_cast<std::uint32_t>(data >> 32U), to_ready(events_[i].events));
    }
    return haunted ? start_over() : std::error_code();
  }

  Result wait_for(std::optional<Duration> timeout) {
    if (!timeout.has_value()) return platform::epoll_wait_milliseconds(epoll_.get(), events_, -1);
    if (*timeout > Duration::zero() && has_nanoseconds_) {
      return platform::epoll_wait_nanoseconds(epoll_.get(), events_, *timeout);
    }
    return platform::epoll_wait_milliseconds(epoll_.get(), events_,
                                             platform::to_milliseconds_rounded_up(*timeout));
  }

  static unsigned to_ready(std::uint32_t events) {
    using namespace platform;  // kEpoll…
    unsigned ready = 0;
    if ((events & (kEpollIn | kEpollPeerEnd | kEpollUrgent)) != 0) ready |= kReadable;
    if ((events & kEpollOut) != 0) ready |= kWritable;
    if ((events & (kEpollHangup | kEpollPeerEnd)) != 0) ready |= kHangup;
    if ((events & (kEpollError | kEpollUrgent)) != 0) ready |= kError;
    if ((events & (kEpollHangup | kEpollError)) != 0) ready |= kReadable | kWritable;
    return ready;
  }

  // The set holds a registration that nobody can name any more: leave it behind. Where descriptors
  // are short, it gives its own to its successor.
  std::error_code start_over() {
    Result made = platform::epoll_create();
    if (made.is(std::errc::too_many_files_open)) {
      epoll_.reset();
      made = platform::epoll_create();
    }
    if (!made.ok()) return made.error();
    epoll_.reset(made.descriptor());
    for_each_applied([&](int fd, Interest interest) {
      if (apply(fd, Interest::kNone, interest)) evict(fd);
    });
    return {};
  }

  platform::Descriptor epoll_;
  std::vector<EpollEvent> events_;
  bool has_nanoseconds_ = false;
};

}  // namespace

std::unique_ptr<Poller> make_epoll_poller() { return std::make_unique<EpollPoller>(); }

}  // namespace pollard
