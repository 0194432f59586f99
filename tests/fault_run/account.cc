#include "pollard/tests/fault_run/account.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "pollard/tests/fault_run/strike.h"

namespace pollard::fault_run {

ConnectionHandlers Account::handlers(ConnectionHandlers own) {
  const Truce truce;
  const auto theirs = std::make_shared<ConnectionHandlers>(std::move(own));
  ConnectionHandlers ours;
  ours.on_connect = [this, theirs](const TcpConnectionPtr& connection) {
    connected(*connection);
    if (theirs->on_connect) theirs->on_connect(connection);
  };
  ours.on_message = [this, theirs](const TcpConnectionPtr& connection, Buffer& input) {
    called(*connection, "on_message");
    if (!theirs->on_message) return input.consume(input.size());
    theirs->on_message(connection, input);
  };
  ours.on_disconnect = [this, theirs](const TcpConnectionPtr& connection,
                                      const DisconnectReason& reason) {
    disconnected(*connection, reason);
    if (theirs->on_disconnect) theirs->on_disconnect(connection, reason);
  };
  const auto checked = [this, theirs](auto ConnectionHandlers::*handler, const char* name) {
    return [this, theirs, handler, name](const TcpConnectionPtr& connection) {
      called(*connection, name);
      ((*theirs).*handler)(connection);
    };
  };
  // The presence of some changes what the library does.
  if (theirs->on_peer_end) {
    ours.on_peer_end = checked(&ConnectionHandlers::on_peer_end, "on_peer_end");
  }
  if (theirs->on_write_complete) {
    ours.on_write_complete = checked(&ConnectionHandlers::on_write_complete, "on_write_complete");
  }
  if (theirs->on_high_water) {
    ours.on_high_water = checked(&ConnectionHandlers::on_high_water, "on_high_water");
  }
  if (theirs->on_low_water) {
    ours.on_low_water = checked(&ConnectionHandlers::on_low_water, "on_low_water");
  }
  ours.on_attempt_failed = [this, theirs](const FailedAttempt& attempt) {
    {
      const std::lock_guard lock(mutex_);
      ++failed_attempts_;
    }
    if (theirs->on_attempt_failed) theirs->on_attempt_failed(attempt);
  };
  ours.on_give_up = [this, theirs](std::error_code error) {
    {
      const std::lock_guard lock(mutex_);
      gave_up_ = true;
    }
    if (theirs->on_give_up) theirs->on_give_up(error);
  };
  return ours;
}

void Account::require(bool condition, const std::string& what) {
  if (!condition) problem_(name_ + ": " + what);
}

void Account::connected(const TcpConnection& connection) {
  const Truce truce;
  const std::lock_guard lock(mutex_);
  ++connects_;
  require(!closed_, "on_connect runs after the end");
  require(open_.emplace(&connection, true).second, "on_connect runs twice");
}

void Account::called(const TcpConnection& connection, const char* handler) {
  const Truce truce;
  const std::lock_guard lock(mutex_);
  require(open_.contains(&connection),
          std::string(handler) + " runs before on_connect or after on_disconnect");
}

void Account::disconnected(const TcpConnection& connection, const DisconnectReason& reason) {
  const Truce truce;
  const std::lock_guard lock(mutex_);
  require(open_.erase(&connection) == 1, "on_disconnect runs twice, or before on_connect");
  kinds_.push_back(reason.kind);
  reasons_.push_back(reason.to_string());
}

std::size_t Account::connects() const {
  const std::lock_guard lock(mutex_);
  return connects_;
}

std::size_t Account::disconnects() const {
  const std::lock_guard lock(mutex_);
  return kinds_.size();
}

std::size_t Account::ended_with(DisconnectReason::Kind kind) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count(kinds_, kind));
}

std::string Account::reasons() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const std::string& reason : reasons_) text += (text.empty() ? "" : ", ") + reason;
  return text;
}

std::size_t Account::failed_attempts() const {
  const std::lock_guard lock(mutex_);
  return failed_attempts_;
}

bool Account::gave_up() const {
  const std::lock_guard lock(mutex_);
  return gave_up_;
}

void Account::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  require(open_.empty(), std::to_string(open_.size()) + " connections have no on_disconnect");
}

}  // namespace pollard::fault_run
