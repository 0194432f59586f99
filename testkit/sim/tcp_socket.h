// TCP as Linux's sockets show it: handshake and backlog, two directions with finite buffers at both
// ends, FIN behind the data, RST in front of it, urgent bytes. Packets are never lost and never
// overtake each other; each takes the latency. There is no TIME_WAIT: a port is free when both ends
// have ended.
//
// tcp_socket.cc has the calls of a socket's owner, tcp_packets.cc what passes between two sockets.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "pollard/testkit/sim/byte_queue.h"
#include "pollard/testkit/sim/clock.h"
#include "pollard/testkit/sim/socket.h"

namespace pollard::sim {

class TcpSocket final : public Socket {
 public:
  using Socket::Socket;
  ~TcpSocket() override;

  [[nodiscard]] std::string describe() const override;
  std::uint32_t poll() override;
  FilterState read_filter() override;
  FilterState write_filter() override;

  int bind(const platform::Endpoint& address) override;
  int listen(int backlog) override;
  int connect(const platform::Endpoint& address) override;
  [[nodiscard]] bool is_connecting() const override { return state_ == State::kConnecting; }
  Accepted accept() override;
  int shutdown(int how) override;
  int peer_name(platform::Endpoint& address) const override;
  [[nodiscard]] platform::Endpoint local_name() const override;
  std::ptrdiff_t receive(std::span<std::byte> space, int flags) override;
  std::ptrdiff_t send(std::span<const std::byte> bytes, int flags) override;
  [[nodiscard]] bool is_listening() const override { return state_ == State::kListening; }

  [[nodiscard]] bool is_connected() const { return state_ == State::kConnected; }

  /// The addresses as the network has them: IPv4 is IPv4, whatever the socket is.
  [[nodiscard]] const platform::Endpoint& local() const { return local_; }
  [[nodiscard]] const platform::Endpoint& peer_address() const { return peer_address_; }
  /// An IPv6 socket that hears IPv4 too.
  [[nodiscard]] bool takes_ipv4() const { return domain() == AF_INET6 && !options().ipv6_only; }

  /// What Kernel offers; false for a socket that isn't connected.
  bool cut();
  bool set_stalled(bool stalled);

 private:
  //  kFresh -> kListening
  //         -> kConnecting -> kConnected -> kOver
  //                        -> kOver (refused, timed out)
  // A socket that was accepted begins as kConnected.
  enum class State : std::uint8_t { kFresh, kListening, kConnecting, kConnected, kOver };

  struct Packet {
    std::vector<std::byte> bytes;
    std::optional<std::byte> urgent;
    bool end = false;              // FIN
    bool reset = false;            // RST
    std::size_t acknowledged = 0;  // bytes of the other direction; with KernelOptions::delayed_ack
  };

  std::shared_ptr<TcpSocket> self() {
    return std::static_pointer_cast<TcpSocket>(shared_from_this());
  }
  void closed() override;
  void buffers_changed() override { transmit(); }

  // tcp_socket.cc
  int may_connect();
  int find_target(const platform::Endpoint& address, platform::Endpoint& target) const;
  int choose_local(const platform::Endpoint& target);
  int finish_connect();
  std::ptrdiff_t receive_urgent(std::span<std::byte> space, int flags);
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] bool has_ample_room() const;
  [[nodiscard]] bool never_connected() const { return !was_connected_; }

  // tcp_packets.cc
  void send_syn();
  void syn_arrived();
  void make_connection(TcpSocket& listener);
  void connect_to_itself();
  void retry_syn();
  void established();
  void join(const std::weak_ptr<TcpSocket>& listener);
  void fail(int error);
  void cancel_retry();
  void transmit();
  bool transmit_one(const std::shared_ptr<TcpSocket>& peer);
  [[nodiscard]] bool holds_back(std::size_t bytes) const;
  void deliver(const std::shared_ptr<TcpSocket>& peer, Packet packet);
  void acknowledge_later(std::size_t bytes);
  void acknowledge();
  void arrive(const Packet& packet);
  void arrive_data(const Packet& packet);
  void arrive_reset();
  void made_room();
  void end_sending();
  void send_reset();
  void finish();
  void release_port();

  State state_ = State::kFresh;
  bool bound_ = false;
  bool was_connected_ = false;
  bool told_connected_ = false;  // connect() has answered 0 since
  bool orphan_ = false;          // its last descriptor is closed
  platform::Endpoint local_;
  platform::Endpoint peer_address_;

  // Listening
  std::size_t backlog_ = 0;
  std::size_t joining_ = 0;  // whose handshake is under way
  std::deque<std::shared_ptr<TcpSocket>> newcomers_;

  // Connecting
  std::optional<Clock::Ticket> retry_;
  MonotonicTime gives_up_{};
  Duration next_retry_{};

  // Connected
  std::weak_ptr<TcpSocket> peer_;
  ByteQueue outgoing_;
  ByteQueue incoming_;
  std::size_t in_flight_ = 0;       // bytes sent, and not arrived yet
  MonotonicTime last_arrival_{};    // of what was sent: packets don't overtake each other
  std::size_t unacknowledged_ = 0;  // bytes sent; with KernelOptions::delayed_ack
  std::size_t owed_ = 0;            // bytes received, and not acknowledged yet; likewise
  bool owed_due_ = false;           // an acknowledgement is scheduled
  bool sending_ended_ = false;      // by us, or by a reset
  bool receiving_ended_ = false;    // by the peer, by us, or by a reset
  bool end_queued_ = false;
  bool end_sent_ = false;
  bool end_received_ = false;
  bool reset_queued_ = false;
  bool stalled_ = false;
  bool wants_room_ = false;  // somebody found none (SOCK_NOSPACE)
  std::optional<std::byte> urgent_;
};

}  // namespace pollard::sim
