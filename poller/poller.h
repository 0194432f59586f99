// The Poller: watches descriptors for a caller. It knows nothing of loops, channels or callbacks.
//
// What every backend promises, and the conformance kit (docs/conformance.md) checks on each:
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
//
// What no backend promises: the order of the events of one wait. epoll gives them by arrival, poll
// by the place in its array, select by number, kqueue by its own queue. A caller for whom the order
// matters takes all events of a wait, then sorts them.
//
// Memory: only making a poller and add() may throw std::bad_alloc, and then nothing has changed.
// modify(), remove(), wait() and next() never allocate.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/platform/epoll_event.h"
#include "pollard/platform/process.h"
#include "pollard/platform/result.h"

namespace pollard {

/// The numbers are those of the events in poll(2) and epoll(7).
enum class Interest : std::uint8_t { kNone = 0, kRead = 1, kWrite = 4, kBoth = 5 };

/// Returns whether `interest` includes reading.
constexpr bool wants_read(Interest interest) {
  return interest == Interest::kRead || interest == Interest::kBoth;
}
/// Returns whether `interest` includes writing.
constexpr bool wants_write(Interest interest) {
  return interest == Interest::kWrite || interest == Interest::kBoth;
}
/// "none", "read", "write" or "both".
[[nodiscard]] std::string_view to_string(Interest interest);

/// kLevel: reported while the cause lasts. kEdge: reported when a cause appears, and once after an
/// interest is added if its cause is there already; the causes of one wait may come in one event.
enum class Trigger : std::uint8_t { kLevel, kEdge };

/// The caller's name for a registration; handed back unread.
enum class Token : std::uint64_t {};

/// What a descriptor is ready for.
struct Readiness {
  bool readable = false;  ///< guaranteed; what it means stands above
  bool writable = false;  ///< likewise
  /// Hint: the peer has ended its stream, or both sides have. A backend that declares edges reports
  /// it reliably with the edge, for an end that comes together with data makes no edge of its own.
  bool hangup = false;
  /// Hint: a socket error is pending, or something exceptional is (urgent data).
  bool error = false;
};

/// What next() gives: who is ready, and for what.
struct Event : Readiness {
  Token token{};  ///< of the registration
};

/// One registration of a descriptor: when its number is registered again, that is another one.
struct Registration {
  int fd = -1;                   ///< the descriptor's number
  std::uint32_t generation = 0;  ///< zero names none, ever
};

/// What a backend can do, declared in its registry entry and checked by the conformance tests.
struct PollerCapabilities {
  bool edge_triggered = false;  ///< takes Trigger::kEdge
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
  ///   operation_not_permitted  the mechanism can't watch its kind (a regular file under epoll),
  ///                            also when `interest` is kNone;
  ///   operation_not_supported  kEdge, and this backend has no edges;
  ///   too_many_files_open      its number is past what the mechanism can name (select);
  ///   a shortage               the kernel has no memory for it now (platform/failure.h).
  /// Throws std::bad_alloc, and changes nothing, when this process has none.
  [[nodiscard]] std::error_code add(int fd, Interest interest, Token token,
                                    Trigger trigger = Trigger::kLevel);

  /// Changes what `fd` is watched for, from the next wait on; no_such_file_or_directory for a
  /// stranger. A change that the kernel refuses becomes an event with an error; but one that it
  /// has no memory for now is tried again, every few milliseconds, until it is taken.
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
  /// What is ready beyond a batch is for the waits that follow, which may hand it out as it was
  /// found, without another look: who is served meanwhile, though not told of yet, is told late.
  [[nodiscard]] std::error_code wait(std::optional<Duration> timeout) {
    std::error_code failure;
    static_cast<void>(wait(timeout.value_or(kNoTimeout), failure));
    return failure;
  }
  /// The same for who waits often and has a place for the failure: true when there was none, and
  /// then `failure` isn't touched.
  [[nodiscard]] bool wait(Duration timeout, std::error_code& failure) {
    if (forked() || !changes_.empty()) return wait_with_changes(timeout, failure);
    forget_collected();
    return succeeded(collect(timeout), failure);
  }

  /// The next event of the last wait; false when there is none left.
  [[nodiscard]] bool next(Event& event) {
    bool found = false;
    while (!found && has_ready()) {
      deliver_next([&](Token token, Readiness ready) {
        event = {ready, token};
        found = true;
      });
    }
    return found;
  }

  /// The same for who does the same with each: while has_ready(), calls `handle(token, readiness)`
  /// for the next event, if its registration still stands and wants it.
  template <class Handle>
  void deliver_next(Handle handle) {
    if (forked()) {
      cursor_ = end_;  // they are the parent's
      return;
    }
    // Copies, because a reference to a member of a packed structure may be misaligned.
    const std::uint64_t data = cursor_->data.u64;
    const std::uint32_t ready = cursor_->events;
    ++cursor_;
    const auto who = std::bit_cast<Registration>(data);
    const Record& record = records_[index(who.fd)];
    // Most events are of who is still registered, and nothing but what is still wanted.
    if (record.generation == who.generation &&
        (ready & ~static_cast<unsigned>(record.wanted)) == 0) {
      return handle(record.token, kGranted[ready]);
    }
    const Event event = what_remains(who, ready);
    if (event.readable || event.writable) handle(event.token, event);
  }

  /// Returns whether next() may still have something.
  [[nodiscard]] bool has_ready() const { return cursor_ != end_; }

  /// Returns whether the last wait found as much as one wait gives out, so that more may be ready.
  [[nodiscard]] bool may_have_more() const { return batch_full(); }
  /// Returns after how many waits everything that was ready at the first of them has been given
  /// out, however much becomes ready in between.
  [[nodiscard]] std::size_t waits_for_all() const { return size_ / kBatch + 1; }

  /// The present registration of `fd`, for a caller that wants to come back to it later, if it is
  /// still there; nobody's when there is none. O(1).
  [[nodiscard]] Registration registration(int fd) const {
    if (index(fd) >= records_.size() || generation(fd) % 2 == 0) return {};
    return {fd, generation(fd)};
  }
  /// The token of a registration while it lasts. O(1).
  [[nodiscard]] std::optional<Token> find(Registration registration) const {
    if (!is_current(registration.fd, registration.generation)) return std::nullopt;
    return records_[index(registration.fd)].token;
  }

  /// Calls `visit(fd, token)` for each registration; it may remove, but not add.
  template <class Visitor>
  void for_each(Visitor visit) {
    for (std::size_t fd = 0; fd < records_.size(); ++fd) {
      if (records_[fd].generation % 2 == 1) visit(static_cast<int>(fd), records_[fd].token);
    }
  }

  /// "epoll", "poll", …: the name under which it is registered.
  [[nodiscard]] std::string_view name() const { return name_; }
  /// What it was made with.
  [[nodiscard]] const PollerCapabilities& capabilities() const { return capabilities_; }

  /// Returns the step to which the kernel rounds up timeouts: a nanosecond, a millisecond on an old
  /// system, or the kernel's tick (10 ms as a rule) on NetBSD and OpenBSD. There, a wait may end up
  /// to one tick later still, because a tick is under way when it begins. Asks the system.
  [[nodiscard]] virtual Duration resolution() const = 0;

  /// How many descriptors are registered, and how many collected events were dropped because their
  /// registration had ended.
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Collected events that were dropped because their registration had ended.
  [[nodiscard]] std::uint64_t stale_events() const { return stale_events_; }

  /// Checks what must hold between any two operations, and asserts it: every registration that the
  /// kernel doesn't know as it should is on the list of changes, once, and nothing is left of ended
  /// registrations. O(descriptor numbers); for tests.
  void verify() const;

 protected:
  /// `name` must outlive the poller: a literal, mostly.
  Poller(std::string_view name, PollerCapabilities capabilities);

  /// Readiness bits as the backends report them; the first two are Interest's. Where a kernel
  /// reports in the same numbers, it can be left to write them, see space_to_collect().
  enum Ready : unsigned { kReadable = 1, kWritable = 4, kError = 8, kHangup = 16 };

  /// The most events of one wait: enough that a wait pays, few enough that timers and tasks get
  /// their turn. What doesn't fit comes first in the next wait.
  static constexpr std::size_t kBatch = 512;

  /// Makes room for a registration of `fd`, so that apply() and collect() need not allocate.
  /// `registrations` is the number of registrations with it. May throw std::bad_alloc: then add()
  /// does, and nothing has changed.
  virtual void reserve([[maybe_unused]] int fd, [[maybe_unused]] std::size_t registrations) {}

  /// Moves the kernel from one interest in `fd` to another; kNone to something registers, something
  /// to kNone ends. When it fails, the kernel still has `from`. When may_defer() is true, a
  /// collect() follows at once, and the work may ride along with it. Called with from == to only
  /// when must_renew().
  virtual std::error_code apply(int fd, Interest from, Interest to) = 0;

  /// Whether the kernel is to be asked anew for all that is wanted, also for what it knows already:
  /// an edge was withheld, or it isn't known whether the kernel took the last change.
  [[nodiscard]] bool must_renew(int fd) const { return records_[index(fd)].renew; }

  /// What apply(fd, from, kNone) is, when the descriptor is closed next.
  virtual std::error_code apply_close(int fd, Interest from) {
    return apply(fd, from, Interest::kNone);
  }

  /// Waits, and calls report() for what is ready. Answers how the waiting call ended: one that was
  /// interrupted by a signal found nothing, and is no failure.
  /// (A failure is the caller's to know of.)
  virtual platform::Result collect(Duration timeout) = 0;

  /// The readiness bits of an event that has more than Interest's two.
  [[nodiscard]] virtual unsigned to_ready(std::uint32_t reported) const { return reported; }

  /// Whether a collect() follows at once.
  [[nodiscard]] bool may_defer() const { return applying_changes_; }

  /// Notes that what was applied for a registration is ready. If the registration has ended, that
  /// shows when the event is due.
  void report(int fd, unsigned ready) {
    if (end_ == ready_.data() + ready_.size()) make_space();
    end_->events = ready;
    end_->data.u64 = to_data({fd, generation(fd)});
    collected(1);
  }

  /// For a backend whose kernel writes down by itself what is ready: where to. There is always room
  /// for a batch.
  [[nodiscard]] std::span<platform::EpollEvent> space_to_collect() {
    if (end_ > last_start_) make_space();
    return {end_, kBatch};
  }
  /// How much it wrote there.
  void collected(std::size_t count) { end_ += count; }
  /// What the kernel is to hand back with an event of this registration.
  [[nodiscard]] static std::uint64_t to_data(Registration registration) {
    return std::bit_cast<std::uint64_t>(registration);
  }

  /// Whether nothing was reported in this wait.
  [[nodiscard]] bool found_nothing() const { return end_ == ready_.data(); }
  /// For a backend that sees by itself that an event's registration has ended, and drops it.
  void count_stale() { ++stale_events_; }

  /// Whether events have come for registrations that were over before the wait for them began: the
  /// kernel goes on with what we have no name for any more.
  [[nodiscard]] bool has_strays() const { return has_strays_; }
  /// The backend has seen to it that they end.
  void strays_ended() { has_strays_ = false; }
  /// Whether as much was reported as one wait should.
  [[nodiscard]] bool batch_full() const { return found() >= kBatch; }

  /// The number that tells this registration of `fd` from earlier ones; for the kernel's user data.
  [[nodiscard]] bool is_current(int fd, std::uint32_t generation) const {
    // An even generation belongs to nobody, and a negative number is past every end.
    return index(fd) < records_.size() && records_[index(fd)].generation == generation &&
           generation % 2 == 1;
  }
  /// Of the present registration.
  [[nodiscard]] std::uint32_t generation(int fd) const { return records_[index(fd)].generation; }
  /// Whether `fd` is registered with Trigger::kEdge.
  [[nodiscard]] bool is_edge(int fd) const { return records_[index(fd)].edge; }

  /// What the kernel is believed to know of the present registration of `fd`.
  [[nodiscard]] Interest applied(int fd) const {
    return index(fd) < records_.size() ? records_[index(fd)].applied : Interest::kNone;
  }

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

  /// Notes that the kernel has no memory for `side` of the registration of `fd` now, and doesn't
  /// have it: the next wait asks again.
  void note_not_taken(int fd, Interest side);
  /// Notes that the kernel refused `side` of the registration of `fd` for good. The backend reports
  /// it; only the next modify() asks again.
  void note_refused(int fd, Interest side);
  /// Notes that the kernel may or may not have `side` of the registration of `fd`: the next wait
  /// asks for it anew, or ends it, by what is wanted then.
  void note_not_known(int fd, Interest side);

  /// Whether a registration or change that was refused may be taken later, for the kernel is only
  /// short of something.
  [[nodiscard]] static bool may_pass(std::error_code refused);
  /// How long to wait while there are such changes.
  [[nodiscard]] Duration until_next_try(Duration timeout) const;

  /// Whether this process is a fork of the one that made the poller.
  [[nodiscard]] bool forked() const { return fork_generation_ != platform::fork_generation(); }

 private:
  // Sixteen bytes, and one look at them is what an event costs.
  struct Record {
    Token token{};
    std::uint32_t generation = 0;        // odd while registered
    Interest wanted = Interest::kNone;   // what the caller asked for
    Interest applied = Interest::kNone;  // what the kernel knows
    bool edge : 1 = false;
    bool changed : 1 = false;   // is in changes_
    bool renew : 1 = false;     // see must_renew()
    bool refused : 1 = false;   // `applied` stays behind `wanted` until the next modify()
    std::uint8_t ended_in = 0;  // the wait, modulo 256, after which a registration ended
  };

  // By Interest's bits.
  static constexpr std::array<Readiness, 6> kGranted = [] {
    std::array<Readiness, 6> table{};
    for (unsigned ready = 0; ready < table.size(); ++ready) {
      table[ready].readable = (ready & kReadable) != 0;
      table[ready].writable = (ready & kWritable) != 0;
    }
    return table;
  }();

  class ChangePass;

  static std::size_t index(int fd) { return static_cast<std::size_t>(fd); }
  static bool registered(const Record& record) { return record.generation % 2 == 1; }
  // Whether the kernel has yet to hear of something.
  static bool needs_change(const Record& record) {
    return !record.refused && (record.wanted != record.applied || record.renew);
  }
  [[nodiscard]] Record* record_of(int fd);
  [[nodiscard, gnu::cold]] Event what_remains(Registration who, std::uint32_t reported);
  [[nodiscard]] std::size_t found() const { return static_cast<std::size_t>(end_ - ready_.data()); }
  void make_space();
  void make_room_for(int fd);
  // Before anything is collected, so that the cursor is right even if a backend throws.
  void forget_collected() {
    ++waits_;
    cursor_ = end_ = ready_.data();
  }
  [[nodiscard, gnu::noinline]] bool wait_with_changes(Duration timeout, std::error_code& failure);
  [[nodiscard]] static bool succeeded(platform::Result waited, std::error_code& failure) {
    if (waited.ok() || waited.interrupted()) return true;
    failure = waited.error();
    return false;
  }
  std::error_code apply_first(int fd, Record& record);
  std::error_code try_out(int fd);
  void note_stale(const Record& record);
  void withhold(int fd, Record& record);
  std::error_code end_registration(int fd, bool closes_next);
  void note_change(int fd, Record& record);
  void apply_changes();
  void apply_change(int fd, Record& record);

  std::vector<Record> records_;  // by descriptor number
  std::vector<int> changes_;     // descriptors that may need a change; room for each number
  // What is ready stands as epoll writes it, on every system: so epoll writes it.
  std::vector<platform::EpollEvent> ready_;
  platform::EpollEvent* end_ = nullptr;           // of what this wait found
  platform::EpollEvent* last_start_ = nullptr;    // from here on there isn't room for a batch
  const platform::EpollEvent* cursor_ = nullptr;  // what next() looks at next
  bool applying_changes_ = false;
  std::size_t size_ = 0;
  std::uint64_t stale_events_ = 0;
  std::uint8_t waits_ = 0;  // modulo 256
  bool has_strays_ = false;
  std::string_view name_;
  PollerCapabilities capabilities_;
  std::uint32_t fork_generation_;
};

}  // namespace pollard
