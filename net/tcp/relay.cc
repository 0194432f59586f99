#include "pollard/net/tcp/relay.h"

#include <any>
#include <memory>
#include <system_error>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {
namespace {

// What stands in the context of a coupled connection.
struct Coupled {
  std::weak_ptr<TcpConnection> other;
  RelayOptions options;
};

const Coupled* coupled(const TcpConnectionPtr& connection) {
  return std::any_cast<Coupled>(&connection->context());
}

TcpConnectionPtr other_of(const TcpConnectionPtr& connection) {
  const Coupled* const state = coupled(connection);
  return state == nullptr ? nullptr : state->other.lock();
}

// The side that is left alone gets what is queued for it, and may end its stream, which nothing
// takes any more; reading it is how its end is heard.
void leave_alone(const TcpConnectionPtr& connection, const RelayOptions& options) {
  connection->shutdown(options.linger);
  connection->resume_reading();
}

// The stream that came from the other side is incomplete, which its receiver has to see.
void pass_reset_on(const TcpConnectionPtr& connection, const RelayOptions& options) {
  connection->reset_when_sent(std::make_error_code(std::errc::connection_reset), options.linger);
  connection->resume_reading();
}

// A side that is full already stops the other: when it has room, on_low_water lets that go on.
void begin(const TcpConnectionPtr& from, const TcpConnectionPtr& to, const RelayOptions& options) {
  if (to->state() == TcpConnection::State::kDisconnected) return leave_alone(from, options);
  to->above_high_water() ? from->pause_reading() : from->resume_reading();
}

void pass_on(const ConnectionHandlers& own, const TcpConnectionPtr& from, Buffer& input) {
  if (coupled(from) == nullptr) {
    if (own.on_message) own.on_message(from, input);
    return;  // what is left comes again when it is coupled
  }
  const TcpConnectionPtr to = other_of(from);
  if (to == nullptr || to->send(input)) input.clear();  // nobody takes it any more
}

// Behind what is queued. One that ends both ways by this closes itself.
void pass_end_on(const TcpConnectionPtr& from) {
  const TcpConnectionPtr to = other_of(from);
  if (to != nullptr) to->shutdown();
  if (to == nullptr || to->state() == TcpConnection::State::kDisconnected) from->shutdown();
}

void died(const TcpConnectionPtr& connection, DisconnectReason::Kind why) {
  const Coupled* const state = coupled(connection);
  if (state == nullptr) return;
  const TcpConnectionPtr to = state->other.lock();
  if (to == nullptr) return;
  const bool in_order =
      why == DisconnectReason::Kind::kPeer || why == DisconnectReason::Kind::kLocal;
  in_order ? leave_alone(to, state->options) : pass_reset_on(to, state->options);
}

}  // namespace

ConnectionHandlers relay_handlers(ConnectionHandlers own) {
  const auto users = std::make_shared<const ConnectionHandlers>(std::move(own));
  ConnectionHandlers handlers;
  handlers.on_connect = [users](const TcpConnectionPtr& connection) {
    connection->pause_reading();
    if (users->on_connect) users->on_connect(connection);
  };
  handlers.on_message = [users](const TcpConnectionPtr& connection, Buffer& input) {
    pass_on(*users, connection, input);
  };
  handlers.on_peer_end = pass_end_on;
  handlers.on_disconnect = [users](const TcpConnectionPtr& connection,
                                   const DisconnectReason& reason) {
    died(connection, reason.kind);
    if (users->on_disconnect) users->on_disconnect(connection, reason);
  };
  handlers.on_high_water = [](const TcpConnectionPtr& full) {
    if (const TcpConnectionPtr source = other_of(full)) source->pause_reading();
  };
  handlers.on_low_water = [](const TcpConnectionPtr& drained) {
    if (const TcpConnectionPtr source = other_of(drained)) source->resume_reading();
  };
  handlers.on_attempt_failed = [users](const FailedAttempt& failure) {
    if (users->on_attempt_failed) users->on_attempt_failed(failure);
  };
  handlers.on_give_up = [users](std::error_code error) {
    if (users->on_give_up) users->on_give_up(error);
  };
  return handlers;
}

void couple(const TcpConnectionPtr& first, const TcpConnectionPtr& second,
            const RelayOptions& options) {
  POLLARD_ASSERT(first != second, "a connection isn't relayed to itself");
  POLLARD_ASSERT(first->loop_handle().in_loop_thread() && second->loop_handle().in_loop_thread(),
                 "coupled connections share a loop");
  first->context() = Coupled{second, options};
  second->context() = Coupled{first, options};
  begin(first, second, options);
  begin(second, first, options);
}

}  // namespace pollard
