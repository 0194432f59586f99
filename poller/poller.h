// The Poller: watches descriptors for a caller. It knows nothing of loops, channels or callbacks.
//
// What every backend promises, and tests/poller checks on each:
//   - Level-triggered unless asked otherwise: an event is reported by every wait while its cause
//     lasts.
//   - One event a descriptor and wait.
//   - `readable`: data, the end of the peer's stream, a pending connection, a pending socket error.
//     `writable`: room, the end of a connect (good or bad), a pending socket error. These two are
//     guarantees. `hangup` and `error` are hints that differ between systems: the end of a stream
//     is what recv says, the outcome of a connect is what SO_ERROR says.
//   - Interest::kNone means "not in the kernel": a paused descriptor whose peer hangs up is silent.
//   - After remove(fd) no event of that registration is delivered, not even one already collected,
//     nor to the next registration of the same number.
//   - A timeout is never early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/platform/process.h"

namespace pollard {

enum class Interest : std::uint8_t { kNone = 0, kRead = 1, kWrite = 2, kBoth = 3 };

constexpr bool wants_read(Interest interest) { return (static_cast<unsigned>(interest) & 1U) != 0; }
constexpr bool wants_write(Interest interest) {
  return (static_cast<unsigned>(interest) & 2U) != 0;
}
/// "none", "read", "write" or "both".
[[nodiscard]] std::string_view to_string(Interest interest);

/// kLevel: reported while the cause lasts. kEdge: reported when a cause appears, and once after an
/// interest is added if its cause is there already; the causes of one wait may come in one event.
enum class Trigger : std::uint8_t { kLevel, kEdge };

/// The caller's name for a registration; handed back unread.
enum class Token : std::uint64_t {};

struct Event {
  Token token{};
  bool readable = false;
  bool writable = false;
  /// Hint: the peer has ended its stream, or both sides have. A backend that declares edges reports
  /// it reliably with the edge, for an end that comes together with data makes no edge of its own.
  bool hangup = false;
  /// Hint: a socket error is pending, or something exceptional is (urgent data).
  bool error = false;
};

/// What a backend can do, declared in its registry entry and checked by the conformance tests.
struct PollerCapabilities {
  bool edge_triggered = false;
  /// A wait costs by the number of ready descriptors, not of all that are watched.
  bool scales_with_ready = false;
  /// modify() between two waits costs no system call of its own.
  bool batched_changes = false;
};

/// One thread uses a poller: the one that made it, in the process that made it. Every operation in
/// a forked child fails with Error::kForked and leaves the parent's registrations alone.
class Poller {
 public:
  virtual ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Begins to watch `fd`. Fails, and changes nothing, with
  ///   file_exists              it is registered already;
  ///   bad_file_descriptor      it is not an open descriptor;
  ///   operation_not_permitted  the mechanism can't watch its kind (a regular file under epoll);
  ///   operation_not_supported  kEdge, and this backend has no edges;
  ///   too_many_files_open      its number is past what the mechanism can name (select).
  [[nodiscard]] std::error_code add(int fd, Interest interest, Token token,
                                    Trigger trigger = Trigger::kLevel);

  /// Changes what `fd` is watched for, from the next wait on; no_such_file_or_directory for a
  /// stranger.
  [[nodiscard]] std::error_code modify(int fd, Interest interest);

  /// Ends a registration, before or after the descriptor is closed, but before its number is added
  /// again; no_such_file_or_directory for a stranger.
  std::error_code remove(int fd);

  /// The same for a descriptor that the caller closes next: a mechanism that forgets what is closed
  /// is spared the call.
  std::error_code remove_before_close(int fd);

  /// Waits until something is ready or the timeout has passed (absent: without end; zero: not at
  /// all), then next() gives what was found. Events of the wait before that were not taken are
  /// forgotten; being level-triggered, or kept in the kernel's state, they come again, except for
  /// edges. A signal ends the wait early with nothing found. Any other failure is returned.
  [[nodiscard]] std::error_code wait(std::optional<Duration> timeout);

  /// The next event of the last wait; false when there is none left.
  [[nodiscard]] bool next(Event& event) {
    if (forked()) ready_.clear();  // they are the parent's
    while (cursor_ < ready_.size()) {
      if (deliver(ready_[cursor_++], event)) return true;
    }
    return false;
  }

  /// Whether next() may still have something.
  [[nodiscard]] bool has_ready() const { return cursor_ < ready_.size(); }

  /// "epoll", "poll", …: the name under which it is registered.
  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] const PollerCapabilities& capabilities() const { return capabilities_; }

  /// The step to which timeouts are rounded up: a nanosecond, or a millisecond on an old system.
  [[nodiscard]] virtual Duration resolution() const = 0;

  /// How many descriptors are registered, and how many collected events were dropped because their
  /// registration had ended.
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint64_t stale_events() const { return stale_events_; }

 protected:
  /// `name` must outlive the poller: a literal, mostly.
  Poller(std::string_view name, PollerCapabilities capabilities);

  /// Readiness bits as the backends report them; the first two are Interest's.
  enum Ready : unsigned { kReadable = 1, kWritable = 2, kHangup = 4, kError = 8 };

  /// The most events of one wait: enough that a wait pays, few enough that timers and tasks get
  /// their turn. What doesn't fit comes first in the next wait.
  static constexpr std::size_t kBatch = 512;

  /// Moves the kernel from one interest in `fd` to another; kNone to something registers, something
  /// to kNone ends. When may_defer() is true, a collect() follows at once, and the work may ride
  /// along with it. Called with from == to only to ask for edges again.
  virtual std::error_code apply(int fd, Interest from, Interest to) = 0;

  /// What apply(fd, from, kNone) is, when the descriptor is closed next.
  virtual std::error_code apply_close(int fd, Interest from) {
    return apply(fd, from, Interest::kNone);
  }

  /// Waits, and calls report() for what is ready. A call interrupted by a signal found nothing.
  virtual std::error_code collect(std::optional<Duration> timeout) = 0;

  [[nodiscard]] bool may_defer() const { return applying_changes_; }

  /// Notes that `fd` is ready. False for a registration that has ended: counted, and dropped.
  bool report(int fd, std::uint32_t generation, unsigned ready) {
    if (!is_current(fd, generation)) {
      ++stale_events_;
      return false;
    }
    ready_.push_back({fd, generation, static_cast<std::uint8_t>(ready)});
    return true;
  }
  void report(int fd, unsigned ready) { report(fd, generation(fd), ready); }
  [[nodiscard]] bool batch_full() const { return ready_.size() >= kBatch; }

  /// The number that tells this registration of `fd` from earlier ones; for the kernel's user data.
  [[nodiscard]] bool is_current(int fd, std::uint32_t generation) const {
    // An even generation belongs to nobody, and a negative number is past every end.
    return index(fd) < records_.size() && records_[index(fd)].generation == generation &&
           generation % 2 == 1;
  }
  [[nodiscard]] std::uint32_t generation(int fd) const { return records_[index(fd)].generation; }
  [[nodiscard]] Trigger trigger(int fd) const { return records_[index(fd)].trigger; }

  /// Reports the descriptor as ready with an error, and takes it out of the kernel's set: for a
  /// number that was closed without remove(), on mechanisms that would answer that for ever.
  void evict(int fd);

  /// Calls `visit(fd, interest)` for what the kernel is to know of.
  template <class Visitor>
  void for_each_applied(Visitor visit) {
    for (std::size_t fd = 0; fd < records_.size(); ++fd) {
      const Interest applied = records_[fd].applied;
      if (applied != Interest::kNone) visit(static_cast<int>(fd), applied);
    }
  }

  /// Whether this process is a fork of the one that made the poller.
  [[nodiscard]] bool forked() const { return fork_generation_ != platform::fork_generation(); }

 private:
  struct Record {
    Token token{};
    std::uint32_t generation = 0;        // odd while registered
    Interest wanted = Interest::kNone;   // what the caller asked for
    Interest applied = Interest::kNone;  // what the kernel knows
    Trigger trigger = Trigger::kLevel;
    bool changed = false;    // is in changes_
    bool lost_edge = false;  // an edge was withheld: ask for it again
  };
  struct Collected {
    int fd;
    std::uint32_t generation;
    std::uint8_t ready;
  };

  static std::size_t index(int fd) { return static_cast<std::size_t>(fd); }
  [[nodiscard]] Record* find(int fd);
  [[nodiscard]] bool deliver(const Collected& collected, Event& event) {
    Record& record = records_[index(collected.fd)];
    if (record.generation != collected.generation) {
      ++stale_events_;
      return false;
    }
    // What the caller stopped wanting since the wait is withheld. (An end is ready in both ways: in
    // one that wasn't wanted at the wait there is nothing to withhold, or it would come for ever.)
    const auto wanted = static_cast<unsigned>(record.wanted);
    const unsigned granted = collected.ready & wanted;
    if ((collected.ready & static_cast<unsigned>(record.applied) & ~wanted) != 0) {
      withhold(collected.fd, record);
    }
    if (granted == 0) return false;
    event = {record.token, (granted & kReadable) != 0, (granted & kWritable) != 0,
             (collected.ready & kHangup) != 0, (collected.ready & kError) != 0};
    return true;
  }
  void withhold(int fd, Record& record);
  std::error_code end_registration(int fd, bool closes_next);
  void note_change(int fd, Record& record);
  void apply_changes();

  std::vector<Record> records_;  // by descriptor number
  std::vector<int> changes_;     // descriptors whose wanted interest may have changed
  std::vector<Collected> ready_;
  std::size_t cursor_ = 0;
  bool applying_changes_ = false;
  std::size_t size_ = 0;
  std::uint64_t stale_events_ = 0;
  std::string_view name_;
  PollerCapabilities capabilities_;
  std::uint32_t fork_generation_;
};

}  // namespace pollard
