// What the files of TcpConnection have in common, in line: the beginning (tcp_connection.cc), what
// wakes it and its input, its output, and its end.
#pragma once

#include <cstdint>
#include <exception>
#include <span>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/net/tcp/internal/connection_group.h"
#include "pollard/net/tcp/tcp_connection.h"
#include "pollard/net/timers/internal/coarse_timers.h"
#include "pollard/platform/io.h"

namespace pollard {

inline const ConnectionHandlers& TcpConnection::handlers() const { return *group_->handlers_; }

// In the loop's thread, unless sends of other threads are on their way that came before.
inline bool TcpConnection::may_send_here() const {
  return group_->handle_.in_loop_thread() && !sent_from_afar();
}

// Enters `next` by compare and swap when `allowed(word)`; false when not.
template <class Allowed>
inline bool TcpConnection::enter_if(State next, Allowed allowed) {
  std::uint64_t word = word_.load(std::memory_order_acquire);
  do {
    if (!allowed(word)) return false;
    const State now = state_of(word);
    const bool in_order = next > now && next != State::kConnecting &&
                          !(now == State::kConnecting && next == State::kDisconnecting);
    POLLARD_ASSERT(in_order, "a connection's states must follow their diagram");
  } while (!word_.compare_exchange_weak(word, (word & ~kStateBits) | to_word(next)));
  return true;
}

// Returns whether its handler runs, and what that sends may wait for its end.
inline bool TcpConnection::is_active() const {
  return loop_or_null() != nullptr && group_->shared_->active == this;
}

inline std::span<const std::byte> TcpConnection::take_pending_send() {
  if (!is_active()) return {};
  LoopConnections& shared = *group_->shared_;
  shared.active = nullptr;
  return std::exchange(shared.pending_send, {});
}

// Sends inside wait for the end of the handler, and what it throws ends the connection.
template <class Call>
inline void TcpConnection::run_handler(Call call) {
  const bool outer = in_handler_;
  in_handler_ = true;
  LoopConnections& shared = *group_->shared_;
  if (shared.active == nullptr) shared.active = this;
  try {
    call();
  } catch (...) {
    handler_threw();
  }
  in_handler_ = outer;
  if (shared.active == this && shared.pending_send.empty()) shared.active = nullptr;
}

// The time of what happens now, for timeouts.
inline MonotonicTime TcpConnection::stamp() { return limited_->timers.stamp(); }

inline void TcpConnection::note_received(std::size_t count) {
  group_->counts_.bytes_received.add(count);
  if (limited_ != nullptr) limited_->progress.received = stamp();
}
inline void TcpConnection::note_sent(std::size_t count) {
  group_->counts_.bytes_sent.add(count);
  if (limited_ != nullptr) limited_->progress.sent = stamp();
}

// True when nothing of it is left, nor was.
[[gnu::always_inline]] inline bool TcpConnection::send_pending(LoopConnections& shared) {
  shared.active = nullptr;
  if (shared.pending_send.empty()) return true;
  const std::span<const std::byte> bytes = std::exchange(shared.pending_send, {});
  const platform::Result sent = platform::send(socket_.get(), bytes);
  if (!sent.ok() || sent.count() < bytes.size()) {
    keep_unsent(bytes, sent);
    return false;
  }
  note_sent(sent.count());
  return true;
}

}  // namespace pollard
