// A connection of a server that stops gracefully, or that visits its connections.
#include "pollard/net/tcp/internal/tcp_connection_parts.h"

namespace pollard {

void TcpConnection::set_busy(bool busy) {
  // Behind the sends of other threads that are on their way.
  if (!may_send_here()) {
    group_->handle_.post([self = shared_from_this(), busy] { self->mark_busy(busy); });
    return;
  }
  mark_busy(busy);
}

void TcpConnection::mark_busy(bool busy) {
  if (ended()) return;
  busy_ = busy;
  if (draining_ && !busy_) shutdown();
}

// In the loop's thread, and not inside of a handler of this connection.
void TcpConnection::drain(Duration limit) {
  if (ended()) return;
  force_close_after(limit);
  if (draining_) return;
  draining_ = true;
  if (handlers().on_drain) run_handler([this] { handlers().on_drain(self_); });
  if (ended()) return;
  if (!busy_) shutdown();
  settle();
}

void TcpConnection::receive_visit(const MoveFunction<void(const TcpConnectionPtr&)>& visit) {
  if (ended()) return;
  run_handler([&] { visit(self_); });
  if (!ended()) settle();
}

}  // namespace pollard
