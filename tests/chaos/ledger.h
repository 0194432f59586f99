// The model that a run is held against: what each end of each connection was told, sent and
// received, and what it may be told next.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/net/tcp/tcp_connection.h"

namespace pollard::chaos {

/// Where all problems of a run gather. The first ones count: what follows is mostly their effect.
class Ledger {
 public:
  using Listener = std::function<void(std::string_view)>;

  /// `calm`: nobody breaks a connection in this run and nothing runs short, so that every byte has
  /// to arrive. `listener` hears of everything that is noted.
  Ledger(bool calm, Listener listener) : calm_(calm), listener_(std::move(listener)) {}

  [[nodiscard]] bool calm() const { return calm_; }
  void note(const std::string& line) { listener_(line); }
  void problem(const std::string& what);
  void require(bool condition, const std::string& what) {
    if (!condition) problem(what);
  }
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  bool calm_;
  Listener listener_;
  std::vector<std::string> problems_;
};

/// One end of a connection, as its handlers see it. The methods named after handlers are called by
/// them; the others note what the end has done itself.
class Side {
 public:
  Side(Ledger& ledger, std::string name) : ledger_(ledger), name_(std::move(name)) {}
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  void on_connect(const TcpConnectionPtr& connection);
  /// What lies in the buffer when the handler is called.
  void on_message(std::string_view input);
  void on_peer_end();
  void on_disconnect(const DisconnectReason& reason);
  void on_write_complete(const TcpConnection& connection);
  void on_high_water(const TcpConnection& connection, std::size_t high_water);
  void on_low_water(const TcpConnection& connection, std::size_t low_water);

  /// Took `count` bytes of its input, the next of the stream.
  void took(std::string_view bytes);
  /// Left so many, which come again.
  void left(std::size_t count) { left_ = count; }
  /// A send was accepted, or not; by another thread, it is under way behind what completes
  /// meanwhile.
  void sent(std::size_t count, std::error_code refused);
  void sent_from_afar() { ++under_way_; }
  void shut();                        ///< called shutdown
  void forced(std::string_view how);  ///< did what may lose bytes and surprise the peer
  void limited() { limited_ = true; }
  void threw() { threw_ = true; }
  void paused(bool on) { paused_ = on; }
  /// No handler may run any more: its client or server is gone.
  void gone() { gone_ = true; }

  /// Both ends of one connection know each other from now on; `stream` is what this one receives.
  void meet(Side& peer) { peer_ = &peer; }
  void receive_stream(std::uint64_t stream) { stream_ = stream; }

  /// At the end of the run.
  void check_ended();
  /// Between two turns of the loop.
  void check_memory();

  [[nodiscard]] bool connected() const { return phase_ != Phase::kNew; }
  [[nodiscard]] bool ended() const { return phase_ >= Phase::kDisconnected; }
  [[nodiscard]] bool is_shut() const { return shut_; }
  [[nodiscard]] std::uint64_t sent_bytes() const { return sent_; }
  [[nodiscard]] std::uint64_t received_bytes() const { return received_; }
  [[nodiscard]] TcpConnectionPtr connection() const { return connection_.lock(); }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  enum class Phase : std::uint8_t { kNew, kConnected, kPeerEnded, kDisconnected, kClosed };

  void called(std::string_view handler);
  void check_reason(const DisconnectReason& reason);
  void check_peer_ended(std::string_view how);
  void add_close_callbacks(TcpConnection& connection);

  Ledger& ledger_;
  std::string name_;
  Phase phase_ = Phase::kNew;
  std::weak_ptr<TcpConnection> connection_;
  Side* peer_ = nullptr;
  std::uint64_t stream_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::size_t left_ = 0;
  int close_callbacks_left_ = 0;
  bool shut_ = false;
  bool forced_ = false;
  bool limited_ = false;
  bool threw_ = false;
  bool paused_ = false;
  bool gone_ = false;
  bool owes_write_complete_ = false;
  unsigned under_way_ = 0;
  bool above_high_water_ = false;
};

}  // namespace pollard::chaos
