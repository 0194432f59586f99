// What both ends of a connection do in a run: send parts of a stream, take their input in pieces,
// pause, and break things, each on a throw of the dice.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_connection.h"
#include "pollard/tests/chaos/ledger.h"
#include "pollard/tests/chaos/plan.h"

namespace pollard::chaos {

/// What all parts of a run share.
struct Run {
  EventLoop& loop;
  const Plan& plan;
  Dice& dice;
  Ledger& ledger;
};

/// Thrown by handlers that break things.
struct Violence : std::runtime_error {
  Violence() : std::runtime_error("a handler of the chaos run throws") {}
};

/// The actor behind one Side. Shared, for timers, tasks and other threads that come back to it.
class End : public std::enable_shared_from_this<End> {
 public:
  End(Run& run, std::string name) : run_(run), side_(run.ledger, std::move(name)) {}
  virtual ~End() = default;
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  [[nodiscard]] Side& side() { return side_; }

  void on_connect(const TcpConnectionPtr& connection);
  void on_message(const TcpConnectionPtr& connection, Buffer& input);
  void on_peer_end(const TcpConnectionPtr& connection);
  void on_disconnect(const TcpConnectionPtr& connection, const DisconnectReason& reason);
  void on_write_complete(const TcpConnectionPtr& connection);
  void on_high_water(const TcpConnectionPtr& connection);
  void on_low_water(const TcpConnectionPtr& connection);

  /// What another thread does with it while the loop sleeps.
  void act_from_afar(std::uint64_t action);

 protected:
  /// Input that begins at the stream's place `side().received_bytes()`, and has been taken.
  virtual void use(const TcpConnectionPtr& connection, Buffer& input, std::size_t count) = 0;
  virtual void began(const TcpConnectionPtr&) {}
  virtual void peer_ended(const TcpConnectionPtr&) {}
  virtual void ended() {}
  /// Sends that nobody waits for, as long as there is something to send.
  virtual void say_more(const TcpConnectionPtr&) {}
  /// Whether there is input that can be understood.
  virtual bool recognise(std::string_view) { return true; }
  /// Destroys what this end belongs to, where it can.
  virtual void destroy_owner() {}

  void send_part(const TcpConnectionPtr& connection, std::uint64_t stream, std::size_t size);
  void shut_down(const TcpConnectionPtr& connection);
  Run& run() { return run_; }

 private:
  void maybe_pause(const TcpConnectionPtr& connection);
  void maybe_break(const TcpConnectionPtr& connection);
  void resume_later();

  Run& run_;
  Side side_;
  Timer resume_;
  Timer limit_;
};

}  // namespace pollard::chaos
