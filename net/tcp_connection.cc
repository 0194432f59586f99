#include "pollard/net/tcp_connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/connection_group.h"
#include "pollard/platform/io.h"
#include "pollard/platform/socket.h"
#include "pollard/platform/time.h"

namespace pollard {

using platform::Result;

namespace {

// An edge-triggered connection that still has input after so many reads lets the others have a
// turn.
constexpr unsigned kReadsPerTurn = 4;
// The same for a peer that takes everything at once.
constexpr unsigned kSendsPerTurn = 16;
// What is queued in one handler beyond this doesn't wait for the handler's end.
constexpr std::uint64_t kFlushEarly = 256 * 1024;

std::string describe(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "not a std::exception";
  }
}

}  // namespace

std::string DisconnectReason::to_string() const {
  switch (kind) {
    case Kind::kPeer: return "peer";
    case Kind::kLocal: return "local";
    case Kind::kTimeout: return "timeout";
    case Kind::kError: return "error: " + error.message();
    case Kind::kException: return "exception: " + describe(exception);
  }
  return "unknown";
}

std::string_view to_string(TcpConnection::State state) {
  switch (state) {
    case TcpConnection::State::kConnecting: return "connecting";
    case TcpConnection::State::kConnected: return "connected";
    case TcpConnection::State::kDisconnecting: return "disconnecting";
    case TcpConnection::State::kDisconnected: return "disconnected";
  }
  return "unknown";
}

TcpConnection::TcpConnection(Key, std::shared_ptr<ConnectionGroup> group,
                             platform::Descriptor socket, Address peer)
    : Watcher(*group->loop_),
      group_(std::move(group)),
      handlers_(*group_->handlers_),
      socket_(std::move(socket)),
      peer_(std::move(peer)) {}

TcpConnection::~TcpConnection() {
  POLLARD_ASSERT(state() != State::kConnected, "an open connection belongs to itself");
}

void TcpConnection::enter(State next) {
  const State now = state();
  const bool allowed = next > now && next != State::kConnecting &&
                       !(now == State::kConnecting && next == State::kDisconnecting);
  POLLARD_ASSERT(allowed, "a connection's states follow their diagram");
  state_.store(next, std::memory_order_release);
}

// By whichever thread is first: ours that hears of the peer's end, or any that shuts down.
bool TcpConnection::start_disconnecting() {
  State expected = State::kConnected;
  return state_.compare_exchange_strong(expected, State::kDisconnecting);
}

TcpConnection::Extras& TcpConnection::extras() {
  if (extras_ == nullptr) extras_ = std::make_unique<Extras>();
  return *extras_;
}

LoopHandle TcpConnection::loop_handle() const { return group_->handle_; }

EventLoop& TcpConnection::loop() const {
  EventLoop* loop = loop_or_null();
  POLLARD_ASSERT(loop != nullptr, "the connection has ended and left its loop");
  return *loop;
}

Address TcpConnection::local_address() const {
  platform::Endpoint endpoint;
  if (socket_ && platform::local_endpoint(socket_.get(), endpoint).ok()) return Address(endpoint);
  return {};
}

std::size_t TcpConnection::buffer_memory() const {
  return input_.capacity() + (output_ == nullptr ? 0 : output_->memory());
}

std::error_code TcpConnection::set_no_delay(bool on) {
  return platform::set_no_delay(socket_.get(), on).error();
}

std::error_code TcpConnection::set_linger(std::optional<std::chrono::seconds> interval) {
  return platform::set_linger(socket_.get(), interval).error();
}

// ---- The beginning, and what wakes it ----

std::error_code TcpConnection::establish(TcpConnectionPtr self) {
  const bool edge = group_->edge_;
  loop().allocate_shared_memory();
  const std::error_code refused = watch(socket_.get(), edge ? Interest::kBoth : Interest::kRead,
                                        edge ? Trigger::kEdge : Trigger::kLevel);
  if (refused) {
    enter(State::kDisconnected);
    return refused;
  }
  // A datagram boundary, or a file descriptor that a peer passes along, makes a read short without
  // being the last.
  read_to_end_ = peer_.is_unix();
  self_ = std::move(self);
  group_->insert(*this);
  enter(State::kConnected);
  announced_ = true;
  if (handlers_.on_connect) run_handler([this] { handlers_.on_connect(self_); });
  if (!ended()) settle();
  return {};
}

void TcpConnection::on_ready(Readiness ready) try {
  if (close_requested_.load(std::memory_order_relaxed)) return close_as_requested();
  if (ready.writable) can_write_ = true;
  // Behind the data that is announced together with them there will be no edge for the end.
  if (ready.hangup || ready.error) read_to_end_ = true;
  if (ready.error && peer_ended_) return peer_reset();
  if (ready.readable) read_input();
  if (ready.writable && !ended() && has_output()) settle();
} catch (...) {
  out_of_memory();
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
  input_.clear();
  direct_ = {};
  close({.kind = DisconnectReason::Kind::kException, .exception = std::current_exception()});
}

void TcpConnection::on_loop_gone() {
  const TcpConnectionPtr keep = self_;
  close({.kind = DisconnectReason::Kind::kError, .error = Error::kLoopGone});
}

// Sends inside wait for the end of the handler, and what it throws ends the connection.
template <class Call>
void TcpConnection::run_handler(Call call) {
  const bool outer = std::exchange(in_handler_, true);
  try {
    call();
  } catch (...) {
    end_soon({.kind = DisconnectReason::Kind::kException, .exception = std::current_exception()});
  }
  in_handler_ = outer;
}

// ---- Input ----

inline void TcpConnection::read_input() {
  if (paused_ == 0 && std::exchange(redeliver_, false) && !input_.empty()) deliver();
  for (unsigned reads = 0; reads < kReadsPerTurn; ++reads) {
    if (ended() || paused_ != 0 || peer_ended_) return;
    const Received received = receive_once();
    if (received != Received::kMore) return;
    // The next wait says it again; not so of an end that we know of by our own output.
    if (!edge_triggered() && !output_is_dead()) return;
  }
  if (!ended()) continue_next_turn({.readable = true});
}

// Into the loop's buffer, behind what the handler left last time; only a large rest is added to
// where it is.
inline TcpConnection::Received TcpConnection::receive_once() {
  const std::span<std::byte> shared = loop().receive_buffer();
  const std::size_t kept = input_.size();
  const bool in_place = kept > shared.size() / 8;
  if (!in_place && kept > 0) std::memcpy(shared.data(), input_.bytes().data(), kept);
  const std::span<std::byte> space =
      in_place ? input_.reserve(shared.size() / 8) : shared.subspan(kept);
  const Result got = platform::receive(socket_.get(), space);
  if (got.interrupted()) return Received::kMore;
  if (!got.ok()) return receive_failed(got.error());
  if (got.count() == 0) {
    peer_ended();
    return Received::kEnded;
  }
  group_->counts_.bytes_received.add(got.count());
  if (in_place) {
    input_.commit(got.count());
  } else {
    input_.borrow(shared.first(kept + got.count()));
  }
  const bool more = read_to_end_ || got.count() == space.size();
  deliver();
  return more ? Received::kMore : Received::kDrained;
}

TcpConnection::Received TcpConnection::receive_failed(std::error_code error) {
  const bool drained = error == std::errc::resource_unavailable_try_again ||
                       error == std::errc::operation_would_block;
  if (drained && !output_is_dead()) return Received::kDrained;
  close({.kind = DisconnectReason::Kind::kError,
         .error = output_is_dead() ? extras_->output_error : error});
  return Received::kEnded;
}

inline void TcpConnection::deliver() {
  if (handlers_.on_message) {
    run_handler([this] { handlers_.on_message(self_, input_); });
  } else {
    input_.clear();
  }
  if (ended()) return;
  settle();
  if (ended()) return;
  input_.own();  // the loop's buffer is wanted for others now
  if (input_.size() > group_->options_.input_limit) {
    close({.kind = DisconnectReason::Kind::kError, .error = Error::kInputLimit});
  }
}

void TcpConnection::peer_ended() {
  peer_ended_ = true;
  peer_was_first_ = !shutting_down_ && !close_requested_.load(std::memory_order_relaxed);
  if (handlers_.on_peer_end) {
    run_handler([this] { handlers_.on_peer_end(self_); });
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
  if (group_->handle_.in_loop_thread()) return set_paused(kByUser, true);
  group_->handle_.post([self = shared_from_this()] { self->set_paused(kByUser, true); });
}

void TcpConnection::resume_reading() {
  if (group_->handle_.in_loop_thread()) return set_paused(kByUser, false);
  group_->handle_.post([self = shared_from_this()] { self->set_paused(kByUser, false); });
}

void TcpConnection::set_paused(Pause who, bool paused) {
  if (ended()) return;
  const bool before = paused_ != 0;
  paused_ = static_cast<std::uint8_t>(paused ? paused_ | who : paused_ & ~who);
  if (before == (paused_ != 0)) return;
  if (!before) {
    update_interest();
    return;
  }
  // The edge may have passed while nobody looked.
  redeliver_ = !input_.empty();
  update_interest();
  continue_next_turn({.readable = true});
}

// ---- Output ----

inline std::error_code TcpConnection::refuse_send() {
  if (connected() && !close_requested_.load(std::memory_order_relaxed)) return {};
  group_->counts_.sends_dropped.fetch_add(1, std::memory_order_relaxed);
  return Error::kNotConnected;
}

// In the loop's thread, unless sends of other threads are on their way that came before.
inline bool TcpConnection::may_send_here() const {
  return group_->handle_.in_loop_thread() && sends_from_afar_.load(std::memory_order_acquire) == 0;
}

std::error_code TcpConnection::send(std::span<const std::byte> bytes) {
  if (const std::error_code refused = refuse_send()) return refused;
  if (!may_send_here()) {
    return send_from_afar(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  copy(bytes);
  queued();
  return {};
}

std::error_code TcpConnection::send(std::string_view bytes) {
  return send(std::as_bytes(std::span(bytes)));
}

std::error_code TcpConnection::send(std::string&& bytes) {
  if (const std::error_code refused = refuse_send()) return refused;
  if (!may_send_here()) return send_from_afar(std::move(bytes));
  output().take(std::move(bytes));
  queued();
  return {};
}

std::error_code TcpConnection::send(Buffer& bytes) {
  if (const std::error_code refused = refuse_send()) {
    bytes.clear();
    return refused;
  }
  if (!may_send_here()) return send_from_afar(std::move(bytes));
  const bool stays = in_handler_ && &bytes == &input_ && bytes.borrows();
  if (!stays) {
    output().take(std::move(bytes));
  } else {  // until the handler is done, and what it sent has left or was copied
    if (unsent() == 0) {
      direct_ = bytes.bytes();
    } else {
      output().borrow(bytes.bytes());
    }
    bytes.clear();
  }
  queued();
  return {};
}

std::error_code TcpConnection::send(std::initializer_list<std::string_view> pieces) {
  if (const std::error_code refused = refuse_send()) return refused;
  if (!may_send_here()) {
    std::string all;
    for (const std::string_view piece : pieces) all += piece;
    return send_from_afar(std::move(all));
  }
  for (const std::string_view piece : pieces) copy(std::as_bytes(std::span(piece)));
  queued();
  return {};
}

std::error_code TcpConnection::send_file(FileRegion region) {
  if (const std::error_code refused = refuse_send()) return refused;
  if (!may_send_here()) return send_from_afar(std::move(region));
  output().take(std::move(region));
  queued();
  return {};
}

std::error_code TcpConnection::send_from_afar(Owned owned) {
  sends_from_afar_.fetch_add(1, std::memory_order_acq_rel);
  const bool posted =
      group_->handle_.post([self = shared_from_this(), owned = std::move(owned)]() mutable {
        self->sends_from_afar_.fetch_sub(1, std::memory_order_acq_rel);
        self->send_owned(std::move(owned));
      });
  return posted ? std::error_code() : Error::kLoopGone;
}

void TcpConnection::send_owned(Owned owned) {
  // Accepted while we were connected; a shutdown that came later waits behind it.
  if (ended() || shutting_down_ || close_requested_.load(std::memory_order_relaxed)) {
    group_->counts_.sends_dropped.fetch_add(1, std::memory_order_relaxed);
    return settle_at_turn_end();
  }
  std::visit([this](auto& bytes) { output().take(std::move(bytes)); }, owned);
  queued();
}

OutputQueue& TcpConnection::output() {
  if (output_ == nullptr) {
    auto& spare = loop().spare_outputs_;
    if (spare.empty()) {
      output_ = std::make_unique<OutputQueue>();
    } else {
      output_ = std::move(spare.back());
      spare.pop_back();
    }
  }
  if (!direct_.empty()) output_->borrow(std::exchange(direct_, {}));
  return *output_;
}

void TcpConnection::copy(std::span<const std::byte> bytes) {
  if (!copy_directly(bytes)) output().copy(bytes);
}

// Into the loop's scratch space, behind what the handler has put there before.
bool TcpConnection::copy_directly(std::span<const std::byte> bytes) {
  if (!in_handler_ || output_ != nullptr || bytes.empty()) return false;
  const std::span<std::byte> scratch = loop().scratch();
  const bool first = direct_.empty();
  if (!first && direct_.data() != scratch.data()) return false;
  if (bytes.size() > scratch.size() - direct_.size()) return false;
  std::memcpy(scratch.data() + direct_.size(), bytes.data(), bytes.size());
  direct_ = scratch.first(direct_.size() + bytes.size());
  return true;
}

void TcpConnection::release_output() {
  constexpr std::size_t kSpares = 16;
  if (output_ == nullptr) return;
  output_->clear();
  EventLoop* loop = loop_or_null();
  if (loop != nullptr && loop->spare_outputs_.size() < kSpares) {
    loop->spare_outputs_.push_back(std::move(output_));
  }
  output_.reset();
}

inline void TcpConnection::queued() {
  owes_write_complete_ = static_cast<bool>(handlers_.on_write_complete);
  if (output_ != nullptr && output_->size() >= kFlushEarly) flush();
  if (!in_handler_) settle_at_turn_end();
}

void TcpConnection::settle_at_turn_end() {
  if (flush_scheduled_) return;
  at_turn_end();
  flush_scheduled_ = true;
}

inline void TcpConnection::flush_directly() {
  const std::span<const std::byte> bytes = std::exchange(direct_, {});
  std::size_t gone = 0;
  if (can_write_) {
    const Result sent = platform::send(socket_.get(), bytes);
    if (sent.ok()) {
      gone = sent.count();
      group_->counts_.bytes_sent.add(gone);
      if (gone == bytes.size()) return;
    } else if (!sent.would_block() && !sent.interrupted()) {
      return output_failed(sent.error());
    }
  }
  output().copy(bytes.subspan(gone));
}

void TcpConnection::flush() {
  for (unsigned sends = 0; has_output() && can_write_; ++sends) {
    if (sends == kSendsPerTurn) return continue_next_turn({.writable = true});
    const std::uint64_t before = output_->size();
    const Result sent = output_->send_some(socket_.get());
    if (sent.interrupted()) continue;
    if (sent.would_block()) {
      can_write_ = false;
    } else if (!sent.ok()) {
      return output_failed(sent.error());
    } else {
      group_->counts_.bytes_sent.add(sent.count());
      // A level is reported again; an edge needs the refusal.
      if (!edge_triggered() && before != sent.count()) can_write_ = false;
    }
  }
}

// The peer takes nothing any more; what it sent before is still to be read.
void TcpConnection::output_failed(std::error_code error) {
  extras().output_error = error;
  start_disconnecting();
  owes_write_complete_ = false;
  direct_ = {};
  if (output_ != nullptr) output_->clear();
  paused_ = 0;  // nobody would ever resume: what it waits for doesn't come any more
  read_to_end_ = true;
  continue_next_turn({.readable = true});
}

void TcpConnection::report_water() {
  const ConnectionOptions& options = group_->options_;
  // Files don't fill our memory.
  const std::uint64_t size = direct_.size() + (output_ == nullptr ? 0 : output_->size_in_memory());
  if (!above_high_water_ && size > options.high_water) {
    above_high_water_ = true;
    if (options.pause_reading_when_full) set_paused(kByOutput, true);
    if (handlers_.on_high_water) run_handler([&] { handlers_.on_high_water(self_); });
  } else if (above_high_water_ && size <= options.low_water) {
    above_high_water_ = false;
    if (options.pause_reading_when_full) set_paused(kByOutput, false);
    if (handlers_.on_low_water) run_handler([&] { handlers_.on_low_water(self_); });
  }
  if (ended() || unsent() > 0 || !std::exchange(owes_write_complete_, false)) return;
  if (handlers_.on_write_complete) run_handler([&] { handlers_.on_write_complete(self_); });
}

// ---- The end ----

// After whatever may have changed something: sends what there is, tells who wanted to know, and
// ends what is due to end. May close.
inline void TcpConnection::settle() {
  if (close_requested_.load(std::memory_order_relaxed)) return close_as_requested();
  if (!direct_.empty()) flush_directly();
  if (!settled()) settle_slowly();
}

// Everything has left, and nobody waits for anything: the common case.
inline bool TcpConnection::settled() const {
  return output_ == nullptr && state() == State::kConnected && !owes_write_complete_ &&
         !close_requested_.load(std::memory_order_relaxed);
}

void TcpConnection::settle_slowly() {
  if (ended()) return;
  if (has_output()) flush();
  report_water();
  if (ended()) return;
  if (!direct_.empty()) static_cast<void>(output());  // a handler of report_water sent more
  if (has_output()) {
    if (output_->size_in_memory() > group_->options_.output_limit) {
      return close({.kind = DisconnectReason::Kind::kError, .error = Error::kOutputLimit});
    }
    output_->own_borrowed();  // the loop's memory is wanted for others now
  } else {
    release_output();
  }
  // What a handler of report_water sent leaves next, or is reported if it was so much that it has
  // left.
  if (has_output() ? can_write_ : owes_write_complete_) settle_at_turn_end();
  if (close_requested_.load(std::memory_order_relaxed)) return close_as_requested();
  // What other threads have sent before the end is still on its way.
  const bool complete = !has_output() && sends_from_afar_.load(std::memory_order_acquire) == 0;
  if (complete && state() == State::kDisconnecting) finish_shutdown();
  if (!ended()) update_interest();
}

void TcpConnection::finish_shutdown() {
  if (shutting_down_ && !shut_down_ && !output_is_dead()) {
    shut_down_ = true;
    static_cast<void>(platform::shutdown_sending(socket_.get()));
  }
  if (!peer_ended_) return;
  if (output_is_dead()) {
    return close({.kind = DisconnectReason::Kind::kError, .error = extras_->output_error});
  }
  const bool stays_open = handlers_.on_peer_end && !shutting_down_;
  if (stays_open) return;
  close({.kind = peer_was_first_ ? DisconnectReason::Kind::kPeer : DisconnectReason::Kind::kLocal});
}

void TcpConnection::update_interest() {
  if (edge_triggered() || !watching()) return;
  unsigned wanted = 0;
  if (paused_ == 0 && !peer_ended_) wanted |= static_cast<unsigned>(Interest::kRead);
  if (has_output()) wanted |= static_cast<unsigned>(Interest::kWrite);
  const std::error_code refused = set_interest(static_cast<Interest>(wanted));
  POLLARD_ASSERT(!refused || refused == Error::kForked,
                 "a watched connection can be watched for something else");
}

void TcpConnection::shutdown() {
  // With on_peer_end the peer's end has moved nothing; without it, this is under way already.
  if (!start_disconnecting()) return;
  // Behind the sends of other threads that are on their way.
  if (may_send_here()) return begin_shutdown();
  group_->handle_.post([self = shared_from_this()] { self->begin_shutdown(); });
}

void TcpConnection::begin_shutdown() {
  if (ended()) return;
  shutting_down_ = true;
  if (!in_handler_) settle_at_turn_end();
}

void TcpConnection::shutdown(Duration limit) {
  shutdown();
  force_close_after(limit);
}

void TcpConnection::force_close() {
  if (close_requested_.exchange(true, std::memory_order_acq_rel)) return;
  if (group_->handle_.in_loop_thread() && in_handler_) return;  // when the handler is done
  group_->handle_.post([self = shared_from_this()] { self->close_as_requested(); });
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

void TcpConnection::end_soon(DisconnectReason reason) {
  if (ended() || close_requested_.exchange(true, std::memory_order_acq_rel)) return;
  extras().end = std::move(reason);
}

void TcpConnection::close_as_requested() {
  DisconnectReason reason;
  if (extras_ != nullptr && extras_->end.has_value()) reason = std::move(*extras_->end);
  close(std::move(reason));
}

void TcpConnection::add_close_callback(Task callback) {
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

void TcpConnection::close(DisconnectReason reason) {
  if (ended()) return;
  const TcpConnectionPtr keep = self_;
  enter(State::kDisconnected);
  stop_watching_before_close();
  socket_.reset();
  direct_ = {};
  release_output();
  input_.clear();
  group_->remove(*this, reason.kind);
  if (announced_ && handlers_.on_disconnect) {
    run_last([&] { handlers_.on_disconnect(self_, reason); });
  }
  while (extras_ != nullptr && !extras_->close_callbacks.empty()) {
    const Task last = std::move(extras_->close_callbacks.back());
    extras_->close_callbacks.pop_back();
    run_last(last);
  }
  extras_.reset();
  told_all_ = true;
  group_->closed();
  // Handlers that are still running were given a reference to self_.
  struct Release {
    TcpConnectionPtr connection;
    explicit Release(TcpConnectionPtr released) : connection(std::move(released)) {}
    Release(Release&&) noexcept = default;
    Release& operator=(Release&&) = delete;
    Release(const Release&) = delete;
    Release& operator=(const Release&) = delete;
    ~Release() {
      if (connection == nullptr) return;
      connection->leave_loop();
      connection->self_.reset();
    }
  };
  loop().retire([release = Release(keep)] {});
}

}  // namespace pollard
