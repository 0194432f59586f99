// Unix-domain stream sockets as Linux has them (unix(7)): connected at once, written straight into
// the peer's queue, whose length the sender's buffer bounds. Names are paths and abstract names of
// the simulated kernel; a path is refused if the real file system has something there.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "pollard/testkit/sim/byte_queue.h"
#include "pollard/testkit/sim/socket.h"

namespace pollard::sim {

class UnixSocket final : public Socket {
 public:
  explicit UnixSocket(Machine& machine) : Socket(machine, AF_UNIX) {}

  /// Makes two fresh sockets each other's peers: socketpair(2).
  static void join(const std::shared_ptr<UnixSocket>& left,
                   const std::shared_ptr<UnixSocket>& right);

  [[nodiscard]] std::string describe() const override;
  std::uint32_t poll() override;
  FilterState read_filter() override;
  FilterState write_filter() override;

  int bind(const platform::Endpoint& address) override;
  int listen(int backlog) override;
  /// -EAGAIN while the backlog is full.
  int connect(const platform::Endpoint& address) override;
  Accepted accept() override;
  int shutdown(int how) override;
  int peer_name(platform::Endpoint& address) const override;
  [[nodiscard]] platform::Endpoint local_name() const override { return to_address(name_); }
  std::ptrdiff_t receive(std::span<std::byte> space, int flags) override;
  std::ptrdiff_t send(std::span<const std::byte> bytes, int flags) override;
  [[nodiscard]] bool is_listening() const override { return state_ == State::kListening; }

  /// Ends the peer's next read behind what was sent so far: a message that carried descriptors.
  void end_message();

 private:
  enum class State : std::uint8_t { kFresh, kListening, kConnected };

  static platform::Endpoint to_address(const std::string& name);
  std::shared_ptr<UnixSocket> self() {
    return std::static_pointer_cast<UnixSocket>(shared_from_this());
  }
  void closed() override;
  void peer_closed(bool with_unread);
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] bool has_ample_room() const;

  State state_ = State::kFresh;
  std::string name_;
  std::string peer_name_;
  std::weak_ptr<UnixSocket> peer_;
  ByteQueue incoming_;
  bool sending_ended_ = false;
  bool receiving_ended_ = false;
  std::size_t backlog_ = 0;
  std::deque<std::shared_ptr<UnixSocket>> newcomers_;
};

}  // namespace pollard::sim
