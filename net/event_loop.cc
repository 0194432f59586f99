#include "pollard/net/event_loop.h"

#include <algorithm>
#include <string>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/net/connection_group.h"
#include "pollard/net/output_queue.h"
#include "pollard/net/wake_watcher.h"
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
  POLLARD_ASSERT(options_.busy_poll >= Duration::zero(), "nobody polls for less than no time");
  note(kMeasure, options_.measure_turns || options_.slow_turn.callback);
  note(kBusyPoll, options_.busy_poll > Duration::zero());
  POLLARD_ASSERT(options_.receive_buffer_bytes >= 4096, "a receive buffer is 4 KiB at least");
}

EventLoop::~EventLoop() {
  assert_in_loop_thread();
  POLLARD_ASSERT(!in_turn_, "a loop isn't destroyed by its own handler");
  mailbox_->begin_to_close();
  wake_.reset();
  ending_ = true;  // nothing new is watched from here on
  poller_->for_each([this](int fd, Token token) {
    poller_->remove(fd);
    watcher_of(token).registration_ = {};
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
    POLLARD_ASSERT(loop.in_loop_thread(), "a loop is run by the thread that made it");
    POLLARD_ASSERT(!loop.in_turn_, "a loop isn't run by its own handler");
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
  return turn(limit.value_or(kNoTimeout));
}

// Hot: what every message passes through lies together, in few pages of the program.
[[gnu::hot]] void EventLoop::run() {
  const InTurns in_turns(*this);
  while (!turn(kNoTimeout)) {
  }
}

// Most turns have events and nothing else.
[[gnu::always_inline]] inline bool EventLoop::turn(Duration limit) {
  ++stats_.turns;
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
  return has(kMeasure) ? measured_work() : work();
}

// How long the wait may last.
Duration EventLoop::time_to_sleep(Duration limit) {
  if (has(kBacklog)) return Duration::zero();
  if (coarse_timers_.active()) limit = std::min(limit, coarse_timers_.longest_wait());
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
  if (!done) throw_wait_failure();
  return asleep;
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

void EventLoop::throw_wait_failure() {
  throw std::system_error(wait_failure_, "waiting with " + std::string(poller_name()));
}

[[gnu::always_inline]] inline bool EventLoop::work() {
  dispatch_events();
  return cares_ != 0 || mailbox_->has_mail() ? work_beyond_events() : false;
}

bool EventLoop::measured_work() {
  const MonotonicTime began = now();
  const bool stopped = work();
  const Duration took = platform::monotonic_now() - began;
  stats_.longest_turn = std::max(stats_.longest_turn, took);
  if (options_.slow_turn.callback && took > options_.slow_turn.limit) {
    ++stats_.slow_turns;
    guarded([&] { options_.slow_turn.callback(took); });
  }
  return stopped;
}

void EventLoop::update_backlog() {
  note(kBacklog, !continuations_.empty() || !turn_end_.empty() || !tasks_to_run_.empty() ||
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
  if (!continuations_.empty()) dispatch_continuations();
  if (!timers_.empty()) {
    guarded([this] {
      if (pending_ == nullptr && *timers_.next_deadline(now()) <= now()) timers_.run_due(now());
    });
  }
  if (coarse_timers_.due()) {
    guarded([this] {
      if (pending_ == nullptr) coarse_timers_.run_due();
    });
  }
  const bool stopped = run_tasks();
  finish_turn_ends();
  if (pending_ != nullptr) rethrow_pending();
  if (timers_.empty()) note(kTimers, false);
  if (!coarse_timers_.active()) note(kCoarseTimers, false);
  if (has(kRetired)) finish_retired();
  return stopped;
}

void EventLoop::rethrow_pending() {
  const std::exception_ptr exception = std::exchange(pending_, nullptr);
  update_backlog();
  std::rethrow_exception(exception);
}

[[gnu::always_inline]] inline void EventLoop::dispatch_events() {
  Poller& poller = *poller_;
  for (;;) {
    try {
      while (poller.has_ready()) {
        if (pending_ != nullptr) return;
        poller.deliver_next([this](Token token, Readiness ready) {
          ++stats_.events;
          watcher_of(token).on_ready(ready);
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
  std::swap(continuations_, running_continuations_);
  for (const Continuation& continuation : running_continuations_) {
    if (pending_ == nullptr) {
      const std::optional<Token> token = poller_->find(continuation.registration);
      if (!token.has_value()) continue;
      ++stats_.events;
      guarded([&] { watcher_of(*token).on_ready(continuation.ready); });
    } else {
      continuations_.push_back(continuation);
    }
  }
  running_continuations_.clear();
}

bool EventLoop::run_tasks() {
  if (tasks_to_run_.empty() && mailbox_->has_mail()) {
    tasks_.clear();
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
  if (pending_ != nullptr || !tasks_to_run_.empty()) return false;
  return std::exchange(stop_taken_, false);
}

// Once: what these schedule again, such as a sender that never runs dry, waits for the next turn.
void EventLoop::finish_turn_ends() {
  std::swap(turn_end_, running_turn_end_);
  for (const Registration registration : running_turn_end_) {
    const std::optional<Token> token = poller_->find(registration);
    if (token.has_value()) guarded([&] { watcher_of(*token).on_turn_end(); });
  }
  running_turn_end_.clear();
  update_backlog();
}

void EventLoop::retire(Task ended) {
  if (!in_turn_) return;
  retired_.push_back(std::move(ended));
  note(kRetired);
}

void EventLoop::finish_retired() {
  note(kRetired, false);
  // What ends here may retire more, of both kinds.
  for (;;) {
    if (retiring_groups_ != nullptr) {
      const std::shared_ptr<ConnectionGroup> group = std::move(retiring_groups_);
      retiring_groups_ = std::move(group->next_retiring_);
      group->finish_retired();
    } else if (!retired_.empty()) {
      const Task ended = std::move(retired_.back());
      retired_.pop_back();
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

Timer EventLoop::coarse_at(MonotonicTime deadline, Task task) {
  note(kCoarseTimers);
  return coarse_timers_.at(deadline, std::move(task));
}

MonotonicTime EventLoop::read_clock() {
  const MonotonicTime time = platform::monotonic_now();
  if (in_turn_) now_ = time;
  return time;
}

LoopStats EventLoop::stats() const {
  LoopStats stats = stats_;
  stats.wakeups = wake_->count();
  stats.events -= stats.wakeups;  // nobody's events but ours
  stats.timers = timers_.ran();
  stats.stale_events = poller_->stale_events();
  stats.watched = poller_->size();
  return stats;
}

void EventLoop::allocate_shared_memory() {
  if (shared_memory_ != nullptr) return;
  spare_outputs_.reserve(kSpareOutputs);
  const std::size_t space = std::min(options_.receive_buffer_bytes, kFirstSpaceBytes);
  // Not make_unique: nobody reads the zeros that it would write.
  shared_memory_.reset(new std::byte[kScratchBytes + space]);
  hand_.space = {shared_memory_.get() + kScratchBytes, space};
}

// Between two reads. Without memory for it, the next one that fills the space tries again.
void EventLoop::widen_receive_space() {
  if (hand_.space.size() == options_.receive_buffer_bytes) return;
  wide_space_ = platform::allocate_huge_pages(options_.receive_buffer_bytes);
  if (wide_space_ != nullptr) hand_.space = {wide_space_.get(), options_.receive_buffer_bytes};
}

}  // namespace pollard
