#include "pollard/net/request_connection.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/net/request_group.h"
#include "pollard/platform/time.h"

namespace pollard {

using Kind = DisconnectReason::Kind;

namespace {

// After so many calls in a row a worker looks whether other connections stand in line.
constexpr unsigned kCallsInARow = 16;

}  // namespace

std::string_view to_string(RequestConnection::ClosedBy who) {
  switch (who) {
    case RequestConnection::ClosedBy::kNobody: return "nobody";
    case RequestConnection::ClosedBy::kUs: return "us";
    case RequestConnection::ClosedBy::kPeer: return "peer";
  }
  return "unknown";
}

RequestConnection::RequestConnection(Key, std::shared_ptr<RequestGroup> group, TcpConnectionPtr tcp)
    : group_(std::move(group)), tcp_(std::move(tcp)) {}

void RequestConnection::step(RequestStep step) const {
  if (group_->options_.on_step) group_->options_.on_step(*this, step);
}

// ---- The loop's part ----

void RequestConnection::received(Buffer& input) {
  Lock lock(mutex_);
  if (ended_ || stopped_) return;
  incoming_.append(input.bytes());
  unread_ += input.size();
  has_incoming_.store(true, std::memory_order_release);
  fresh_ = true;
  if (wanted_ > 0 && unread_ >= wanted_) changed_.notify_one();
  if (unread_ >= std::max(group_->options_.input_limit, wanted_)) paused_ |= kByLimit;
  if (paused_ != 0 && std::exchange(reading_, false)) {
    group_->reading_stops_.fetch_add(1, std::memory_order_relaxed);
    tcp_->pause_reading();  // in its own thread, where it calls nobody
  }
  queue_if_idle(std::move(lock));
}

// What it sent before is handled first, and a last time what the handler had left.
void RequestConnection::peer_ended() {
  decide_closed_by(ClosedBy::kPeer);
  Lock lock(mutex_);
  end_input();
  queue_if_idle(std::move(lock));
}

void RequestConnection::output_left() {
  const Lock lock(mutex_);
  left_ = sent_;
  changed_.notify_one();
}

void RequestConnection::gone(DisconnectReason reason) {
  // A limit of ours is no deed of the peer's.
  const bool by_peer = reason.kind == Kind::kPeer ||
                       (reason.kind == Kind::kError && reason.error.category() != error_category());
  decide_closed_by(by_peer ? ClosedBy::kPeer : ClosedBy::kUs);
  if (reason.kind == Kind::kPeer || reason.kind == Kind::kLocal) {
    reason.kind = closed_by() == ClosedBy::kPeer ? Kind::kPeer : Kind::kLocal;
  }
  Lock lock(mutex_);
  if (!by_peer) stop_requests();
  gone_ = true;
  end_input();
  if (!reason_.has_value()) reason_ = std::move(reason);
  try {
    queue_if_idle(std::move(lock));
  } catch (const std::bad_alloc&) {
    // There is none to tell a worker. Here it disturbs the loop, but nobody waits for its end in
    // vain.
    {
      const Lock again(mutex_);
      if (std::exchange(working_, true)) return;  // a worker was told by another thread meanwhile
    }
    run();
  }
}

// Does what others wanted done.
void RequestConnection::attend() {
  Lock lock(mutex_);
  attention_ = Attention::kNone;
  Buffer output = std::move(outgoing_);
  sent_ += output.size();
  const bool read = paused_ == 0;
  const bool reading_changes = std::exchange(reading_, read) != read;
  const bool shut_down = shutdown_wanted_ && !std::exchange(shut_down_, true);
  const bool force_close = std::exchange(force_close_wanted_, false);
  lock.unlock();
  if (force_close) return tcp_->force_close();
  try {
    if (!output.empty()) static_cast<void>(tcp_->send(output));  // or its end is on its way to us
  } catch (const std::bad_alloc&) {                              // a part of an answer is lost
    return fail_by_exception();
  }
  if (reading_changes && read) tcp_->resume_reading();
  if (reading_changes && !read) {
    group_->reading_stops_.fetch_add(1, std::memory_order_relaxed);
    tcp_->pause_reading();
  }
  if (shut_down) tcp_->shutdown(group_->options_.close_limit);
}

// ---- The worker's ----

void RequestConnection::run() {
  step(RequestStep::kTaken);
  bool goes_on = true;
  for (unsigned calls = 0; goes_on; ++calls) {
    try {
      handler_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
      if (!connected_) connect();
      goes_on = take_step(calls);
    } catch (const std::bad_alloc&) {  // of ours: the end needs no memory, but for word to the loop
      fail_by_exception();
    }
  }
}

// False when others may have the connection.
bool RequestConnection::take_step(unsigned calls) {
  switch (next_step(calls)) {
    case Next::kRequest: request(); return true;
    case Next::kGiveWay: queue(); return false;
    case Next::kEnd: disconnect(); return false;
    case Next::kRest: break;
  }
  step(RequestStep::kIdle);
  return false;
}

// A worker has it: what stopped because none had goes on.
void RequestConnection::take() {
  queued_ = false;
  if ((paused_ & kByWorkers) != 0) {
    paused_ &= static_cast<std::uint8_t>(~kByWorkers);
    want_attention();
  }
}

void RequestConnection::connect() {
  Lock lock(mutex_);
  take();
  connected_ = !stopped_;
  attend_soon_or_fail(std::move(lock));
  if (!connected_ || !group_->handlers_.on_connect) return;
  guarded([this] { context_ = group_->handlers_.on_connect(*this); });
  step(RequestStep::kReturned);
}

void RequestConnection::request() {
  const OnRequest* own = on_request_.look();
  const OnRequest& handler = own != nullptr ? *own : group_->handlers_.on_request;
  if (handler) {
    group_->requests_.fetch_add(1, std::memory_order_relaxed);
    guarded([&] { handler(*this); });
    step(RequestStep::kReturned);
  } else {
    reader_.skip(reader_.blocks_.size());
  }
  reader_.release();
}

void RequestConnection::disconnect() {
  const OnDisconnect* own = on_disconnect_.look();
  const OnDisconnect& handler = own != nullptr ? *own : group_->handlers_.on_disconnect;
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
  told_all_ = true;
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
    writer_.output_.clear();  // half of an answer
    fail_by_exception();
    group_->report(*this, std::current_exception());
  }
}

// In one breath: what the handler took and wrote is noted, what has come meanwhile is seen, and the
// connection is left if there is nothing to do. So nothing can come between seeing and leaving.
RequestConnection::Next RequestConnection::next_step(unsigned calls) {
  Lock lock(mutex_);
  take();
  hand_over_output();
  collect();
  const Next next = choose_next(calls);
  progress_ = false;
  if (next == Next::kRest) rest();
  if (next == Next::kGiveWay) queued_ = true;
  if (next == Next::kRest || next == Next::kGiveWay) leave();
  attend_soon_or_fail(std::move(lock));
  return next;
}

RequestConnection::Next RequestConnection::choose_next(unsigned calls) {
  if (!stopped_ && !reader_.blocks_.empty() && (fresh_ || progress_)) {
    fresh_ = calls >= kCallsInARow && group_->pool_->queue_size() > 0;
    return fresh_ ? Next::kGiveWay : Next::kRequest;
  }
  return gone_ ? Next::kEnd : Next::kRest;
}

void RequestConnection::rest() {
  working_ = fresh_ = false;
  const std::size_t limit = group_->options_.input_limit;
  if (ended_ || stopped_) {
    paused_ = 0;  // what comes is dropped, and behind it is the peer's end
    shutdown_wanted_ = true;
    want_attention();
  } else if (unread_ >= limit) {
    decide_closed_by(ClosedBy::kUs);
    reason_ = {.kind = Kind::kError, .error = Error::kInputLimit};
    force_close_wanted_ = true;
    stop_requests();
  }
  resume_below(limit);
}

// What has come, for the reader, and what was taken from it. What has come stays news: nobody knows
// whether a running handler is going to look at it.
void RequestConnection::collect() {
  progress_ |= reader_.taken_ > 0;
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
  return ended_ || stopped_;
}

std::size_t RequestConnection::input_limit() const { return group_->options_.input_limit; }

void RequestConnection::hand_over_output() {
  Buffer& output = writer_.output_;
  if (output.empty()) return;
  handed_over_ += output.size();
  // It never leaves: who waits for it waits for the end.
  if (gone_ || shutdown_wanted_ || force_close_wanted_) return output.clear();
  if (outgoing_.empty()) {
    outgoing_ = std::move(output);
  } else {
    outgoing_.append(output.bytes());
    output.clear();
  }
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
  wanted_ = wanted;
  const auto ready = [this] {
    collect();
    if (reader_.blocks_.size() >= wanted_) return std::optional(WaitResult::kDone);
    if (ended_ || stopped_) return std::optional(WaitResult::kEnded);
    resume_below(wanted_);
    return std::optional<WaitResult>();
  };
  const WaitResult result = await(lock, deadline, ready);
  wanted_ = 0;
  return result;
}

WaitResult RequestConnection::await_output(MonotonicTime deadline) {
  Lock lock(mutex_);
  hand_over_output();
  const auto ready = [this, target = handed_over_] {
    if (left_ >= target) return std::optional(WaitResult::kDone);
    if (gone_) return std::optional(WaitResult::kEnded);
    return std::optional<WaitResult>();
  };
  return await(lock, deadline, ready);
}

template <class Ready>
WaitResult RequestConnection::await(Lock& lock, MonotonicTime deadline, Ready ready) {
  while (true) {
    const std::optional<WaitResult> result = ready();
    if (attention_ == Attention::kWanted) {
      attend_soon(std::move(lock));
      lock = Lock(mutex_);
      if (!result.has_value()) continue;
    }
    if (result.has_value()) return *result;
    const Duration left = deadline - platform::monotonic_now();
    if (left <= Duration::zero()) return WaitResult::kDeadline;
    changed_.wait_for(lock, std::min<Duration>(left, platform::kLongestTimeout));
  }
}

// ---- Anybody's ----

// For a worker. `queued_` is set.
void RequestConnection::queue() {
  step(RequestStep::kQueued);
  const Admission admission = group_->pool_->submit([self = shared_from_this()] { self->run(); });
  POLLARD_ASSERT(admission != Admission::kRefused, "workers stop after the last connection");
  if (admission == Admission::kQueued) return;
  Lock lock(mutex_);
  if (!queued_) return;  // a worker has it by now
  paused_ |= kByWorkers;
  want_attention();
  attend_soon(std::move(lock));
}

void RequestConnection::queue_if_idle(Lock lock) {
  if (std::exchange(working_, true)) return;
  queued_ = true;
  lock.unlock();
  try {
    queue();
  } catch (...) {  // it is in no line
    lock.lock();
    working_ = queued_ = false;
    throw;
  }
}

// The end of a server in good order: what has come is handled, and no more is awaited.
void RequestConnection::finish(Duration limit) {
  decide_closed_by(ClosedBy::kUs);
  tcp_->force_close_after(limit);
  Lock lock(mutex_);
  end_input();
  queue_if_idle(std::move(lock));
}

// News for the handler, once: what it has left unread will not be more.
void RequestConnection::end_input() {
  fresh_ |= !std::exchange(ended_, true);
  changed_.notify_one();
}

void RequestConnection::fail(DisconnectReason reason) {
  decide_closed_by(ClosedBy::kUs);
  Lock lock(mutex_);
  if (gone_) return;
  if (!reason_.has_value()) reason_ = std::move(reason);
  force_close_wanted_ = true;
  stop_requests();
  attend_soon(std::move(lock));
}

// By what was thrown, and is handled now.
void RequestConnection::fail_by_exception() {
  fail({.kind = Kind::kException, .exception = std::current_exception()});
}

// What has come is nobody's any more, and what comes is read only to see the end.
void RequestConnection::stop_requests() {
  stopped_ = true;
  unread_ -= incoming_.size();
  incoming_.clear();
  has_incoming_.store(false, std::memory_order_relaxed);
  paused_ = 0;
  changed_.notify_one();
  want_attention();
}

void RequestConnection::resume_below(std::size_t unread) {
  if ((paused_ & kByLimit) == 0 || unread_ >= unread) return;
  paused_ &= static_cast<std::uint8_t>(~kByLimit);
  want_attention();
}

void RequestConnection::want_attention() {
  if (attention_ == Attention::kNone) attention_ = Attention::kWanted;
}

// One post for all that is wanted until it runs.
void RequestConnection::attend_soon(Lock lock) {
  if (attention_ != Attention::kWanted) return;
  attention_ = Attention::kPosted;
  lock.unlock();
  const LoopHandle loop = tcp_->loop_handle();
  if (loop.in_loop_thread()) return attend();
  try {
    loop.post([self = shared_from_this()] { self->attend(); });
  } catch (...) {
    lock.lock();
    attention_ = Attention::kWanted;
    throw;
  }
}

// For a worker, who may have left the connection already.
void RequestConnection::attend_soon_or_fail(Lock lock) try {
  attend_soon(std::move(lock));
} catch (const std::bad_alloc&) {
  fail_by_exception();
}

void RequestConnection::decide_closed_by(ClosedBy who) {
  ClosedBy nobody = ClosedBy::kNobody;
  closed_by_.compare_exchange_strong(nobody, who);
}

bool RequestConnection::abandoned() const {
  const Lock lock(mutex_);
  return gone_ || stopped_;
}

bool RequestConnection::stopped() const {
  const Lock lock(mutex_);
  return stopped_;
}

std::error_code RequestConnection::send(std::string_view bytes) {
  if (in_handler()) {
    writer_.append(bytes);
    return {};
  }
  Lock lock(mutex_);
  if (gone_ || ended_by_us()) return Error::kNotConnected;
  outgoing_.append(bytes);
  handed_over_ += bytes.size();
  want_attention();
  attend_soon(std::move(lock));
  return {};
}

void RequestConnection::close() {
  decide_closed_by(ClosedBy::kUs);
  Lock lock(mutex_);
  if (stopped_ || gone_) return;
  stop_requests();
  if (!working_) shutdown_wanted_ = true;  // else the worker does it when its handler is done
  attend_soon(std::move(lock));
}

void RequestConnection::force_close() {
  decide_closed_by(ClosedBy::kUs);
  Lock lock(mutex_);
  if (gone_) return;
  force_close_wanted_ = true;
  stop_requests();
  attend_soon(std::move(lock));
}

void RequestConnection::fail(std::error_code why) {
  {
    const Lock lock(mutex_);
    if (!reason_.has_value()) reason_ = {.kind = Kind::kError, .error = why};
  }
  close();
}

void RequestConnection::add_close_callback(Task callback) {
  {
    const Lock lock(mutex_);
    if (!told_all_) return close_callbacks_.push_back(std::move(callback));
  }
  callback();
}

}  // namespace pollard
