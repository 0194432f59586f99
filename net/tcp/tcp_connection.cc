#include "pollard/net/tcp/tcp_connection.h"

#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/describe_exception.h"
#include "pollard/base/error.h"
#include "pollard/net/tcp/internal/tcp_connection_parts.h"
#include "pollard/platform/socket.h"

namespace pollard {

std::string DisconnectReason::to_string() const {
  switch (kind) {
    case Kind::kPeer: return "peer";
    case Kind::kLocal: return "local";
    case Kind::kTimeout:
      return error.category() == error_category() ? "timeout: " + error.message() : "timeout";
    case Kind::kError: return "error: " + error.message();
    case Kind::kException: return "exception: " + describe_exception(exception);
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

TcpConnection::TcpConnection(Key, std::shared_ptr<ConnectionGroup>&& group,
                             platform::Descriptor&& socket, Address&& peer)
    : Watcher(*group->loop_),
      group_(std::move(group)),
      socket_(std::move(socket)),
      peer_(std::move(peer)) {}

TcpConnection::~TcpConnection() {
  POLLARD_ASSERT(state() != State::kConnected, "an open connection belongs to itself");
}

void TcpConnection::enter(State next) {
  enter_if(next, [](std::uint64_t) { return true; });
}

// The loop's thread alone changes this part of the word.
void TcpConnection::enter(Sending next) {
  const Sending now = sending();
  if (now == next) return;
  const bool allowed = next == Sending::kBroken || now == Sending::kFlows ||
                       (next == Sending::kFlows && now < Sending::kEnded);
  POLLARD_ASSERT(allowed, "the states of sending must follow their diagram");
  const auto bits = [](Sending state) {
    return static_cast<std::uint64_t>(state) << kSendingShift;
  };
  word_.fetch_xor(bits(now) ^ bits(next));
}

void TcpConnection::enter(Receiving next) {
  const Receiving now = receiving();
  if (now == next) return;
  const bool allowed = now == Receiving::kFlows || next == Receiving::kFlows;
  POLLARD_ASSERT(allowed && now != Receiving::kEnded,
                 "the states of receiving must follow their diagram");
  const auto bits = [](Receiving state) {
    return static_cast<std::uint64_t>(state) << kReceivingShift;
  };
  word_.fetch_xor(bits(now) ^ bits(next));
}

// By whichever thread is first: ours that hears of the peer's end, or any that shuts down. Not when
// the connection is about to be closed anyway.
bool TcpConnection::start_disconnecting() {
  return enter_if(State::kDisconnecting, [](std::uint64_t word) {
    return (word & (kStateBits | kCloseRequested)) == to_word(State::kConnected);
  });
}

// True for the first who asks.
bool TcpConnection::request_close() {
  return (word_.fetch_or(kCloseRequested) & kCloseRequested) == 0;
}

TcpConnection::Extras& TcpConnection::extras() {
  if (extras_ == nullptr) extras_ = std::make_unique<Extras>();
  return *extras_;
}

LoopHandle TcpConnection::loop_handle() const { return group_->handle_; }

EventLoop& TcpConnection::loop() const {
  EventLoop* loop = loop_or_null();
  POLLARD_ASSERT(loop != nullptr, "the connection has ended and left its loop");
  loop->assert_in_loop_thread();
  return *loop;
}

Address TcpConnection::local_address() const {
  assert_in_loop_thread();
  platform::Endpoint endpoint;
  if (socket_ && platform::local_endpoint(socket_.get(), endpoint).ok()) return Address(endpoint);
  return {};
}

std::size_t TcpConnection::buffer_memory() const {
  assert_in_loop_thread();
  const std::size_t input = rest_ == nullptr ? 0 : sizeof(Rest) + rest_->input.capacity();
  return input + (output_ == nullptr ? 0 : output_->memory());
}

std::error_code TcpConnection::set_no_delay(bool on) {
  assert_in_loop_thread();
  return platform::set_no_delay(socket_.get(), on).error();
}

std::error_code TcpConnection::set_linger(std::optional<std::chrono::seconds> interval) {
  assert_in_loop_thread();
  if (interval.has_value() && *interval != std::chrono::seconds::zero()) {
    return Error::kLingerBlocks;
  }
  return platform::set_linger(socket_.get(), interval).error();
}

// Takes `self` over when it succeeds. When it throws, nothing has happened: what can fail comes
// first. From the state of a connection on it ends like any other.
std::error_code TcpConnection::establish(TcpConnectionPtr& self) {
  const bool edge = group_->edge_;
  group_->shared_->allocate();
  group_->make_room();
  const std::error_code refused = watch(socket_.get(), edge ? Interest::kBoth : Interest::kRead,
                                        edge ? Trigger::kEdge : Trigger::kLevel);
  if (refused) {
    enter(State::kDisconnected);
    return refused;
  }
  // A datagram boundary, or a file descriptor that a peer passes along, makes a read short without
  // being the last.
  mark(kReadToEnd, peer_.is_unix());
  self_ = std::move(self);
  group_->insert(*this);
  enter(State::kConnected);
  begin();
  return {};
}

void TcpConnection::begin() try {
  if (group_->has_timeouts_) set_timeouts(group_->options_.timeouts);
  announced_ = true;
  if (handlers().on_connect) run_handler([this] { handlers().on_connect(self_); });
  if (!ended()) settle();
} catch (...) {
  out_of_memory();
}

// ---- Limits of time ----

void TcpConnection::set_timeouts(const Timeouts& limits) {
  assert_in_loop_thread();
  if (ended()) return;
  limited_.reset();
  if (!limits.any()) return;
  CoarseTimers& timers = group_->shared_->coarse_timers();
  limited_ = std::make_unique<Limited>(
      Limited{.limits = limits, .timers = timers, .progress = {}, .next = {}});
  limited_->progress.began = timers.begin(limits.shortest());
  if (has_output()) limited_->progress.output_waits = limited_->progress.began;
  watch_limits();
}

void TcpConnection::watch_limits() {
  ConnectionProgress progress = limited_->progress;
  progress.reading_paused = paused();
  progress.peer_ended = receiving() == Receiving::kEnded;
  progress.sending_ended = sending() >= Sending::kEnded;
  const LimitVerdict verdict = judge(limited_->limits, progress, limited_->timers.now());
  if (verdict.exceeded) {
    return close({.kind = DisconnectReason::Kind::kTimeout, .error = verdict.exceeded});
  }
  limited_->next = group_->shared_->coarse_at(verdict.next, [this] { watch_limits(); });
}

// After what is rare: output that began to wait, or has left at last.
void TcpConnection::note_waiting_output() {
  MonotonicTime& since = limited_->progress.output_waits;
  if (!has_output()) {
    since = {};
  } else if (since == MonotonicTime{}) {
    since = stamp();
  }
}

}  // namespace pollard
