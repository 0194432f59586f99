// kqueue(2), the BSDs and macOS. Its grievances, and how this file answers them:
//
//   - Reading and writing are two filters with an event each. They are merged into one a
//     descriptor.
//   - EV_EOF comes while data is still unread. It is a hint here; readers read on until recv says
//     so.
//   - The error of a connection stands in the event (fflags) on some systems and behind SO_ERROR on
//     others. It is a hint as well; whoever cares asks the socket.
//   - Closing a descriptor silently drops its filters, and deleting them afterwards fails with
//     EBADF or ENOENT. Both mean "gone" and are no errors.
//   - A failed change comes back as an event, or as the failure of the whole call, by the room
//     there is; events beside errors may be left out. A registration asks for receipts; later
//     changes ride along with the wait, with an event's room for each of them.
//   - Interrupted by a signal, it has applied the changes nevertheless. They are never sent twice.
//   - udata is a pointer's width, 32 bits on some machines, and some systems take it from EV_ADD
//     only: every change carries the generation.
//   - A forked child doesn't inherit the queue, and the number may be another file there: it isn't
//     closed.
#include <array>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/kqueue.h"
#include "pollard/platform/time.h"
#include "pollard/poller/backends.h"

namespace pollard {
namespace {

using platform::KernelEvent;
using platform::Result;

class KqueuePoller final : public Poller {
 public:
  KqueuePoller() : Poller("kqueue", kKqueueCapabilities), queue_(open()), events_(kBatch) {}

  ~KqueuePoller() override {
    if (forked()) static_cast<void>(queue_.release());
  }

  [[nodiscard]] Duration resolution() const override { return Duration(1); }

 private:
  static int open() {
    const Result made = platform::kqueue_create();
    if (!made.ok()) throw std::system_error(made.error(), "kqueue");
    return made.descriptor();
  }

  std::error_code apply(int fd, Interest from, Interest to) override {
    const std::size_t before = changes_.size();
    change_filter(fd, platform::kFilterRead, wants_read(from), wants_read(to), from == to);
    change_filter(fd, platform::kFilterWrite, wants_write(from), wants_write(to), from == to);
    if (may_defer()) return {};
    POLLARD_ASSERT(before == 0, "changes wait for the next collect() only when they may");
    return submit(fd, to);
  }

  void change_filter(int fd, std::int64_t filter, bool from, bool to, bool again) {
    if (from == to && !(again && to)) return;
    const std::uint32_t edge = is_edge(fd) ? platform::kEventClear : 0;
    changes_.push_back(platform::make_change(
        fd, filter, to ? platform::kEventAdd | edge : platform::kEventDelete, generation(fd)));
  }

  // Sends the changes by themselves, with a receipt for each.
  std::error_code submit(int fd, Interest to) {
    for (KernelEvent& change : changes_) {
      change.flags = static_cast<decltype(change.flags)>(change.flags | platform::kEventReceipt);
    }
    std::array<KernelEvent, 2> receipts;
    const Result sent = platform::retry_interrupted(
        [&] { return platform::kqueue_wait(queue_.get(), changes_, receipts, Duration::zero()); });
    changes_.clear();
    std::error_code refused = sent.error();
    for (std::size_t i = 0; sent.ok() && i < sent.count(); ++i) {
      if (!refused) refused = refusal(receipts[i]);
    }
    if (refused && to != Interest::kNone) {
      static_cast<void>(apply(fd, to, Interest::kNone));  // one filter may have been taken
    }
    return to == Interest::kNone ? std::error_code() : refused;
  }

  // What a change was refused with. EPIPE is a pipe whose other end is gone: it is watched all the
  // same.
  static std::error_code refusal(const KernelEvent& receipt) {
    if (!platform::has_flag(receipt, platform::kEventError)) return {};
    const std::error_code error(static_cast<int>(receipt.data), std::system_category());
    return error == std::errc::broken_pipe ? std::error_code() : error;
  }

  // Closing drops the filters.
  std::error_code apply_close(int, Interest) override { return {}; }

  Result collect(Duration timeout) override {
    if (events_.size() < changes_.size()) events_.resize(changes_.size());
    const Result found = platform::kqueue_wait(queue_.get(), changes_, events_, timeout);
    const bool had_changes = !changes_.empty();
    changes_.clear();
    if (!found.ok()) return found;
    for (std::size_t i = 0; i < found.count(); ++i) merge(events_[i]);
    for (const int fd : std::exchange(merged_, {})) {
      report(fd, std::exchange(ready_of_[static_cast<std::size_t>(fd)], 0));
    }
    // Refused changes alone end the kernel's wait, but not ours.
    if (found.count() > 0 && had_changes && found_nothing())
      return collect(until_next_try(timeout));
    return found;
  }

  void merge(const KernelEvent& event) {
    const int fd = platform::descriptor_of(event);
    if (platform::has_flag(event, platform::kEventError)) {
      note_refused_change(fd, event);
    } else if (is_current(fd, platform::udata_of(event))) {
      add_ready(fd, ready_by(event));
    } else {
      count_stale();
    }
  }

  void note_refused_change(int fd, const KernelEvent& event) {
    const std::error_code error = refusal(event);
    const bool gone = error == std::errc::no_such_file_or_directory;
    if (!error || gone || !is_current(fd, platform::udata_of(event))) return;
    if (is_out_of_memory(error)) return try_again(fd);
    add_ready(fd, kReadable | kWritable | kError);
  }

  void add_ready(int fd, unsigned ready) {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= ready_of_.size()) ready_of_.resize(index + 1);
    if (ready_of_[index] == 0) merged_.push_back(fd);
    ready_of_[index] |= ready;
  }

  static unsigned ready_by(const KernelEvent& event) {
    unsigned ready = platform::is_filter(event, platform::kFilterRead) ? kReadable : kWritable;
    if (platform::has_flag(event, platform::kEventEnd)) {
      ready |= kHangup;
      if (event.fflags != 0) ready |= kReadable | kWritable | kError;
    }
    return ready;
  }

  platform::Descriptor queue_;
  std::vector<KernelEvent> changes_;
  std::vector<KernelEvent> events_;
  std::vector<unsigned> ready_of_;  // by descriptor number; zero outside collect()
  std::vector<int> merged_;         // the descriptors of this wait, by their first event
};

}  // namespace

std::unique_ptr<Poller> make_kqueue_poller() { return std::make_unique<KqueuePoller>(); }

}  // namespace pollard
