#include "pollard/tests/chaos/end.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "pollard/tests/chaos/stream.h"

namespace pollard::chaos {

using namespace std::chrono_literals;

void End::on_connect(const TcpConnectionPtr& connection) {
  side_.on_connect(connection);
  began(connection);
  maybe_break(connection);
}

void End::on_message(const TcpConnectionPtr& connection, Buffer& input) {
  side_.on_message(input.view());
  if (!recognise(input.view())) return side_.left(input.size());
  Dice& dice = run_.dice;
  // What is left comes again on resuming; without a pause only with more input, of which there may
  // be none.
  const bool leaves = run_.plan.pauses > 0 && dice.one_in(4);
  const std::size_t count = leaves ? dice.up_to(input.size()) : input.size();
  side_.took(input.view().substr(0, count));
  const std::size_t rest = input.size() - count;
  use(connection, input, count);
  side_.left(rest);
  if (rest > 0) {
    resume_later();
  } else {
    maybe_pause(connection);
  }
  maybe_break(connection);
}

void End::maybe_pause(const TcpConnectionPtr&) {
  if (run_.plan.pauses > 0 && run_.dice.one_in(run_.plan.pauses)) resume_later();
}

void End::resume_later() {
  const TcpConnectionPtr connection = side_.connection();
  if (connection == nullptr || !connection->connected()) return;
  connection->pause_reading();
  side_.paused(true);
  const auto resume = [weak = weak_from_this()] {
    const auto self = weak.lock();
    const TcpConnectionPtr open = self == nullptr ? nullptr : self->side_.connection();
    if (open == nullptr) return;
    self->side_.paused(false);
    open->resume_reading();
  };
  if (run_.dice.one_in(4)) {
    run_.loop.post(resume);
  } else {
    resume_ = run_.loop.after(std::chrono::microseconds(run_.dice.up_to(3000)), resume);
  }
}

void End::on_peer_end(const TcpConnectionPtr& connection) {
  side_.on_peer_end();
  peer_ended(connection);
  maybe_break(connection);
}

void End::on_disconnect(const TcpConnectionPtr& connection, const DisconnectReason& reason) {
  side_.on_disconnect(reason);
  resume_.cancel();
  limit_.cancel();
  // Nothing comes of what is done with a connection that has ended.
  run_.ledger.require(static_cast<bool>(connection->send("late")),
                      side_.name() + ": a send after the end was accepted");
  connection->shutdown();
  connection->pause_reading();
  connection->force_close();
  ended();
}

void End::on_write_complete(const TcpConnectionPtr& connection) {
  side_.on_write_complete(*connection);
  say_more(connection);
  maybe_break(connection);
}

void End::on_high_water(const TcpConnectionPtr& connection) {
  side_.on_high_water(*connection, run_.plan.connection.high_water);
}

void End::on_low_water(const TcpConnectionPtr& connection) {
  side_.on_low_water(*connection, run_.plan.connection.low_water);
}

// Everything that a user may do to a connection, or to what it belongs to, inside a handler.
void End::maybe_break(const TcpConnectionPtr& connection) {
  Dice& dice = run_.dice;
  if (run_.plan.violence == 0 || !dice.one_in(run_.plan.violence)) return;
  const auto soon = std::chrono::microseconds(dice.up_to(5000));
  switch (dice.up_to(6)) {
    case 0: side_.forced("forces its close"); return connection->force_close();
    case 1: side_.limited(); return connection->force_close_after(soon);
    case 2:
      side_.limited();
      side_.shut();
      return connection->shutdown(soon);
    case 3:
      side_.forced("resets");
      static_cast<void>(connection->set_linger(0s));
      return connection->force_close();
    case 4: side_.threw(); throw Violence();
    case 5: side_.forced("loses its owner"); return destroy_owner();
    default: return shut_down(connection);
  }
}

void End::shut_down(const TcpConnectionPtr& connection) {
  if (side_.is_shut()) return;
  side_.shut();
  connection->shutdown();
}

// In one of the ways that there are.
void End::send_part(const TcpConnectionPtr& connection, std::uint64_t stream, std::size_t size) {
  std::string part = stream_part(stream, side_.sent_bytes(), size);
  std::error_code refused;
  switch (run_.dice.up_to(4)) {
    case 0: refused = connection->send(std::string_view(part)); break;
    case 1: refused = connection->send(std::move(part)); break;
    case 2: {
      const std::string_view all = part;
      refused = connection->send({all.substr(0, size / 3), all.substr(size / 3)});
      break;
    }
    case 3: {
      Buffer buffer(part);
      refused = connection->send(buffer);
      break;
    }
    default: refused = connection->send(std::as_bytes(std::span(part))); break;
  }
  side_.sent(size, refused);
  if (!run_.loop.in_loop_thread()) side_.sent_from_afar();
}

void End::act_from_afar(std::uint64_t action) {
  const TcpConnectionPtr connection = side_.connection();
  if (connection == nullptr || !connection->connected()) return;
  if (run_.plan.calm) return say_more(connection);
  switch (action % 4) {
    case 0: connection->pause_reading(); return connection->resume_reading();
    case 1: side_.forced("is closed from afar"); return connection->force_close();
    default: return say_more(connection);
  }
}

}  // namespace pollard::chaos
