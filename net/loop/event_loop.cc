#include "pollard/net/loop/event_loop.h"

#include <algorithm>
#include <bit>
#include <new>
#include <string>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/base/spare_memory.h"
#include "pollard/net/loop/internal/loop_part.h"
#include "pollard/net/loop/internal/wake_watcher.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/time.h"

namespace pollard {
namespace {

// A task ends as soon as it has run, also when it throws, and before the next one runs.
struct RunningTask {
  Task& task;
  ~RunningTask() { task = nullptr; }
};

}  // namespace

EventLoop::EventLoop(EventLoopOptions options)
    : mailbox_(std::make_shared<Mailbox>()),
      poller_(make_poller(options.poller)),
      options_(std::move(options)),
      wake_(std::make_unique<WakeWatcher>(*this, mailbox_->wake_descriptor())) {
  POLLARD_ASSERT(options_.busy_poll >= Duration::zero(), "busy_poll must not be negative");
  note(kMeasure, options_.measure_iterations || options_.slow_iteration.callback);
  note(kBusyPoll, options_.busy_poll > Duration::zero());
  POLLARD_ASSERT(options_.receive_buffer_bytes >= 4096,
                 "receive_buffer_bytes must be at least 4096");
}

EventLoop::~EventLoop() {
  assert_in_loop_thread();
  POLLARD_ASSERT(!in_turn_ || OwnerThread::current_is_ending(),
                 "a loop must not be destroyed by its own handler");
  mailbox_->begin_to_close();
  wake_.reset();
  ending_ = true;  // nothing new is watched from here on
  poller_->for_each([this](int fd, Token token) {
    poller_->remove(fd);
    watcher_of(token).end_registration();
    watcher_of(token).on_loop_gone();
  });
  finish_retired();
  // From the close on, what a refused post held ends in the thread that posted it, timers included.
  timers_.let_go();
  coarse_timers_.let_go();
  mailbox_->close();
}

void EventLoop::dispatch(Task task) {
  if (in_loop_thread()) {
    task();
  } else {
    post(std::move(task));
  }
}

class EventLoop::InTurns {
 public:
  explicit InTurns(EventLoop& loop) : loop_(loop) {
    POLLARD_ASSERT(loop.in_loop_thread(), "a loop must be run by the thread that made it");
    POLLARD_ASSERT(!loop.in_turn_, "a loop must not be run by its own handler");
    loop.in_turn_ = true;
  }
  InTurns(const InTurns&) = delete;
  InTurns& operator=(const InTurns&) = delete;
  ~InTurns() {
    loop_.in_turn_ = false;
    loop_.now_ = {};
    loop_.finish_retired();
  }

 private:
  EventLoop& loop_;
};

bool EventLoop::run_once(std::optional<Duration> limit) {
  const InTurns in_turns(*this);
  return turn(std::max(limit.value_or(kNoTimeout), Duration::zero()));
}

// Hot: what every message passes through lies together, in few pages of the program.
[[gnu::hot]] void EventLoop::run() {
  const InTurns in_turns(*this);
  while (!turn(kNoTimeout)) {
  }
}

// Most turns have events and nothing else.
[[gnu::always_inline]] inline bool EventLoop::turn(Duration limit) {
  ++stats_.iterations;
  if (cares_ != 0) return careful_turn(limit);
  static_cast<void>(wait(limit));
  return work();
}

bool EventLoop::careful_turn(Duration limit) {
  now_ = {};
  if (has(kBacklog)) finish_turn_ends();  // of what was done between the turns
  // What an exception left over comes first.
  if (!poller_->has_ready()) {
    const Duration rest = time_to_sleep(limit);
    const bool busy = has(kBusyPoll) && rest > Duration::zero();
    const bool slept = busy ? busy_wait(rest) : wait(rest);
    if (has(kCoarseTimers)) coarse_timers_.waited(!slept || poller_->has_ready());
  }
  if ((cares_ & (kMeasure | kBacklog)) == 0) return work();
  return has(kMeasure) ? measured_work(has(kBacklog)) : work_with_backlog();
}

// How long the wait may last.
Duration EventLoop::time_to_sleep(Duration limit) {
  if (coarse_timers_.active()) limit = std::min(limit, coarse_timers_.longest_wait());
  if (has(kBacklog)) return Duration::zero();
  if (timers_.empty()) return limit;
  const std::optional<MonotonicTime> deadline = timers_.next_deadline(now());
  return std::min(limit, std::max(*deadline - now(), Duration::zero()));
}

// True when it was a sleep that another thread could have ended.
[[gnu::always_inline]] inline bool EventLoop::wait(Duration limit) {
  ++stats_.waits;
  const bool asleep = limit != Duration::zero() && mailbox_->try_sleep();
  const bool done = poller_->wait(asleep ? limit : Duration::zero(), wait_failure_);
  if (asleep) mailbox_->awake();
  now_ = {};
  if (!done) [[unlikely]]
    wait_failed(limit);
  return asleep;
}

// A shortage passes, and so does the loop's other work go on. Without a pause a processor would be
// kept busy by failing calls.
void EventLoop::wait_failed(Duration limit) {
  const platform::FailureKind kind = platform::classify(platform::Operation::kWait, wait_failure_);
  if (kind == platform::FailureKind::kTransient) return;
  if (kind != platform::FailureKind::kShortage) {
    throw std::system_error(wait_failure_, "waiting with " + std::string(poller_name()));
  }
  ++stats_.failed_waits;
  platform::sleep_for(std::min(limit, pause_after_failed_wait()));
}

Duration EventLoop::pause_after_failed_wait() {
  constexpr Duration kShortest = std::chrono::milliseconds(1);
  constexpr Duration kLongest = std::chrono::milliseconds(64);
  const bool again = last_failed_wait_ + 1 == stats_.waits;
  last_failed_wait_ = stats_.waits;
  pause_ = again ? std::clamp(2 * pause_, kShortest, kLongest) : kShortest;
  if (std::has_single_bit(stats_.failed_waits)) log_failed_wait();  // when their number doubles
  return pause_;
}

void EventLoop::log_failed_wait() const try {
  if (!log_enabled(LogLevel::kWarning)) return;
  log(LogLevel::kWarning,
      "waiting with " + std::string(poller_name()) + " is tried again: " + wait_failure_.message() +
          " (failed waits so far: " + std::to_string(stats_.failed_waits) + ")");
} catch (const std::bad_alloc&) {  // memory may be what is short
}

// What the loop finds before it sleeps needs nobody to wake it. A clock that stands still between
// two looks, as a simulated one does while nobody sleeps, would never end this.
bool EventLoop::busy_wait(Duration limit) {
  const MonotonicTime began = platform::monotonic_now();
  const Duration length = std::min(limit, options_.busy_poll);
  Duration spent{};
  for (Duration before{-1}; spent < length && spent != before;) {
    static_cast<void>(wait(Duration::zero()));
    if (poller_->has_ready() || mailbox_->has_mail()) return false;
    before = std::exchange(spent, platform::monotonic_now() - began);
  }
  return wait(limit == kNoTimeout ? limit : std::max(limit - spent, Duration::zero()));
}

[[gnu::always_inline]] inline bool EventLoop::work() {
  dispatch_events();
  return cares_ != 0 || mailbox_->has_mail() ? work_beyond_events() : false;
}

// What the turn before left over comes before new events. A watcher that asks for still more is
// called in the next turn, with what was reported to it in this one.
bool EventLoop::work_with_backlog() {
  dispatch_continuations();
  dispatch_events_to([](Watcher& watcher, Readiness ready) {
    watcher.continues() ? watcher.add_to_continuation(ready) : watcher.on_ready(ready);
  });
  return work();
}

bool EventLoop::measured_work(bool backlog) {
  const MonotonicTime began = now();
  const bool stopped = backlog ? work_with_backlog() : work();
  const Duration took = platform::monotonic_now() - began;
  stats_.longest_iteration = std::max(stats_.longest_iteration, took);
  if (options_.slow_iteration.callback && took > options_.slow_iteration.limit) {
    ++stats_.slow_iterations;
    guarded([&] { options_.slow_iteration.callback(took); });
  }
  return stopped;
}

void EventLoop::update_backlog() {
  note(kBacklog, !continuations_.empty() || !turn_ends_.empty() || !tasks_to_run_.empty() ||
                     pending_ != nullptr || stop_taken_ || poller_->has_ready());
}

template <class Work>
void EventLoop::guarded(Work work) {
  try {
    work();
  } catch (...) {
    report_current_exception();
  }
}

void EventLoop::report_current_exception() { report_exception(std::current_exception()); }

void EventLoop::report_exception(std::exception_ptr exception) {
  if (options_.on_exception) {
    try {
      options_.on_exception(exception);
      return;
    } catch (...) {
      exception = std::current_exception();
    }
  }
  if (pending_ == nullptr) {
    pending_ = std::move(exception);
    note(kBacklog);
  } else {
    log(LogLevel::kError, "a second exception in one turn of an event loop was dropped");
  }
}

// An exception that run() is to throw ends the turn; what is left waits for the next.
bool EventLoop::work_beyond_events() {
  if (cares_ == kRetired && !mailbox_->has_mail()) {  // of connections that have ended
    finish_retired();
    return false;
  }
  if (!timers_.empty()) {
    guarded([this] {
      if (pending_ == nullptr && *timers_.next_deadline(now()) <= now()) timers_.run_due(now());
    });
  }
  const bool stopped = run_tasks();
  finish_turn_ends();
  if (coarse_timers_.due()) run_limits();
  if (pending_ != nullptr) {
    stop_taken_ = stop_taken_ || stopped;  // for the next run
    rethrow_pending();
  }
  if (timers_.empty()) note(kTimers, false);
  if (!coarse_timers_.active()) note(kCoarseTimers, false);
  if (has(kRetired)) finish_retired();
  return stopped;
}

// A limit is judged when everything has been heard that came before it was due, and everything sent
// that is to be sent in this turn.
void EventLoop::run_limits() {
  if (pending_ != nullptr) return;
  if (!coarse_timers_.all_heard(poller_->may_have_more(), poller_->waits_for_all())) return;
  guarded([this] { coarse_timers_.run_due(); });
}

void EventLoop::rethrow_pending() {
  const std::exception_ptr exception = std::exchange(pending_, nullptr);
  update_backlog();
  std::rethrow_exception(exception);
}

[[gnu::always_inline]] inline void EventLoop::dispatch_events() {
  dispatch_events_to([](Watcher& watcher, Readiness ready) { watcher.on_ready(ready); });
}

template <class Handle>
[[gnu::always_inline]] inline void EventLoop::dispatch_events_to(Handle handle) {
  Poller& poller = *poller_;
  for (;;) {
    try {
      while (poller.has_ready()) {
        if (pending_ != nullptr) return;
        poller.deliver_next([&](Token token, Readiness ready) {
          ++stats_.events;
          handle(watcher_of(token), ready);
        });
      }
      return;
    } catch (...) {
      report_current_exception();
    }
  }
}

inline Watcher& EventLoop::watcher_of(Token token) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a token is what it was made of
  return *reinterpret_cast<Watcher*>(static_cast<std::uintptr_t>(token));
}

void EventLoop::dispatch_continuations() {
  continuations_.begin_round();
  while (pending_ == nullptr) {
    const std::optional<Registration> next = continuations_.next();
    if (!next.has_value()) return;
    const std::optional<Token> token = poller_->find(*next);
    if (!token.has_value()) continue;
    ++stats_.events;
    guarded([&] { watcher_of(*token).run_continuation(); });
  }
}

bool EventLoop::run_tasks() {
  if (tasks_to_run_.empty() && mailbox_->has_mail()) {
    stop_taken_ = mailbox_->take(tasks_) || stop_taken_;  // a run that threw may have left one
    tasks_to_run_ = tasks_;
  }
  while (pending_ == nullptr && !tasks_to_run_.empty()) {
    guarded([this] {
      while (pending_ == nullptr && !tasks_to_run_.empty()) {
        ++stats_.tasks;
        const RunningTask running{tasks_to_run_.front()};
        tasks_to_run_ = tasks_to_run_.subspan(1);
        running.task();
      }
    });
  }
  if (!tasks_to_run_.empty()) return false;
  if (mailbox_->has_notices()) run_notices();
  clear_and_give_back(tasks_);
  return pending_ == nullptr && std::exchange(stop_taken_, false);
}

// One that posts itself again, here or in another thread, is rare, and ends soon.
void EventLoop::run_notices() {
  while (const std::shared_ptr<Notice> notice = mailbox_->take_notice()) {
    ++stats_.tasks;
    guarded([&] { (*notice)(); });
  }
}

// Once: what these schedule again, such as a sender that never runs dry, waits for the next turn.
void EventLoop::finish_turn_ends() {
  turn_ends_.begin_round();
  while (const std::optional<Registration> next = turn_ends_.next()) {
    const std::optional<Token> token = poller_->find(*next);
    if (token.has_value()) guarded([&] { watcher_of(*token).run_turn_end(); });
  }
  update_backlog();
}

void EventLoop::retire(Task&& ended) {
  struct RetiredTask final : Retired {
    Task task;
  };
  auto retired = std::make_unique<RetiredTask>();
  retired->task = std::move(ended);
  retire(std::move(retired));
}

void EventLoop::retire(std::unique_ptr<Retired> ended) noexcept {
  assert_in_loop_thread();
  if (!in_turn_) return;
  ended->next_ = std::move(retired_);
  retired_ = std::move(ended);
  note(kRetired);
}

void EventLoop::finish_retired() {
  note(kRetired, false);
  // What ends here may retire more, of both kinds.
  for (;;) {
    if (noted_parts_ != nullptr) {
      LoopPart& part = *std::exchange(noted_parts_, noted_parts_->next_noted_);
      part.noted_ = false;
      part.release_retired();
    } else if (retired_ != nullptr) {
      const std::unique_ptr<Retired> ended = std::move(retired_);
      retired_ = std::move(ended->next_);
    } else {
      return;
    }
  }
}

Timer EventLoop::every(Duration period, Task task) {
  assert_in_loop_thread();
  POLLARD_ASSERT(period > Duration::zero(), "a period is longer than nothing");
  note(kTimers);
  return timers_.add(saturating_add(platform::monotonic_now(), period), period, std::move(task));
}

MonotonicTime EventLoop::read_clock() {
  const MonotonicTime time = platform::monotonic_now();
  if (in_turn_) now_ = time;
  return time;
}

LoopPart* EventLoop::find_part(const void* kind) const {
  assert_in_loop_thread();
  const auto found = std::ranges::find(parts_, kind, [](const auto& part) { return part->kind_; });
  return found == parts_.end() ? nullptr : found->get();
}

void EventLoop::add_part(std::unique_ptr<LoopPart> part, const void* kind) {
  part->kind_ = kind;
  parts_.push_back(std::move(part));
}

LoopStats EventLoop::stats() const {
  assert_in_loop_thread();
  LoopStats stats = stats_;
  stats.wakeups = wake_->count();
  stats.events -= stats.wakeups;  // nobody's events but ours
  stats.timers = timers_.ran();
  stats.stale_events = poller_->stale_events();
  stats.watched = poller_->size();
  return stats;
}

}  // namespace pollard
