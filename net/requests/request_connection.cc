// What any thread may do with a connection on workers.
#include "pollard/net/requests/request_connection.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <span>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/net/requests/internal/request_group.h"

namespace pollard {

using Kind = DisconnectReason::Kind;

namespace {

// How long a worker that can't tell the loop of a failure waits for memory, before it tries again.
constexpr auto kWaitForMemory = std::chrono::milliseconds(1);

}  // namespace

std::string_view to_string(RequestConnection::ClosedBy who) {
  switch (who) {
    case RequestConnection::ClosedBy::kNotClosed: return "not closed";
    case RequestConnection::ClosedBy::kLocal: return "local";
    case RequestConnection::ClosedBy::kPeer: return "peer";
  }
  return "unknown";
}

RequestConnection::RequestConnection(Key, std::shared_ptr<RequestGroup> group, TcpConnectionPtr tcp)
    : group_(std::move(group)), tcp_(std::move(tcp)) {}

void RequestConnection::step(RequestStep step) const {
  if (group_->options_.on_step) group_->options_.on_step(*this, step);
}

// ---- States ----

void RequestConnection::enter(Work next) {
  switch (next) {
    case Work::kIdle:  // from kQueued: there was no memory to queue it
      POLLARD_ASSERT(work_ == Work::kRunning || work_ == Work::kQueued, "a worker had it");
      break;
    case Work::kQueued:
      POLLARD_ASSERT(work_ == Work::kIdle || work_ == Work::kRunning, "it is queued once");
      break;
    case Work::kRunning:
      POLLARD_ASSERT(work_ == Work::kQueued, "a worker takes it from the queue");
      break;
    case Work::kOver:
      POLLARD_ASSERT(work_ == Work::kRunning && ending_ == Ending::kGone,
                     "its worker ends it, after the TcpConnection");
      break;
  }
  work_ = next;
}

void RequestConnection::enter(Input next) {
  POLLARD_ASSERT(input_ < next, "input ends, or is stopped, once");
  input_ = next;
}

void RequestConnection::enter(Ending next) {
  POLLARD_ASSERT(ending_ < next, "the end of a connection only comes nearer");
  ending_ = next;
}

// ---- Work ----

// For a worker. It has entered kQueued. What it throws means that it is in no queue.
void RequestConnection::queue() {
  step(RequestStep::kQueued);
  const SubmitResult admission =
      group_->pool_->submit([self = shared_from_this()] { self->run(); });
  POLLARD_ASSERT(admission != SubmitResult::kRefused, "workers stop after the last connection");
  if (admission == SubmitResult::kQueued) return;
  Lock lock(mutex_);
  if (work_ != Work::kQueued) return;  // a worker has it by now
  paused_ |= kByWorkers;
  want_attention();
  try {
    attend_soon(std::move(lock));
  } catch (const std::bad_alloc&) {
    // Reading goes on until the input limit, or until the loop is asked again.
  }
}

void RequestConnection::queue_if_idle(Lock lock) {
  if (work_ != Work::kIdle) return;
  enter(Work::kQueued);
  lock.unlock();
  try {
    queue();
  } catch (...) {
    lock.lock();
    enter(Work::kIdle);
    throw;
  }
}

// ---- Input ----

// News for the handler, once: what it has left unread will not be more.
void RequestConnection::end_input() {
  if (input_ == Input::kOpen) {
    enter(Input::kEnded);
    news_ = true;
  }
  changed_.notify_one();
}

// What has come is dropped, and what comes is read only to see the end.
void RequestConnection::stop_requests() {
  if (input_ != Input::kStopped) enter(Input::kStopped);
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

// ---- The end ----

// The graceful end of a server: what has come is handled, and no more is awaited.
void RequestConnection::finish(Duration limit) {
  decide_closed_by(ClosedBy::kLocal);
  tcp_->force_close_after(limit);
  Lock lock(mutex_);
  end_input();
  queue_if_idle(std::move(lock));
}

// Whether an end now would cut an answer off. What a handler in another thread has written is not
// known here, so it counts; one that waits has handed all over.
bool RequestConnection::has_output() const {
  if (!outgoing_.empty()) return true;
  if (in_handler()) return writer_.size() > 0;
  return work_ == Work::kRunning && awaited_.input == 0 && awaited_.output == 0;
}

void RequestConnection::want(Ending how) {
  if (ending_ >= how) return;
  if (how == Ending::kForceCloseWanted && has_output()) loses_output_ = true;
  enter(how);
  want_attention();
}

void RequestConnection::fail(DisconnectReason reason) {
  decide_closed_by(ClosedBy::kLocal);
  Lock lock(mutex_);
  if (ending_ == Ending::kGone) return;
  if (!reason_.has_value()) reason_ = std::move(reason);
  want(Ending::kForceCloseWanted);
  stop_requests();
  attend_soon(std::move(lock));
}

// By what was thrown, and is handled now. For a worker, who may have left the connection already,
// and for the loop. A worker waits until there is the little memory that a post needs, or until the
// connection has ended by itself.
void RequestConnection::fail_by_exception() {
  DisconnectReason reason{.kind = Kind::kException, .exception = std::current_exception()};
  try {
    return fail(std::move(reason));
  } catch (const std::bad_alloc&) {
  }
  while (true) {
    Lock lock(mutex_);
    if (ending_ == Ending::kGone || attention_ != Attention::kWanted) return;
    changed_.wait_for(lock, kWaitForMemory);
    try {
      return attend_soon(std::move(lock));
    } catch (const std::bad_alloc&) {
    }
  }
}

void RequestConnection::decide_closed_by(ClosedBy who) {
  ClosedBy undecided = ClosedBy::kNotClosed;
  closed_by_.compare_exchange_strong(undecided, who);
}

// ---- The loop's attention ----

void RequestConnection::want_attention() {
  if (attention_ == Attention::kNone) attention_ = Attention::kWanted;
}

// One post for all that is wanted until it runs. When the post throws, attention is still wanted.
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

// ---- For users ----

bool RequestConnection::cancelled() const {
  const Lock lock(mutex_);
  return ending_ == Ending::kGone || input_ == Input::kStopped;
}

bool RequestConnection::stopped() const {
  const Lock lock(mutex_);
  return input_ == Input::kStopped;
}

std::error_code RequestConnection::send(std::string_view bytes) {
  if (in_handler()) {
    writer_.append(bytes);
    return {};
  }
  Lock lock(mutex_);
  if (ending_ != Ending::kOpen || input_ == Input::kStopped) return Error::kNotConnected;
  // All that may throw comes first: what a caller sends again must not leave twice. The loop waits
  // for the mutex.
  const std::span<std::byte> space = outgoing_.reserve(bytes.size());
  const LoopHandle loop = tcp_->loop_handle();
  if (attention_ != Attention::kPosted && !loop.in_loop_thread()) {
    loop.post([self = shared_from_this()] { self->attend(); });
    attention_ = Attention::kPosted;
  }
  if (!bytes.empty()) std::memcpy(space.data(), bytes.data(), bytes.size());
  outgoing_.commit(bytes.size());
  handed_over_ += bytes.size();
  want_attention();
  attend_soon(std::move(lock));
  return {};
}

void RequestConnection::close() {
  decide_closed_by(ClosedBy::kLocal);
  Lock lock(mutex_);
  if (ending_ == Ending::kGone) return;
  if (input_ != Input::kStopped) stop_requests();
  // Else the worker does it when its handler is done.
  if (work_ == Work::kIdle) want(Ending::kShutdownWanted);
  attend_soon(std::move(lock));
}

void RequestConnection::force_close() {
  decide_closed_by(ClosedBy::kLocal);
  Lock lock(mutex_);
  if (ending_ == Ending::kGone) return;
  want(Ending::kForceCloseWanted);
  stop_requests();
  attend_soon(std::move(lock));
}

void RequestConnection::close_with_error(std::error_code why) {
  {
    const Lock lock(mutex_);
    if (!reason_.has_value()) reason_ = {.kind = Kind::kError, .error = why};
  }
  close();
}

void RequestConnection::add_close_callback(Task callback) {
  {
    const Lock lock(mutex_);
    if (work_ != Work::kOver) return close_callbacks_.push_back(std::move(callback));
  }
  callback();
}

}  // namespace pollard
