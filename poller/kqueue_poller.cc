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
//   - The write end of a pipe whose reader is gone can't be watched for writing: FreeBSD and
//     OpenBSD say EPIPE, NetBSD EBADF, and none keeps the filter. poll and select say that it is
//     ready, and so do we, at every wait: each asks the kernel again, and its refusal is the event.
//   - A failed change comes back as an event, or as the failure of the whole call, by the room
//     there is; events beside errors may be left out. A registration asks for receipts; later
//     changes ride along with the wait, with an event's room for each of them.
//   - Interrupted by a signal, it has applied the changes nevertheless. They are never sent twice.
//   - A filter of an ended registration may be left, where ending it failed. Its first event ends
//     it.
//   - It fails as a whole where a system call may, and then doesn't say what it has changed. Both
//     are possible, until a later wait has asked for it anew.
//   - A full pipe whose reader goes is silent on NetBSD and OpenBSD, for ever: a fault of these
//     kernels. Whoever writes to pipes there uses poll or select, or writes with a time limit.
//   - udata is a pointer's width, 32 bits on some machines, and some systems take it from EV_ADD
//     only: every change carries the generation.
//   - A forked child doesn't inherit the queue, and the number may be another file there: it isn't
//     closed.
#include <algorithm>
#include <span>
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
  KqueuePoller() : Poller("kqueue", kKqueueCapabilities), queue_(open()), answers_(kBatch) {
    changes_.reserve(kBatch);
    merged_.reserve(kMostMerged);
  }

  ~KqueuePoller() override {
    if (forked()) static_cast<void>(queue_.release());
  }

  [[nodiscard]] Duration resolution() const override {
    return platform::step_of_timeouts(Duration(1));
  }

 private:
  // What rides along with a wait. More goes ahead of it.
  static constexpr std::size_t kMostChanges = kBatch / 2;
  // The descriptors of a wait: those whose changes were refused ahead of it, and its events.
  static constexpr std::size_t kMostMerged = kBatch + kBatch;

  static int open() {
    const Result made = platform::kqueue_create();
    if (!made.ok()) throw std::system_error(made.error(), "kqueue");
    return made.descriptor();
  }

  void reserve(int fd, std::size_t registrations) override {
    const auto number = static_cast<std::size_t>(fd);
    if (number >= ready_of_.size()) ready_of_.resize(number + 1);
    if (readerless_.capacity() < registrations) {
      readerless_.reserve(std::max(registrations, 2 * readerless_.capacity()));
    }
  }

  std::error_code apply(int fd, Interest from, Interest to) override {
    if (!wants_write(to)) std::erase(readerless_, fd);
    if (!may_defer()) return change_at_once(fd, from, to);
    if (changes_.size() + 2 > kMostChanges && !send_ahead()) {
      return std::make_error_code(std::errc::resource_unavailable_try_again);
    }
    add_changes(fd, from, to);
    return {};
  }

  void add_changes(int fd, Interest from, Interest to) {
    change_filter(fd, platform::kFilterRead, wants_read(from), wants_read(to));
    change_filter(fd, platform::kFilterWrite, wants_write(from), wants_write(to));
  }

  void change_filter(int fd, std::int64_t filter, bool from, bool to) {
    if (from == to && !(to && must_renew(fd))) return;
    const std::uint32_t edge = is_edge(fd) ? platform::kEventClear : 0;
    changes_.push_back(platform::make_change(
        fd, filter, to ? platform::kEventAdd | edge : platform::kEventDelete, generation(fd)));
  }

  // Sends a registration's changes by themselves. Where one filter is refused, the other doesn't
  // stay.
  std::error_code change_at_once(int fd, Interest from, Interest to) {
    POLLARD_ASSERT(changes_.empty(), "changes must be deferred within a wait only");
    add_changes(fd, from, to);
    const Result sent = send_for_receipts();
    changes_.clear();
    std::error_code refused = sent.error();
    for (std::size_t i = 0; sent.ok() && i < sent.count(); ++i) {
      const std::error_code error = error_of(answers_[i]);
      const bool readerless = error && is_readerless(answers_[i], error);
      if (readerless) readerless_.push_back(fd);
      if (!readerless && !refused) refused = error;
    }
    if (to == Interest::kNone) return {};  // a failure means that the filters are gone
    if (refused) static_cast<void>(apply(fd, to, Interest::kNone));
    return refused;
  }

  // With a receipt for each, so that no event comes beside the refusals.
  Result send_for_receipts() {
    for (KernelEvent& change : changes_) {
      change.flags = static_cast<decltype(change.flags)>(change.flags | platform::kEventReceipt);
    }
    return platform::retry_interrupted(
        [&] { return platform::kqueue_wait(queue_.get(), changes_, answers_, Duration::zero()); });
  }

  // Sends what was to ride along. False where the answers may be more than one wait should report.
  bool send_ahead() {
    if (merged_.size() + changes_.size() > kBatch) return false;
    take_answers(send_for_receipts());
    return true;
  }

  void take_answers(Result sent) {
    if (!sent.ok() && !sent.interrupted()) {
      for (const KernelEvent& change : changes_) doubt(change);
    }
    changes_.clear();
    for (std::size_t i = 0; sent.ok() && i < sent.count(); ++i) merge(answers_[i]);
  }

  void doubt(const KernelEvent& change) {
    const int fd = platform::descriptor_of(change);
    if (is_current(fd, platform::udata_of(change))) note_not_known(fd, side_of(change));
  }

  static std::error_code error_of(const KernelEvent& answer) {
    if (!platform::has_flag(answer, platform::kEventError)) return {};
    return {static_cast<int>(answer.data), std::system_category()};
  }

  static Interest side_of(const KernelEvent& event) {
    return platform::is_filter(event, platform::kFilterRead) ? Interest::kRead : Interest::kWrite;
  }

  // Whether a filter for writing was refused because nobody can read.
  static bool is_readerless(const KernelEvent& answer, std::error_code error) {
    if (side_of(answer) != Interest::kWrite) return false;
    if (error == std::errc::broken_pipe) return true;
    return error == std::errc::bad_file_descriptor &&
           platform::is_open(platform::descriptor_of(answer));
  }

  // Closing drops the filters.
  std::error_code apply_close(int fd, Interest) override {
    std::erase(readerless_, fd);
    return {};
  }

  Result collect(Duration timeout) override {
    if (!readerless_.empty()) ask_readerless();
    refusals_ = 0;
    Result found = wait_once(timeout);
    // Refusals come at once and without events. They end the kernel's wait, but not ours.
    if (refusals_ > 0) found = wait_once(until_next_try(timeout));
    report_merged();
    return found;
  }

  Result wait_once(Duration timeout) {
    if (!merged_.empty()) timeout = Duration::zero();
    const auto room = std::span(answers_).first(std::min(kBatch, kMostMerged - merged_.size()));
    const Result found = platform::kqueue_wait(queue_.get(), changes_, room, timeout);
    take_answers(found);
    if (!changes_.empty()) end_strays();
    return found;
  }

  // Asks for the filters that were refused for want of a reader, as many as a wait should report;
  // those that are refused again queue up behind the others.
  void ask_readerless() {
    if (!changes_.empty() && !send_ahead()) return;
    const std::size_t room = std::min(kMostChanges, kBatch - merged_.size());
    const auto count = static_cast<std::ptrdiff_t>(std::min(readerless_.size(), room));
    if (count == 0) return;
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      change_filter(readerless_[static_cast<std::size_t>(i)], platform::kFilterWrite, false, true);
    }
    readerless_.erase(readerless_.begin(), readerless_.begin() + count);
    take_answers(send_for_receipts());
  }

  void report_merged() {
    for (const int fd : merged_) {
      report(fd, std::exchange(ready_of_[static_cast<std::size_t>(fd)], 0));
    }
    merged_.clear();
  }

  void merge(const KernelEvent& event) {
    const int fd = platform::descriptor_of(event);
    if (platform::has_flag(event, platform::kEventError)) {
      note_answer(fd, event);
    } else if (is_current(fd, platform::udata_of(event))) {
      add_ready(fd, ready_by(event));
    } else {
      count_stale();
      end_stray(fd, event);
    }
  }

  // A filter whose registration has ended, unless the present one has it by now.
  void end_stray(int fd, const KernelEvent& event) {
    const bool taken_over =
        (static_cast<unsigned>(applied(fd)) & static_cast<unsigned>(side_of(event))) != 0;
    if (taken_over || changes_.size() == changes_.capacity()) return;
    changes_.push_back(platform::make_change(fd, event.filter, platform::kEventDelete, 0));
  }

  // Such a filter may be gone by now. That is no refusal that has ended a wait. A further stray
  // that comes beside the answers is ended when it comes again.
  void end_strays() {
    const std::size_t refusals = refusals_;
    take_answers(send_for_receipts());
    changes_.clear();
    refusals_ = refusals;
  }

  // What became of a change: an error, or none in a receipt.
  void note_answer(int fd, const KernelEvent& answer) {
    const std::error_code error = error_of(answer);
    if (!error) return;
    ++refusals_;
    if (!is_current(fd, platform::udata_of(answer))) return;
    const Interest side = side_of(answer);
    const bool ends = (static_cast<unsigned>(applied(fd)) & static_cast<unsigned>(side)) == 0;
    if (ends) {
      // Gone already, or there still for want of memory.
      if (may_pass(error)) note_not_known(fd, side);
    } else if (is_readerless(answer, error)) {
      if (!is_edge(fd)) readerless_.push_back(fd);
      add_ready(fd, kWritable | kHangup | kError);
    } else if (may_pass(error)) {
      note_not_taken(fd, side);
    } else {
      note_refused(fd, side);
      add_ready(fd, kReadable | kWritable | kError);
    }
  }

  void add_ready(int fd, unsigned ready) {
    unsigned& before = ready_of_[static_cast<std::size_t>(fd)];
    if (before == 0) merged_.push_back(fd);
    before |= ready;
  }

  static unsigned ready_by(const KernelEvent& event) {
    unsigned ready = platform::is_filter(event, platform::kFilterRead) ? kReadable : kWritable;
    if (platform::has_flag(event, platform::kEventEnd)) {
      ready |= kHangup;
      if (event.fflags != 0) ready |= kReadable | kWritable | kError;
    }
    return ready;
  }

  // None of these allocates within a wait: what a wait needs is bounded, or reserved by add().
  platform::Descriptor queue_;
  std::vector<KernelEvent> changes_;
  std::vector<KernelEvent> answers_;
  std::vector<unsigned> ready_of_;  // by descriptor number; zero outside collect()
  std::vector<int> merged_;         // the descriptors of this wait, by their first event
  std::vector<int> readerless_;     // watched for writing, and refused for want of a reader
  std::size_t refusals_ = 0;        // of this wait
};

}  // namespace

std::unique_ptr<Poller> make_kqueue_poller() { return std::make_unique<KqueuePoller>(); }

}  // namespace pollard
