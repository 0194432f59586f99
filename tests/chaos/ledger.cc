#include "pollard/tests/chaos/ledger.h"

#include "pollard/tests/chaos/stream.h"

namespace pollard::chaos {

void Ledger::problem(const std::string& what) {
  constexpr std::size_t kKept = 20;
  note("PROBLEM: " + what);
  if (problems_.size() < kKept) problems_.push_back(what);
}

// What every handler's call has to keep to.
void Side::called(std::string_view handler) {
  ledger_.note(name_ + ' ' + std::string(handler));
  ledger_.require(!gone_, name_ + ": " + std::string(handler) + " after its owner was gone");
}

void Side::on_connect(const TcpConnectionPtr& connection) {
  called("on_connect");
  ledger_.require(phase_ == Phase::kNew, name_ + ": on_connect twice");
  ledger_.require(connection->connected(), name_ + ": on_connect of what isn't connected");
  phase_ = Phase::kConnected;
  connection_ = connection;
  add_close_callbacks(*connection);
}

// Of which the last that was added has to run first, behind on_disconnect.
void Side::add_close_callbacks(TcpConnection& connection) {
  constexpr int kCallbacks = 2;
  close_callbacks_left_ = kCallbacks;
  for (int number = 1; number <= kCallbacks; ++number) {
    connection.add_close_callback([this, number] {
      ledger_.require(phase_ == Phase::kDisconnected,
                      name_ + ": a close callback that doesn't follow on_disconnect");
      ledger_.require(number == close_callbacks_left_,
                      name_ + ": close callbacks out of their reverse order");
      if (--close_callbacks_left_ == 0) phase_ = Phase::kClosed;
    });
  }
}

void Side::on_message(std::string_view input) {
  called("on_message " + std::to_string(input.size()));
  ledger_.require(phase_ == Phase::kConnected,
                  name_ + ": on_message before on_connect or behind the peer's end");
  ledger_.require(!input.empty(), name_ + ": on_message without input");
  ledger_.require(input.size() >= left_, name_ + ": input that was left has gone");
  ledger_.require(!paused_ || !ledger_.calm(), name_ + ": on_message while paused");
}

void Side::took(std::string_view bytes) {
  ledger_.require(is_stream_part(stream_, received_, bytes),
                  name_ + ": wrong bytes at " + std::to_string(received_));
  received_ += bytes.size();
  ledger_.require(peer_ == nullptr || received_ <= peer_->sent_,
                  name_ + ": received more than was sent");
}

void Side::sent(std::size_t count, std::error_code refused) {
  if (refused) {
    ledger_.require(ended() || shut_ || forced_ || phase_ == Phase::kPeerEnded || !ledger_.calm(),
                    name_ + ": an open connection refuses to send: " + refused.message());
    return;
  }
  sent_ += count;
  owes_write_complete_ = true;
}

void Side::shut() {
  ledger_.note(name_ + " shuts down");
  shut_ = true;
}

void Side::forced(std::string_view how) {
  ledger_.note(name_ + ' ' + std::string(how));
  forced_ = true;
}

void Side::on_peer_end() {
  called("on_peer_end");
  ledger_.require(phase_ == Phase::kConnected, name_ + ": the peer's end twice, or out of order");
  phase_ = Phase::kPeerEnded;
  check_peer_ended("on_peer_end");
}

// An end in good order has everything before it that the peer sent.
void Side::check_peer_ended(std::string_view how) {
  const std::string what = name_ + ": " + std::string(how);
  if (peer_ == nullptr) {
    ledger_.require(!ledger_.calm(), what + " of a peer that never spoke");
    return;
  }
  const bool broken = peer_->forced_ || peer_->limited_ || peer_->threw_;
  const bool in_order = (peer_->shut_ || peer_->ended()) && !broken;
  ledger_.require(in_order || broken || !ledger_.calm(), what + " of a peer that hasn't ended");
  if (!in_order || left_ > 0) return;
  ledger_.require(received_ == peer_->sent_ || !ledger_.calm(),
                  what + " behind " + std::to_string(received_) + " of " +
                      std::to_string(peer_->sent_) + " bytes");
}

void Side::on_disconnect(const DisconnectReason& reason) {
  called("on_disconnect " + reason.to_string());
  ledger_.require(phase_ == Phase::kConnected || phase_ == Phase::kPeerEnded,
                  name_ + ": on_disconnect twice, or without on_connect");
  check_reason(reason);
  phase_ = Phase::kDisconnected;
  if (ledger_.calm() && reason.kind == DisconnectReason::Kind::kLocal && peer_ != nullptr) {
    check_peer_ended("the end");
  }
  ledger_.require(!owes_write_complete_ || !ledger_.calm(),
                  name_ + ": ended without the on_write_complete of its last bytes");
}

void Side::check_reason(const DisconnectReason& reason) {
  using Kind = DisconnectReason::Kind;
  const std::string what = name_ + ": ended by " + reason.to_string();
  switch (reason.kind) {
    case Kind::kPeer:
      if (phase_ != Phase::kPeerEnded) check_peer_ended("kPeer");
      break;
    case Kind::kLocal: ledger_.require(shut_ || forced_, what + ", which it didn't ask for"); break;
    case Kind::kTimeout: ledger_.require(limited_, what + ", without a limit of time"); break;
    case Kind::kError:
      ledger_.require(static_cast<bool>(reason.error), what + ", which is none");
      ledger_.require(!ledger_.calm(), what + " in a calm run");
      break;
    case Kind::kException:
      ledger_.require(threw_ && reason.exception != nullptr,
                      what + ", but its handlers didn't throw");
      break;
  }
}

void Side::on_write_complete(const TcpConnection& connection) {
  called("on_write_complete");
  ledger_.require(connection.unsent() == 0, name_ + ": on_write_complete with unsent output");
  if (!owes_write_complete_ && under_way_ > 0) {
    --under_way_;
  } else {
    ledger_.require(owes_write_complete_, name_ + ": on_write_complete, and nothing was sent");
  }
  ledger_.require(!ended(), name_ + ": on_write_complete behind the end");
  owes_write_complete_ = false;
}

void Side::on_high_water(const TcpConnection& connection, std::size_t high_water) {
  called("on_high_water");
  ledger_.require(!above_high_water_, name_ + ": on_high_water twice in a row");
  ledger_.require(connection.unsent() > high_water, name_ + ": on_high_water below it");
  above_high_water_ = true;
}

void Side::on_low_water(const TcpConnection& connection, std::size_t low_water) {
  called("on_low_water");
  ledger_.require(above_high_water_, name_ + ": on_low_water without on_high_water");
  ledger_.require(connection.unsent() <= low_water, name_ + ": on_low_water above it");
  above_high_water_ = false;
}

void Side::check_ended() {
  if (phase_ == Phase::kNew) return;
  ledger_.require(phase_ == Phase::kClosed, name_ + ": never ended");
  ledger_.require(connection_.expired(), name_ + ": its connection is still in memory");
}

void Side::check_memory() {
  const TcpConnectionPtr open = connection_.lock();
  if (open == nullptr || !open->connected() || open->unsent() > 0 || left_ > 0) return;
  ledger_.require(open->buffer_memory() == 0, name_ + ": idle, and holds memory");
}

}  // namespace pollard::chaos
