#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/net/tcp/internal/tcp_connection_parts.h"

namespace pollard {

using platform::Result;

namespace {

// A peer that takes everything at once lets the others have a turn after so many sends.
constexpr unsigned kSendsPerTurn = 16;
// What is queued in one handler beyond this doesn't wait for the handler's end.
constexpr std::uint64_t kFlushEarly = 256 * 1024;
// Less is copied sooner than kept.
constexpr std::size_t kWorthTaking = 1024;

}  // namespace

inline std::error_code TcpConnection::refuse_send() {
  if (fully_open()) return group_->no_error_;
  group_->counts_.sends_dropped.fetch_add(1, std::memory_order_relaxed);
  return Error::kNotConnected;
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

[[gnu::hot]] std::error_code TcpConnection::send(Buffer& bytes) {
  if (!may_send_in_place(bytes)) return send_contents(bytes);
  ConnectionGroup& group = *group_;
  group.shared_->pending_send = bytes.take_borrowed();
  return group.no_error_;
}

std::error_code TcpConnection::send_contents(Buffer& bytes) {
  if (const std::error_code refused = refuse_send()) {
    bytes.clear();
    return refused;
  }
  if (!may_send_here()) return send_from_afar(std::move(bytes));
  if (&bytes == &group_->shared_->input && is_active() && bytes.borrows()) {
    output().borrow(bytes.bytes());  // until the handler is done
    bytes.clear();
  } else {
    output().take(std::move(bytes));
  }
  queued();
  return {};
}

// The handler's own input, before anything else was sent, goes out from where it came in: when the
// handler is done. (Who has the input in hand is in the loop's thread.)
inline bool TcpConnection::may_send_in_place(const Buffer& bytes) const {
  const LoopConnections& shared = *group_->shared_;
  return &bytes == &shared.input && shared.active == this && everyday() && bytes.borrows() &&
         shared.pending_send.empty() && !handlers().on_write_complete;
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

std::error_code TcpConnection::send(std::string_view head, std::string&& body) {
  if (const std::error_code refused = refuse_send()) return refused;
  if (body.size() < kWorthTaking) return send({head, body});
  HeadAndBody both{.head = std::string(head), .body = std::move(body)};
  if (!may_send_here()) return send_from_afar(std::move(both));
  enqueue(std::move(both));
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

// Counted until it has been queued: what comes later must not overtake it, nor must our FIN.
std::error_code TcpConnection::send_from_afar(Owned owned) {
  const bool posted = group_->handle_.post_counted(
      [self = shared_from_this(), owned = std::move(owned)]() mutable {
        self->word_.fetch_sub(kOneSentFromAfar);
        self->send_owned(std::move(owned));
      },
      word_, kOneSentFromAfar);
  return posted ? std::error_code() : Error::kLoopClosed;
}

void TcpConnection::send_owned(Owned owned) {
  // Accepted while we were connected; a shutdown that came later waits behind it.
  if (ended() || sending() >= Sending::kEnded || close_requested()) {
    group_->counts_.sends_dropped.fetch_add(1, std::memory_order_relaxed);
    return settle_at_turn_end();
  }
  std::visit([this](auto& bytes) { enqueue(std::move(bytes)); }, owned);
  queued();
}

template <class Bytes>
void TcpConnection::enqueue(Bytes&& bytes) {
  if constexpr (std::is_same_v<Bytes, HeadAndBody>) {
    copy(std::as_bytes(std::span(bytes.head)));
    output().take(std::move(bytes.body));
  } else {
    output().take(std::forward<Bytes>(bytes));
  }
}

OutputQueue& TcpConnection::output() {
  if (output_ == nullptr) {
    output_ = group_->shared_->take_queue();
    mark(kHasOutput);
  }
  if (pending_send_size() > 0) output_->borrow(group_->shared_->pending_send);
  static_cast<void>(take_pending_send());  // when nothing can fail any more
  return *output_;
}

void TcpConnection::copy(std::span<const std::byte> bytes) {
  if (!copy_directly(bytes)) output().copy(bytes);
}

// Into the loop's scratch space, behind what the handler has put there before.
bool TcpConnection::copy_directly(std::span<const std::byte> bytes) {
  if (!is_active() || output_ != nullptr || bytes.empty()) return false;
  std::span<const std::byte>& pending = group_->shared_->pending_send;
  const std::span<std::byte> scratch = group_->shared_->scratch();
  if (!pending.empty() && pending.data() != scratch.data()) return false;
  if (bytes.size() > scratch.size() - pending.size()) return false;
  std::memcpy(scratch.data() + pending.size(), bytes.data(), bytes.size());
  pending = scratch.first(pending.size() + bytes.size());
  return true;
}

std::size_t TcpConnection::pending_send_size() const {
  return is_active() ? group_->shared_->pending_send.size() : 0;
}

void TcpConnection::release_output() {
  if (output_ == nullptr) return;
  output_->clear();
  if (loop_or_null() != nullptr) group_->shared_->give_back(std::move(output_));
  output_.reset();
  mark(kHasOutput, false);
}

inline void TcpConnection::queued() {
  mark(kOwesWriteComplete, static_cast<bool>(handlers().on_write_complete));
  if (output_ != nullptr && output_->size() >= kFlushEarly) flush();
  if (!in_handler_) settle_at_turn_end();
}

void TcpConnection::settle_at_turn_end() {
  if (flush_scheduled_) return;
  at_turn_end();
  flush_scheduled_ = true;
}

// The same for a connection that may be in any state.
void TcpConnection::flush_pending_send() {
  if (!is_active()) return;
  if (sending() != Sending::kFlows) {
    keep_unsent(take_pending_send(), Result(0));
  } else {
    send_pending(*group_->shared_);
  }
}

void TcpConnection::keep_unsent(std::span<const std::byte> bytes, Result sent) {
  if (bytes.empty()) return;
  if (sent.ok()) {
    if (sent.count() > 0) note_sent(sent.count());
    output().copy(bytes.subspan(sent.count()));
  } else if (sent.would_block() || sent.interrupted() ||
             starves(platform::Operation::kSend, sent.error())) {
    output().copy(bytes);
  } else {
    output_failed(sent.error());
  }
}

void TcpConnection::flush() {
  for (unsigned sends = 0; has_output() && sending() == Sending::kFlows; ++sends) {
    if (sends == kSendsPerTurn) {
      continue_once({.writable = true});
      return enter(Sending::kYields);
    }
    const std::uint64_t before = output_->size();
    const Result sent = output_->send_some(socket_.get());
    if (sent.interrupted()) continue;
    if (sent.would_block()) {
      enter(Sending::kBlocked);
    } else if (!sent.ok()) {
      if (!starves(platform::Operation::kSend, sent.error())) output_failed(sent.error());
      return;
    } else {
      note_sent(sent.count());
      // A level is reported again; an edge needs the refusal.
      if (!edge_triggered() && before != sent.count()) enter(Sending::kBlocked);
    }
  }
}

// The peer takes nothing any more; what it sent before is still to be read.
void TcpConnection::output_failed(std::error_code error) {
  extras().output_error = error;
  enter(Sending::kBroken);
  start_disconnecting();
  mark(kOwesWriteComplete, false);
  static_cast<void>(take_pending_send());
  if (output_ != nullptr) output_->clear();
  // Nobody would ever resume: what the pause waits for doesn't come any more.
  mark(kPausedByUser, false);
  mark(kPausedByOutput, false);
  mark(kReadToEnd);
  deliver_again_next_turn();
}

void TcpConnection::report_water() {
  const ConnectionOptions& options = group_->options_;
  // Files don't fill our memory.
  const std::uint64_t size =
      pending_send_size() + (output_ == nullptr ? 0 : output_->size_in_memory());
  if (!above_high_water_ && size > options.high_water) {
    above_high_water_ = true;
    if (options.pause_reading_when_full) set_paused(kPausedByOutput, true);
    if (handlers().on_high_water) run_handler([&] { handlers().on_high_water(self_); });
  } else if (above_high_water_ && size <= options.low_water) {
    above_high_water_ = false;
    if (options.pause_reading_when_full) set_paused(kPausedByOutput, false);
    if (handlers().on_low_water) run_handler([&] { handlers().on_low_water(self_); });
  }
  if (ended() || unsent() > 0 || !is(kOwesWriteComplete)) return;
  mark(kOwesWriteComplete, false);
  if (handlers().on_write_complete) run_handler([&] { handlers().on_write_complete(self_); });
}

}  // namespace pollard
