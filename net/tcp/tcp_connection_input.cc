#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/net/tcp/internal/tcp_connection_parts.h"
#include "pollard/platform/socket.h"

namespace pollard {

using platform::Result;

namespace {

// An edge-triggered connection that still has input after so many reads lets the others have a
// turn.
constexpr unsigned kReadsPerTurn = 4;

// Sooner read behind where it is than copied, if the loop's buffer is small.
constexpr std::size_t kLargeRest = std::size_t{32} * 1024;

// In one comparison; whether there is room for output is no matter.
bool is_only_input(Readiness ready) {
  static_assert(sizeof(Readiness) == sizeof(std::uint32_t));
  constexpr auto kInput = std::bit_cast<std::uint32_t>(Readiness{.readable = true});
  constexpr auto kRoom = std::bit_cast<std::uint32_t>(Readiness{.writable = true});
  return (std::bit_cast<std::uint32_t>(ready) & ~kRoom) == kInput;
}

bool is_nothing(Readiness ready) { return std::bit_cast<std::uint32_t>(ready) == 0; }

Readiness merged(Readiness one, Readiness other) {
  return {.readable = one.readable || other.readable,
          .writable = one.writable || other.writable,
          .hangup = one.hangup || other.hangup,
          .error = one.error || other.error};
}

}  // namespace

// ---- What wakes it ----

// The everyday message in one go: into the loop's memory, where the handler reads it in place, and
// its answer out. What is otherwise, before or after the handler, is looked after elsewhere.
[[gnu::hot]] void TcpConnection::on_ready(Readiness ready) try {
  if (!everyday() || !is_only_input(ready)) return on_ready_for_more(ready);
  LoopConnections& shared = *group_->shared_;
  const Result got = platform::receive(socket_.get(), shared.receive_space);
  if (!got.ok() || got.count() == 0) {
    if (received_nothing(got) == Received::kMore) read_on();
    return;
  }
  note_received(got.count());
  shared.input.borrow(shared.receive_space.first(got.count()));
  shared.active = this;
  in_handler_ = true;
  try {
    handlers().on_message(self_, shared.input);
  } catch (...) {
    handler_threw();
  }
  in_handler_ = false;
  const bool full = got.count() == shared.receive_space.size();
  if (full || !everyday() || !send_pending(shared) || !shared.input.empty()) {
    finish_delivery(shared.input);
    if (received_some(full) == Received::kMore) read_on();
  }
} catch (...) {
  out_of_memory();
}

void TcpConnection::on_ready_for_more(Readiness ready) {
  if (close_requested()) return close_as_requested();
  ready = with_continuation(ready);
  const bool waits = sending() == Sending::kBlocked || sending() == Sending::kYields;
  if (ready.writable && waits) enter(Sending::kFlows);
  // Behind the data that is announced together with them there will be no edge for the end.
  if (ready.hangup || ready.error) mark(kReadToEnd);
  if (ready.error && receiving() == Receiving::kEnded) return peer_reset();
  if (ready.readable) read_input();
  if (ready.writable && !ended() && has_output()) settle();
}

void TcpConnection::on_turn_end() try {
  flush_scheduled_ = false;
  settle();
} catch (...) {
  out_of_memory();
}

// Handlers' exceptions are caught around the handlers: this is one of ours, such as bad_alloc. What
// stands over the loop's memory must not be read again, for others' bytes are there next.
void TcpConnection::out_of_memory() {
  static_cast<void>(take_pending_send());
  enter(Sending::kBroken);  // what was to be sent may be lost
  group_->shared_->input.clear();
  drop_rest();
  close({.kind = DisconnectReason::Kind::kException, .exception = std::current_exception()});
}

// ---- What comes in ----

void TcpConnection::read_input() {
  if (!may_read()) return;
  if (is(kRedeliver)) {  // what a pause or a full output kept from the handler
    mark(kRedeliver, false);
    if (rest_ != nullptr && !rest_->input.empty()) deliver(rest_->input);
    if (!may_read() || is(kRedeliver)) return;
  }
  if (receive_once() == Received::kMore) read_on();
}

// After a read that wasn't the last, or may not have been.
void TcpConnection::read_on() {
  for (unsigned reads = 1; reads < kReadsPerTurn; ++reads) {
    if (!may_read() || is(kRedeliver)) return;
    // The next wait says it again; not so of an end that we know of by our own output.
    if (!edge_triggered() && !output_is_dead()) return;
    if (receive_once() != Received::kMore) return;
  }
  if (!ended()) continue_once({.readable = true});
}

// One continuation an iteration, or they would pile up: events of the socket come in each
// iteration, and each may want to go on in the next. A readiness for nothing announces it, which no
// event is; an event that comes before it does its work.
void TcpConnection::continue_once(Readiness again) {
  continue_next_turn({});
  again_ = merged(again_, again);
  mark(kContinues);
}

Readiness TcpConnection::with_continuation(Readiness ready) {
  if (!is(kContinues)) return ready;
  if (is_nothing(ready)) {
    // What was asked for since then is announced in the next iteration.
    if (std::exchange(continued_in_, turn()) == turn()) return ready;
  }
  mark(kContinues, false);
  return merged(ready, std::exchange(again_, {}));
}

TcpConnection::Received TcpConnection::receive_once() {
  if (rest_ != nullptr) return receive_behind_rest();
  LoopConnections& shared = *group_->shared_;
  const Result got = platform::receive(socket_.get(), shared.receive_space);
  if (!got.ok() || got.count() == 0) return received_nothing(got);
  note_received(got.count());
  const bool full = got.count() == shared.receive_space.size();
  shared.input.borrow(shared.receive_space.first(got.count()));
  deliver(shared.input);
  return received_some(full);
}

// Behind what the handler left last time; only a large rest is added to where it is, and grows to
// twice its size at the most.
TcpConnection::Received TcpConnection::receive_behind_rest() {
  const std::span<std::byte> shared = group_->shared_->receive_space;
  Buffer& kept = rest_->input;
  const std::size_t large = std::clamp(kLargeRest, shared.size() / 8, shared.size() / 2);
  const bool in_place = kept.size() > large;
  if (!in_place) std::memcpy(shared.data(), kept.bytes().data(), kept.size());
  const std::span<std::byte> space = in_place ? kept.reserve(large) : shared.subspan(kept.size());
  const Result got = platform::receive(socket_.get(), space);
  if (!got.ok() || got.count() == 0) return received_nothing(got);
  note_received(got.count());
  const bool full = got.count() == space.size();
  if (in_place) {
    kept.commit(got.count());
    deliver(kept);
  } else {
    Buffer& input = group_->shared_->input;
    input.borrow(shared.first(kept.size() + got.count()));
    kept.clear();
    deliver(input);
  }
  return received_some(full);
}

// After a read that brought something. One that filled its space asks for a larger one.
TcpConnection::Received TcpConnection::received_some(bool full) {
  if (full) group_->shared_->widen_receive_space();
  return full || is(kReadToEnd) ? Received::kMore : Received::kDrained;
}

TcpConnection::Received TcpConnection::received_nothing(Result got) {
  if (got.interrupted()) return Received::kMore;
  if (got.ok()) {
    peer_ended();
    return Received::kEnded;
  }
  if (got.would_block() && !output_is_dead()) return Received::kDrained;
  if (starves(platform::Operation::kReceive, got.error())) return Received::kDrained;
  close({.kind = DisconnectReason::Kind::kError,
         .error = output_is_dead() ? extras_->output_error : got.error()});
  return Received::kEnded;
}

void TcpConnection::deliver(Buffer& input) {
  run_handler([this, &input] { handlers().on_message(self_, input); });
  finish_delivery(input);
}

void TcpConnection::finish_delivery(Buffer& input) {
  if (!ended()) settle();
  if (ended()) {  // and `input` may be gone, if it was the rest
    static_cast<void>(take_pending_send());
    group_->shared_->input.clear();
    return drop_rest();
  }
  keep_rest(input);
  if (rest_ != nullptr && rest_->input.size() > group_->options_.input_limit) {
    close({.kind = DisconnectReason::Kind::kError, .error = Error::kInputLimit});
  }
}

// The loop's memory, and its hand, are wanted for others now.
void TcpConnection::keep_rest(Buffer& input) {
  if (input.empty()) return drop_rest();
  Buffer& kept = rest().input;
  if (&input == &kept) {
    kept.own();
  } else {
    kept = std::move(input);
  }
}

TcpConnection::Rest& TcpConnection::rest() {
  if (rest_ == nullptr) {
    rest_ = std::make_unique<Rest>();
    mark(kHasRest);
  }
  return *rest_;
}

void TcpConnection::drop_rest() {
  rest_.reset();
  mark(kHasRest, false);
}

// Nothing is left to be sent, handed over or told: the common end. From here on no other thread
// sends.
inline bool TcpConnection::ends_with_peer() {
  return !handlers().on_peer_end && enter_if(State::kDisconnecting, [](std::uint64_t word) {
    return (word & ~std::uint64_t{kReadToEnd}) == to_word(State::kConnected);
  });
}

void TcpConnection::peer_ended() {
  if (ends_with_peer()) return close({.kind = DisconnectReason::Kind::kPeer});
  enter(Receiving::kEnded);
  peer_was_first_ = !shutting_down_ && !close_requested();
  cut_off_ = unfinished().has_value() && !rest_->input.empty();
  if (handlers().on_peer_end) {
    run_handler([this] { handlers().on_peer_end(self_); });
  } else {
    start_disconnecting();
  }
  if (ended()) return;
  update_interest();
  settle();
}

// Nobody reads any more, so nobody would be told.
void TcpConnection::peer_reset() {
  if (const std::error_code error = platform::take_socket_error(socket_.get())) {
    close({.kind = DisconnectReason::Kind::kError, .error = error});
  }
}

void TcpConnection::pause_reading() {
  if (group_->handle_.in_loop_thread()) return set_paused(kPausedByUser, true);
  group_->handle_.post([self = shared_from_this()] { self->set_paused(kPausedByUser, true); });
}

void TcpConnection::resume_reading() {
  if (group_->handle_.in_loop_thread()) return set_paused(kPausedByUser, false);
  group_->handle_.post([self = shared_from_this()] { self->set_paused(kPausedByUser, false); });
}

void TcpConnection::set_paused(Condition who, bool paused_now) {
  if (ended()) return;
  const bool before = paused();
  const bool goes_on = before && !paused_now && !is((kPausedByUser | kPausedByOutput) & ~who);
  if (goes_on) deliver_again_next_turn();  // this may throw, and then it is still paused
  mark(who, paused_now);
  if (before == paused()) return;
  if (goes_on && limited_ != nullptr) limited_->progress.reading_resumed = stamp();
  update_interest();
}

// Also reads: the edge may have passed while nobody looked.
void TcpConnection::deliver_again_next_turn() {
  continue_once({.readable = true});
  mark(kRedeliver);  // a running handler may still leave something
}

// A peer that asks for much in little is answered no faster than it listens.
bool TcpConnection::yields_to_output() {
  const ConnectionOptions& options = group_->options_;
  if (!options.pause_reading_when_full || output_->size_in_memory() <= options.high_water) {
    return false;
  }
  deliver_again_next_turn();
  return true;
}

}  // namespace pollard
