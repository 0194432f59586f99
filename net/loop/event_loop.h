// One thread's loop: it waits for descriptors, deadlines and messages, and calls their handlers.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/base/task.h"
#include "pollard/net/loop/internal/mailbox.h"
#include "pollard/net/loop/internal/watcher.h"
#include "pollard/net/loop/internal/watcher_list.h"
#include "pollard/net/timers/internal/coarse_timers.h"
#include "pollard/net/timers/internal/timer_queue.h"
#include "pollard/net/timers/timer.h"
#include "pollard/platform/time.h"
#include "pollard/poller/registry.h"

namespace pollard {

class LoopPart;
class WakeWatcher;

/// What to call when a turn took longer than it may: a handler that blocks holds everybody up.
struct SlowIteration {
  /// What is longer is slow.
  Duration limit = std::chrono::milliseconds(100);
  /// After the turn, with its length, the wait left out. Without it nothing is measured.
  MoveFunction<void(Duration took)> callback = {};
};

/// How a loop is made.
struct EventLoopOptions {
  /// Which poller: "epoll", "kqueue,poll", poller_from_args(argc, argv), … Empty: POLLARD_POLLER,
  /// or else the best that works.
  PollerChoice poller = {};

  /// Where connections receive: one buffer for all of the loop's. It begins with 64 KiB; the first
  /// read that fills them brings the rest, in a huge page where the system has such (2 MiB, then).
  std::size_t receive_buffer_bytes = 512 * 1024;

  /// Gets what a task, a timer or a channel's handler throws, and what a connection's last
  /// callbacks do; the loop goes on. Empty: run() ends by throwing it, and can be called again.
  /// (What a connection's other handlers throw closes that connection and reaches its
  /// on_disconnect.)
  MoveFunction<void(std::exception_ptr)> on_exception = {};

  /// Before the loop sleeps it looks again and again for so long, at the cost of a processor: what
  /// comes in that time is met sooner, and a post needs no call to wake the loop. Zero: it sleeps
  /// at once. Worth it where each loop has a processor of its own, and answers come within
  /// microseconds.
  Duration busy_poll = {};

  /// Measure LoopStats::longest_iteration, at the cost of two clock reads a turn.
  bool measure_iterations = false;
  /// The same cost.
  SlowIteration slow_iteration = {};
};

/// What a loop has done so far.
struct LoopStats {
  std::uint64_t iterations = 0;  ///< each waits once at most, unless it polls busily
  std::uint64_t waits = 0;       ///< waits in the kernel, and looks of EventLoopOptions::busy_poll
  std::uint64_t failed_waits = 0;     ///< those for which memory or descriptors were short
  std::uint64_t events = 0;           ///< ready descriptors handed to handlers
  std::uint64_t tasks = 0;            ///< posted tasks that ran
  std::uint64_t timers = 0;           ///< timers that happened
  std::uint64_t wakeups = 0;          ///< sleeps ended by another thread
  std::uint64_t stale_events = 0;     ///< events of registrations that had ended
  Duration longest_iteration{};       ///< without the wait; zero unless turns are measured
  std::uint64_t slow_iterations = 0;  ///< longer than EventLoopOptions::slow_iteration.limit
  std::size_t watched = 0;  ///< descriptors that are registered now, the loop's own included
};

/// A loop as other threads may keep it: safe to use when the loop is gone. Any thread.
class LoopHandle {
 public:
  /// @cond  EventLoop::handle() makes them.
  explicit LoopHandle(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}
  /// @endcond

  /// As EventLoop::post; false, with `task` destroyed, when the loop is gone.
  bool post(Task task) const { return mailbox_->post(std::move(task)); }
  /// As post(); adds `step` to `counter` before `task` can run, and only when the task was taken.
  bool post_counted(Task task, std::atomic<std::uint64_t>& counter, std::uint64_t step) const {
    return mailbox_->post_counted(std::move(task), counter, step);
  }
  /// Posts a call that was made before, which needs no memory; no effect when the loop is gone.
  void post(const std::shared_ptr<Notice>& notice) const noexcept { mailbox_->post(notice); }
  /// As EventLoop::stop(); no effect when the loop is gone.
  void stop() const { mailbox_->stop(); }
  /// Whether the loop is still there; one that ends takes no posts any more.
  [[nodiscard]] bool alive() const { return mailbox_->open(); }
  /// Whether the calling thread is the one that made the loop.
  [[nodiscard]] bool in_loop_thread() const { return mailbox_->thread().is_current(); }
  /// Aborts when another thread calls than the one that made the loop.
  void assert_in_loop_thread() const { mailbox_->thread().assert_current(); }
  /// Like assert_in_loop_thread(), but allows any thread once the loop is gone: what belonged to it
  /// may then be used and destroyed in any one thread.
  void assert_in_loop_thread_or_gone() const {
    if (alive()) assert_in_loop_thread();
  }

 private:
  std::shared_ptr<Mailbox> mailbox_;
};

/// What EventLoop::retire() keeps until nothing of it can be running. Derive from it what is to be
/// retired without an allocation.
class Retired {
 public:
  Retired() = default;
  virtual ~Retired() = default;
  Retired(const Retired&) = delete;
  Retired& operator=(const Retired&) = delete;

 private:
  friend class EventLoop;
  std::unique_ptr<Retired> next_;
};

/// Belongs to the thread that makes it, the constant parts aside that stand first. Any other
/// function aborts when another thread calls it.
class EventLoop {
 public:
  /// Throws std::system_error: Error::kPollerUnknown or kPollerUnusable saying what was asked for
  /// and what there is, or the call that failed.
  explicit EventLoop(EventLoopOptions options = {});

  /// Closes the connections that are left with Error::kLoopClosed, and destroys posted tasks unrun.
  /// Must not be called by a handler of the loop, except for a loop of static storage duration that
  /// std::exit() destroys there.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // From any thread, while the loop exists; a LoopHandle is for longer.

  /// Ends run() after the tasks that were posted before. Sticky: a stop before run() ends the next
  /// one.
  void stop() { mailbox_->stop(); }

  /// Runs `task` in the loop's thread, in the order of posting, once. It waits for run().
  void post(Task task) { mailbox_->post(std::move(task)); }

  /// Runs `task` now when this is the loop's thread, else posts it.
  void dispatch(Task task);

  /// Whether the calling thread is the one that made the loop.
  [[nodiscard]] bool in_loop_thread() const { return thread().is_current(); }
  /// Names the loop's thread, for objects that belong to it and may outlive the loop.
  [[nodiscard]] const OwnerThread& thread() const { return mailbox_->thread(); }
  /// For other threads, and for what may outlive the loop.
  [[nodiscard]] LoopHandle handle() const { return LoopHandle(mailbox_); }
  /// The poller that the loop really runs on.
  [[nodiscard]] std::string_view poller_name() const { return poller_->name(); }
  /// What that poller can do.
  [[nodiscard]] const PollerCapabilities& poller_capabilities() const {
    return poller_->capabilities();
  }

  // In the loop's thread.

  /// Serves until stop(). Throws what a handler threw, if no EventLoopOptions::on_exception takes
  /// it, and std::system_error when waiting itself fails for good; in both cases it may be called
  /// again. While memory or descriptors are short for a wait, it tries again after 1 to 64 ms, in
  /// which timers and posts are late.
  void run();

  /// Serves one turn: waits for at most `limit` (absent: until something happens), and handles what
  /// there is. For loops inside other loops. True when a stop was asked for.
  bool run_once(std::optional<Duration> limit = std::nullopt);

  /// Runs `task` at `deadline`, after `delay`, or every `period` from now on: for as long as the
  /// Timer lives. Never early. Timers of the same deadline happen in the order in which they were
  /// set.
  template <std::convertible_to<Task> Callable>
  [[nodiscard]] Timer at(MonotonicTime deadline, Callable&& task) {
    assert_in_loop_thread();
    note(kTimers);
    return timers_.add(deadline, Duration::zero(), std::forward<Callable>(task));
  }
  /// `delay` after the real time, not that of the turn: a handler that took long would make it
  /// early.
  template <std::convertible_to<Task> Callable>
  [[nodiscard]] Timer after(Duration delay, Callable&& task) {
    return at(saturating_add(platform::monotonic_now(), delay), std::forward<Callable>(task));
  }
  /// The first time after one `period`; turns that were missed are left out.
  [[nodiscard]] Timer every(Duration period, Task task);

  /// The time of this turn: read at most once a turn, and only when somebody asks.
  [[nodiscard]] MonotonicTime now() {
    assert_in_loop_thread();
    return in_turn_ && now_ != MonotonicTime{} ? now_ : read_clock();
  }

  /// Other threads ask by a task; a server's threads are asked by TcpServer::threads().
  [[nodiscard]] LoopStats stats() const;

  /// Destroys what `ended` holds when nothing of it can be running any more: at the end of the
  /// turn, or at once between turns. For what may be destroyed by its own callback. Throws
  /// std::bad_alloc, and then leaves `ended` as it was.
  void retire(Task&& ended);
  /// Destroys `ended` at the end of the turn, or at once between turns. Needs no memory.
  void retire(std::unique_ptr<Retired> ended) noexcept;

  /// What a handler threw that nobody else takes: to on_exception, or out of run() after this turn.
  void report_exception(std::exception_ptr exception);

  /// Returns what the loop keeps of the class `Part`, which derives from LoopPart; makes it by
  /// `Part(*this)` when there is none yet. For the rooms above the loop. Throws std::bad_alloc.
  template <class Part>
  [[nodiscard]] Part& part() {
    static constexpr char kKind = 0;
    if (LoopPart* found = find_part(&kKind)) return static_cast<Part&>(*found);
    auto made = std::make_unique<Part>(*this);
    Part& part = *made;
    add_part(std::move(made), &kKind);
    return part;
  }

  /// Aborts when called in another thread.
  void assert_in_loop_thread() const {
    POLLARD_ASSERT(in_loop_thread(), "call this in the loop's thread; post() a task to it");
  }

 private:
  friend class Watcher;
  friend class LoopPart;

  class InTurns;

  // What a turn has to look after beside events: the everyday one asks once whether there is any.
  enum Care : std::uint8_t {
    kBacklog = 1,  // one of the lists may have something, or stop_taken_, or pending_
    kTimers = 2,
    kCoarseTimers = 4,
    kMeasure = 8,
    kRetired = 16,
    kBusyPoll = 32,
  };
  [[nodiscard]] bool has(Care care) const { return (cares_ & care) != 0; }
  void note(Care care, bool on = true) {
    cares_ = static_cast<std::uint8_t>(on ? cares_ | care : cares_ & ~care);
  }

  bool turn(Duration limit);
  [[gnu::noinline]] bool careful_turn(Duration limit);
  [[nodiscard]] MonotonicTime read_clock();
  [[nodiscard]] Duration time_to_sleep(Duration limit);
  [[nodiscard]] bool wait(Duration limit);
  [[nodiscard]] bool busy_wait(Duration limit);
  [[gnu::cold]] void wait_failed(Duration limit);
  [[nodiscard]] Duration pause_after_failed_wait();
  void log_failed_wait() const;
  void update_backlog();
  bool work();
  [[gnu::noinline]] bool work_with_backlog();
  [[gnu::noinline]] bool measured_work(bool backlog);
  bool work_beyond_events();
  void run_limits();
  void dispatch_events();
  template <class Handle>
  void dispatch_events_to(Handle handle);
  [[noreturn]] void rethrow_pending();
  void dispatch_continuations();
  bool run_tasks();
  [[gnu::noinline]] void run_notices();
  void finish_turn_ends();
  [[gnu::noinline]] void finish_retired();
  [[nodiscard]] static Watcher& watcher_of(Token token);
  template <class Work>
  void guarded(Work work);
  [[gnu::cold]] void report_current_exception();
  [[nodiscard]] LoopPart* find_part(const void* kind) const;
  void add_part(std::unique_ptr<LoopPart> part, const void* kind);

  std::shared_ptr<Mailbox> mailbox_;
  std::unique_ptr<Poller> poller_;
  std::exception_ptr pending_;  // what run() is going to throw
  std::uint8_t cares_ = 0;
  bool in_turn_ = false;
  bool stop_taken_ = false;  // a stop came with tasks_
  bool ending_ = false;      // the destructor runs
  MonotonicTime now_{};      // of this turn; zero before somebody asks
  LoopStats stats_;
  std::error_code wait_failure_;
  std::uint64_t last_failed_wait_ = 0;  // counted by stats_.waits
  Duration pause_{};                    // after that one
  EventLoopOptions options_;
  TimerQueue timers_;
  CoarseTimers coarse_timers_;  // of connections' limits
  WatcherList continuations_;
  WatcherList turn_ends_;
  std::vector<Task> tasks_;                       // taken from the mailbox
  std::span<Task> tasks_to_run_;                  // those of them that have not run yet
  std::unique_ptr<Retired> retired_;              // a list
  LoopPart* noted_parts_ = nullptr;               // a list: they have something retired
  std::vector<std::unique_ptr<LoopPart>> parts_;  // one of each kind

  std::unique_ptr<WakeWatcher> wake_;  // last: it watches as soon as it is made
};

}  // namespace pollard
