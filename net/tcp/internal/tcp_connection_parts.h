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

// Whether what it sends may stay in the loop's hand.
inline bool TcpConnection::has_hand() const {
  EventLoop* loop = loop_or_null();
  return loop != nullptr && loop->hand_.owner == this;
}

inline std::span<const std::byte> TcpConnection::take_answer() {
  if (!has_hand()) return {};
  EventLoop::Hand& hand = *group_->hand_;
  hand.owner = nullptr;
  return std::exchange(hand.answer, {});
}

// Sends inside wait for the end of the handler, and what it throws ends the connection.
template <class Call>
inline void TcpConnection::run_handler(Call call) {
  const bool outer = in_handler_;
  in_handler_ = true;
  EventLoop::Hand& hand = *group_->hand_;
  if (hand.owner == nullptr) hand.owner = this;
  try {
    call();
  } catch (...) {
    handler_threw();
  }
  in_handler_ = outer;
  if (hand.owner == this && hand.answer.empty()) hand.owner = nullptr;
}

inline void TcpConnection::note_received(std::size_t count) {
  group_->counts_.bytes_received.add(count);
  if (limited_ != nullptr) limited_->progress.received = stamp();
}
inline void TcpConnection::note_sent(std::size_t count) {
  group_->counts_.bytes_sent.add(count);
  if (limited_ != nullptr) limited_->progress.sent = stamp();
}

// True when nothing of it is left, nor was.
[[gnu::always_inline]] inline bool TcpConnection::send_answer(EventLoop::Hand& hand) {
  hand.owner = nullptr;
  if (hand.answer.empty()) return true;
  const std::span<const std::byte> bytes = std::exchange(hand.answer, {});
  const platform::Result sent = platform::send(socket_.get(), bytes);
  if (!sent.ok() || sent.count() < bytes.size()) {
    keep_unsent(bytes, sent);
    return false;
  }
  note_sent(sent.count());
  return true;
}

}  // namespace pollard
