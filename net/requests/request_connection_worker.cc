// The part of a connection on workers that runs on the worker which has it.
#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/net/requests/internal/request_group.h"
#include "pollard/net/requests/request_connection.h"
#include "pollard/platform/time.h"

namespace pollard {

using Kind = DisconnectReason::Kind;

namespace {

// After so many calls in a row a worker looks whether other connections wait for one.
constexpr unsigned kCallsInARow = 16;

// With so much written, a handler is asked to return before its time slice is over.
constexpr std::size_t kMuchOutput = std::size_t{64} * 1024;

}  // namespace

// ---- The next step ----

void RequestConnection::run() {
  step(RequestStep::kTaken);
  calls_ = 0;
  begin_slice();
  bool goes_on = true;
  while (goes_on) {
    try {
      handler_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
      if (!connected_) connect();
      goes_on = take_step();
    } catch (const std::bad_alloc&) {  // of ours
      fail_by_exception();
    }
  }
}

// False when other workers may have the connection.
bool RequestConnection::take_step() {
  switch (next_step()) {
    case Next::kRequest: request(); return true;
    case Next::kGiveWay: queue(); return false;
    case Next::kEnd: disconnect(); return false;
    case Next::kRest: break;
  }
  step(RequestStep::kIdle);
  return false;
}

// Under one lock: what the handler took and wrote is noted, what has come since is seen, and the
// connection is left if there is nothing to do. So nothing can come between seeing and leaving.
RequestConnection::Next RequestConnection::next_step() {
  const bool slice_over = calls_ > 0 && platform::monotonic_now() >= slice_end_;
  Lock lock(mutex_);
  take();
  hand_over_output();
  collect();
  const Next next = choose_next(slice_over || calls_ >= kCallsInARow);
  switch (next) {
    case Next::kRequest: news_ = false; break;
    case Next::kGiveWay: enter(Work::kQueued); break;
    case Next::kEnd: break;
    case Next::kRest: rest(); break;
  }
  if (next == Next::kRest || next == Next::kGiveWay) leave();
  attend_soon_or_fail(std::move(lock));
  if (next == Next::kRequest && slice_over) begin_slice();
  return next;
}

RequestConnection::Next RequestConnection::choose_next(bool turn_over) {
  if (input_ != Input::kStopped && news_ && !reader_.blocks_.empty()) {
    return turn_over && group_->pool_->queue_size() > 0 ? Next::kGiveWay : Next::kRequest;
  }
  return ending_ == Ending::kGone ? Next::kEnd : Next::kRest;
}

void RequestConnection::rest() {
  enter(Work::kIdle);
  news_ = false;
  const std::size_t limit = group_->options_.input_limit;
  if (input_ != Input::kOpen) {
    paused_ = 0;  // what comes is dropped, and behind it is the peer's end
    want(Ending::kShutdownWanted);
    want_attention();
  } else if (unread_ >= limit) {
    decide_closed_by(ClosedBy::kLocal);
    if (!reason_.has_value()) reason_ = {.kind = Kind::kError, .error = Error::kInputLimit};
    want(Ending::kForceCloseWanted);
    stop_requests();
  }
  resume_below(limit);
}

// A worker has it: what stopped because none had goes on.
void RequestConnection::take() {
  if (work_ == Work::kQueued) enter(Work::kRunning);
  if ((paused_ & kByWorkers) != 0) {
    paused_ &= static_cast<std::uint8_t>(~kByWorkers);
    want_attention();
  }
}

// ---- Handlers ----

void RequestConnection::connect() {
  Lock lock(mutex_);
  take();
  connected_ = input_ != Input::kStopped;
  attend_soon_or_fail(std::move(lock));
  if (!connected_ || !group_->handlers_.on_connect) return;
  reader_.begin_call(RequestReader::Call::kUntouched);
  guarded([this] { context_ = group_->handlers_.on_connect(*this); });
  step(RequestStep::kReturned);
}

void RequestConnection::request() {
  ++calls_;
  const OnRequest* own = on_request_.look();
  const OnRequest& handler = own != nullptr ? *own : group_->handlers_.on_request;
  if (handler) {
    group_->requests_.fetch_add(1, std::memory_order_relaxed);
    reader_.begin_call(RequestReader::Call::kUntouched);
    guarded([&] { handler(*this); });
    step(RequestStep::kReturned);
  } else {
    reader_.note_taken(reader_.blocks_.size());
  }
  reader_.release();
}

void RequestConnection::disconnect() {
  const OnDisconnect* own = on_disconnect_.look();
  const OnDisconnect& handler = own != nullptr ? *own : group_->handlers_.on_disconnect;
  reader_.begin_call(RequestReader::Call::kLast);
  // The reason doesn't change any more.
  if (connected_ && handler) guarded([&] { handler(*this, *reason_); });
  Lock lock(mutex_);
  while (!close_callbacks_.empty()) {
    const Task last = std::move(close_callbacks_.back());
    close_callbacks_.pop_back();
    lock.unlock();
    guarded([&] { last(); });
    lock.lock();
  }
  enter(Work::kOver);
  lock.unlock();
  context_.reset();
  writer_.output_.clear();
  reader_.blocks_.clear();
  leave();
  step(RequestStep::kEnded);
  group_->remove(*this);
}

template <class Call>
void RequestConnection::guarded(Call call) {
  try {
    call();
  } catch (...) {
    fail_by_exception();  // while the half of an answer is there: the peer is told by a reset
    writer_.output_.clear();
    group_->report(*this, std::current_exception());
  }
}

// ---- Time ----

void RequestConnection::begin_slice() {
  slice_end_ = saturating_add(platform::monotonic_now(), group_->options_.time_slice);
}

// For a handler that reads on by waiting for input, and so doesn't return.
void RequestConnection::renew_slice() {
  if (!should_yield()) return;
  flush_output();
  begin_slice();
}

bool RequestConnection::should_yield() const {
  assert_in_handler();
  if (!reader_.has_taken()) return false;
  return writer_.size() >= kMuchOutput || platform::monotonic_now() >= slice_end_;
}

// ---- Input and output ----

// What has come, for the reader, and what was taken from it. What has come stays news: a running
// handler may look at it or not.
void RequestConnection::collect() {
  news_ |= reader_.taken_ > 0;
  unread_ -= std::exchange(reader_.taken_, 0);
  if (has_incoming_.load(std::memory_order_relaxed)) {
    reader_.blocks_.append(incoming_);
    has_incoming_.store(false, std::memory_order_relaxed);
  }
  resume_below(group_->options_.input_limit / 2 + 1);
}

void RequestConnection::collect_now() {
  if (!has_incoming_.load(std::memory_order_acquire)) return;
  Lock lock(mutex_);
  collect();
  attend_soon(std::move(lock));
}

bool RequestConnection::input_ended() {
  const Lock lock(mutex_);
  return input_ != Input::kOpen;
}

std::size_t RequestConnection::input_limit() const { return group_->options_.input_limit; }

void RequestConnection::hand_over_output() {
  Buffer& output = writer_.output_;
  if (output.empty()) return;
  const std::size_t size = output.size();
  if (ending_ != Ending::kOpen) {  // it never leaves: a handler that waits for it waits for the end
    output.clear();
  } else if (outgoing_.empty()) {
    outgoing_ = std::exchange(output, {});
  } else {
    outgoing_.append(output.bytes());
    output.clear();
  }
  handed_over_ += size;
  want_attention();
}

void RequestConnection::flush_output() {
  Lock lock(mutex_);
  hand_over_output();
  attend_soon(std::move(lock));
}

WaitResult RequestConnection::await_input(std::size_t wanted, MonotonicTime deadline) {
  Lock lock(mutex_);
  hand_over_output();
  awaited_.input = wanted;
  return await(lock, deadline, [this, wanted] {
    collect();
    if (reader_.blocks_.size() >= wanted) return std::optional(WaitResult::kDone);
    if (input_ != Input::kOpen) return std::optional(WaitResult::kEnded);
    resume_below(wanted);
    return std::optional<WaitResult>();
  });
}

WaitResult RequestConnection::await_output(MonotonicTime deadline) {
  Lock lock(mutex_);
  hand_over_output();
  awaited_.output = handed_over_;
  return await(lock, deadline, [this, target = handed_over_] {
    if (left_ >= target) return std::optional(WaitResult::kDone);
    if (ending_ == Ending::kGone) return std::optional(WaitResult::kEnded);
    return std::optional<WaitResult>();
  });
}

template <class Ready>
WaitResult RequestConnection::await(Lock& lock, MonotonicTime deadline, Ready ready) try {
  while (true) {
    const MonotonicTime now = platform::monotonic_now();
    std::optional<WaitResult> result = ready();
    if (!result.has_value() && deadline <= now) result = WaitResult::kDeadline;
    if (result.has_value()) stop_awaiting();
    if (attention_ == Attention::kWanted) {
      attend_soon(std::move(lock));
      lock = Lock(mutex_);
      if (!result.has_value()) continue;
    }
    if (result.has_value()) return *result;
    changed_.wait_for(lock, std::min<Duration>(deadline - now, platform::kLongestTimeout));
  }
} catch (...) {
  if (!lock.owns_lock()) lock = Lock(mutex_);
  stop_awaiting();
  throw;
}

void RequestConnection::stop_awaiting() {
  awaited_ = {};
  if (!outgoing_.empty()) want_attention();
}

}  // namespace pollard
