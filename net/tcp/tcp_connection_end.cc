#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/tcp/internal/tcp_connection_parts.h"
#include "pollard/platform/socket.h"
#include "pollard/platform/time.h"

namespace pollard {

// After whatever may have changed something: sends what there is, tells who wanted to know, and
// ends what is due to end. May close.
void TcpConnection::settle() {
  if (close_requested()) return close_as_requested();
  flush_pending_send();
  if (!settled()) settle_slowly();
}

// Everything has left, and nobody waits for anything: the common case.
inline bool TcpConnection::settled() const {
  return fully_open() && !is(kHasOutput | kOwesWriteComplete);
}

void TcpConnection::settle_slowly() {
  if (ended()) return;
  if (has_output()) flush();
  report_water();
  if (ended()) return;
  if (pending_send_size() > 0) static_cast<void>(output());  // a handler of report_water sent more
  if (has_output()) {
    if (output_->size_in_memory() > group_->options_.output_limit) {
      return close({.kind = DisconnectReason::Kind::kError, .error = Error::kOutputLimit});
    }
    output_->own_borrowed();  // the loop's memory is wanted for others now
  } else {
    release_output();
  }
  if (limited_ != nullptr) note_waiting_output();
  // What a handler of report_water sent leaves next, or is reported if it was so much that it has
  // left.
  const bool goes_on = has_output() ? sending() == Sending::kFlows : is(kOwesWriteComplete);
  if (goes_on) settle_at_turn_end();
  if (close_requested()) return close_as_requested();
  // What other threads have sent before the end is still on its way.
  const bool complete = !has_output() && !sent_from_afar();
  if (complete && state() == State::kDisconnecting) finish_shutdown();
  if (!ended()) update_interest();
}

void TcpConnection::finish_shutdown() {
  if (extras_ != nullptr && extras_->reset_passed_on) {
    enter(Sending::kBroken);
    return close({.kind = DisconnectReason::Kind::kError, .error = extras_->reset_passed_on});
  }
  if (shutting_down_ && sending() < Sending::kEnded) {
    const platform::Result told = platform::shutdown_sending(socket_.get());
    // A peer that doesn't learn of our end would wait for it. One that has reset the connection
    // (ENOTCONN) knows, and reading reports it.
    if (!told.ok() && !told.is(std::errc::not_connected)) {
      enter(Sending::kBroken);
      return close({.kind = DisconnectReason::Kind::kError, .error = told.error()});
    }
    enter(Sending::kEnded);
  }
  if (receiving() != Receiving::kEnded) return;
  if (output_is_dead()) {
    return close({.kind = DisconnectReason::Kind::kError, .error = extras_->output_error});
  }
  const bool stays_open = handlers().on_peer_end && !shutting_down_;
  if (stays_open) return;
  if (cut_off_) {
    return close({.kind = DisconnectReason::Kind::kError, .error = Error::kTruncatedMessage});
  }
  close({.kind = peer_was_first_ ? DisconnectReason::Kind::kPeer : DisconnectReason::Kind::kLocal});
}

void TcpConnection::update_interest() {
  if (edge_triggered() || !watching()) return;
  unsigned wanted = 0;
  if (may_read()) wanted |= static_cast<unsigned>(Interest::kRead);
  if (has_output() && sending() != Sending::kStarves) {
    wanted |= static_cast<unsigned>(Interest::kWrite);
  }
  const std::error_code refused = set_interest(static_cast<Interest>(wanted));
  POLLARD_ASSERT(!refused || refused == Error::kForked,
                 "a watched connection can be watched for something else");
  if (wanted == 0 && receiving() == Receiving::kEnded) watch_for_reset();
}

void TcpConnection::shutdown() {
  // With on_peer_end the peer's end has moved nothing; without it, this is under way already.
  if (!fully_open()) return;
  // Behind the sends of other threads that are on their way.
  if (may_send_here()) return begin_shutdown();
  group_->handle_.post([self = shared_from_this()] { self->begin_shutdown(); });
  start_disconnecting();  // after what may throw; sends are refused from here on
}

void TcpConnection::begin_shutdown() {
  if (ended()) return;
  if (!in_handler_) settle_at_turn_end();
  start_disconnecting();
  shutting_down_ = true;
}

void TcpConnection::shutdown(Duration limit) {
  shutdown();
  force_close_after(limit);
}

// What may throw comes first: a close that is marked as requested must be on its way.
void TcpConnection::force_close() {
  if (ended() || close_requested()) return;
  close_outside_of_handlers();
  static_cast<void>(request_close());
}

void TcpConnection::close_outside_of_handlers() {
  if (group_->handle_.in_loop_thread() && in_handler_) return;  // when the handler is done
  group_->handle_.post([self = shared_from_this()] { self->close_as_requested(); });
}

void TcpConnection::reset_when_sent(std::error_code why, Duration limit) {
  assert_in_loop_thread();
  if (ended() || close_requested()) return;
  force_close_after(limit);
  if (!in_handler_) settle_at_turn_end();
  extras().reset_passed_on = why;
  start_disconnecting();
}

void TcpConnection::close_with_error(std::error_code why) {
  if (!group_->handle_.in_loop_thread()) {
    group_->handle_.post([self = shared_from_this(), why] { self->close_with_error(why); });
    return;
  }
  if (ended() || close_requested()) return;
  flush_pending_send();
  if (has_output()) flush();
  close_outside_of_handlers();
  end_soon({.kind = DisconnectReason::Kind::kError, .error = why});
}

void TcpConnection::force_close_after(Duration delay) {
  if (!group_->handle_.in_loop_thread()) {
    group_->handle_.post([self = shared_from_this(), delay] { self->force_close_after(delay); });
    return;
  }
  if (ended()) return;
  const MonotonicTime deadline = saturating_add(platform::monotonic_now(), delay);
  if (extras().limit.active() && extras().limit_at <= deadline) return;
  extras().limit_at = deadline;
  extras().limit = loop().at(deadline, [this] {
    close({.kind = DisconnectReason::Kind::kTimeout,
           .error = std::make_error_code(std::errc::timed_out)});
  });
}

void TcpConnection::handler_threw() {
  end_soon({.kind = DisconnectReason::Kind::kException, .exception = std::current_exception()});
}

void TcpConnection::end_soon(DisconnectReason reason) {
  if (ended()) return;
  Extras& rare = extras();  // before the mark, for it may throw
  if (request_close()) rare.end = std::move(reason);
}

void TcpConnection::close_as_requested() {
  DisconnectReason reason;
  if (extras_ != nullptr && extras_->end.has_value()) reason = std::move(*extras_->end);
  close(std::move(reason));
}

void TcpConnection::add_close_callback(Task callback) {
  assert_in_loop_thread();
  if (told_all_) return callback();
  extras().close_callbacks.push_back(std::move(callback));
}

void TcpConnection::run_last(const Task& call) {
  try {
    call();
  } catch (...) {
    if (EventLoop* loop = loop_or_null()) loop->report_exception(std::current_exception());
  }
}

// What send() has accepted and the kernel has not, and what the user still has: the peer must not
// take what it got for all.
bool TcpConnection::loses_output() const {
  return pending_send_size() > 0 || has_output() || sent_from_afar() ||
         sending() == Sending::kBroken || owner_owes_output();
}

bool TcpConnection::owner_owes_output() const try {
  return announced_ && handlers().owes_output && handlers().owes_output(self_);
} catch (...) {
  if (EventLoop* loop = loop_or_null()) loop->report_exception(std::current_exception());
  return true;
}

void TcpConnection::close(DisconnectReason reason) {
  if (ended()) return;
  const TcpConnectionPtr keep = self_;
  const bool reset = loses_output();
  enter(State::kDisconnected);
  stop_watching_before_close();
  if (reset) static_cast<void>(platform::set_linger(socket_.get(), std::chrono::seconds::zero()));
  socket_.reset();
  static_cast<void>(take_pending_send());
  release_output();
  if (!in_handler_) drop_rest();  // else the handler may still be reading there
  group_->remove(*this, reason.kind);
  if (announced_ && handlers().on_disconnect) {
    run_last([&] { handlers().on_disconnect(self_, reason); });
  }
  while (extras_ != nullptr && !extras_->close_callbacks.empty()) {
    const Task last = std::move(extras_->close_callbacks.back());
    extras_->close_callbacks.pop_back();
    run_last(last);
  }
  extras_.reset();
  limited_.reset();
  told_all_ = true;
  group_->retire(*this);
  group_->closed();
}

// At the end of the turn: handlers that were still running were given a reference to self_. What
// the user keeps here belongs to the loop, so it ends here, and not where the last reference does.
void TcpConnection::leave_group() {
  leave_loop();
  const TcpConnectionPtr last = std::move(self_);
  const std::any released = std::exchange(context_, std::any());
}

void TcpConnection::on_loop_gone() {
  const TcpConnectionPtr keep = self_;
  close({.kind = DisconnectReason::Kind::kError, .error = Error::kLoopClosed});
}

}  // namespace pollard
