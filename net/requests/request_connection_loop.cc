// The part of a connection on workers that runs in its loop's thread.
#include <algorithm>
#include <new>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/net/requests/internal/request_group.h"
#include "pollard/net/requests/request_connection.h"

namespace pollard {

using Kind = DisconnectReason::Kind;

void RequestConnection::received(Buffer& input) {
  Lock lock(mutex_);
  if (input_ != Input::kOpen) return;
  incoming_.append(input.bytes());
  unread_ += input.size();
  has_incoming_.store(true, std::memory_order_release);
  news_ = true;
  if (awaited_.input > 0 && unread_ >= awaited_.input) changed_.notify_one();
  if (unread_ >= std::max(group_->options_.input_limit, awaited_.input)) paused_ |= kByLimit;
  if (paused_ != 0) {
    if (std::exchange(reading_, false)) {
      group_->reading_stops_.fetch_add(1, std::memory_order_relaxed);
    }
    // Each time: a send that failed has ended the pause. In its own thread it calls nobody.
    tcp_->pause_reading();
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

// A close by force has decided it. Any other end finds what waits here, or a handler that writes.
bool RequestConnection::owes_output() const {
  const Lock lock(mutex_);
  return loses_output_ || (ending_ < Ending::kForceCloseWanted && has_output());
}

void RequestConnection::gone(DisconnectReason reason) {
  // A limit of ours is no deed of the peer's.
  const bool by_peer = reason.kind == Kind::kPeer ||
                       (reason.kind == Kind::kError && reason.error.category() != error_category());
  decide_closed_by(by_peer ? ClosedBy::kPeer : ClosedBy::kLocal);
  if (reason.kind == Kind::kPeer || reason.kind == Kind::kLocal) {
    reason.kind = closed_by() == ClosedBy::kPeer ? Kind::kPeer : Kind::kLocal;
  }
  Lock lock(mutex_);
  if (!by_peer) stop_requests();
  enter(Ending::kGone);
  end_input();
  if (!reason_.has_value()) reason_ = std::move(reason);
  try {
    queue_if_idle(std::move(lock));
  } catch (const std::bad_alloc&) {
    // There is no memory to queue it. Here its last callbacks disturb the loop, but nobody waits
    // for its end in vain.
    {
      const Lock again(mutex_);
      if (work_ != Work::kIdle) return;  // another thread has queued it since
      enter(Work::kQueued);
    }
    run();
  }
}

// Does what other threads wanted done.
void RequestConnection::attend() {
  Buffer output;
  Lock lock(mutex_);
  attention_ = Attention::kNone;
  const Ending wanted = ending_;
  if (wanted == Ending::kShutdownWanted) enter(Ending::kShutDown);
  if (wanted == Ending::kForceCloseWanted) enter(Ending::kForceClosed);
  const bool read = paused_ == 0;
  const bool reading_changes = std::exchange(reading_, read) != read;
  try {
    output = take_sendable();
    lock.unlock();
    if (wanted == Ending::kForceCloseWanted) return tcp_->force_close();
    if (!output.empty()) static_cast<void>(tcp_->send(output));  // or its end is on its way to us
  } catch (const std::bad_alloc&) {                              // a part of an answer is lost
    if (!lock.owns_lock()) lock.lock();
    loses_output_ = true;
    lock.unlock();
    return fail_by_exception();
  }
  if (reading_changes && read) tcp_->resume_reading();
  if (reading_changes && !read) {
    group_->reading_stops_.fetch_add(1, std::memory_order_relaxed);
    tcp_->pause_reading();
  }
  if (wanted == Ending::kShutdownWanted) tcp_->shutdown(group_->options_.close_limit);
}

// While a handler waits for its output to leave, what others have sent behind it stays here: the
// TcpConnection tells only when all that it was given has left. More than the output limit goes on,
// so that the limit ends the connection as ever.
Buffer RequestConnection::take_sendable() {
  Buffer sendable;
  const std::uint64_t awaited = awaited_.output > sent_ ? awaited_.output - sent_ : 0;
  const bool all = awaited_.output == 0 || ending_ != Ending::kOpen ||
                   outgoing_.size() == awaited || outgoing_.size() > group_->output_limit_;
  if (all) {
    sendable = std::exchange(outgoing_, {});
  } else if (awaited > 0) {
    sendable.append(outgoing_.bytes().first(static_cast<std::size_t>(awaited)));
    outgoing_.consume(sendable.size());
  }
  sent_ += sendable.size();
  return sendable;
}

}  // namespace pollard
