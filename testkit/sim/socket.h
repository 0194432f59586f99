// What TCP and Unix-domain sockets have in common: the calls that they answer, and the options that
// are only remembered.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "pollard/platform/endpoint.h"
#include "pollard/testkit/sim/file.h"

namespace pollard::sim {

struct SocketOptions {
  bool reuse_address = false;
  bool reuse_port = false;
  bool keep_alive = false;
  bool no_delay = false;
  bool ipv6_only = false;
  linger lingering{};
  std::size_t send_buffer = 0;
  std::size_t receive_buffer = 0;
};

/// SO_SNDLOWAT of the systems where it says from when on a socket is writable.
inline constexpr std::size_t kLowWaterMark = 2048;

/// What a file that isn't a socket answers with ENOTSOCK.
class Socket : public File {
 public:
  Socket(Machine& machine, int domain);

  virtual int bind(const platform::Endpoint& address) = 0;
  virtual int listen(int backlog) = 0;
  /// 0, or -EINPROGRESS, or another error.
  virtual int connect(const platform::Endpoint& address) = 0;
  /// Whether a connect is still at it.
  [[nodiscard]] virtual bool is_connecting() const { return false; }
  struct Accepted {
    int error = 0;
    std::shared_ptr<Socket> socket;
  };
  virtual Accepted accept() = 0;
  virtual int shutdown(int how) = 0;
  /// -ENOTCONN where there is none.
  virtual int peer_name(platform::Endpoint& address) const = 0;
  [[nodiscard]] virtual platform::Endpoint local_name() const = 0;
  virtual std::ptrdiff_t receive(std::span<std::byte> space, int flags) = 0;
  virtual std::ptrdiff_t send(std::span<const std::byte> bytes, int flags) = 0;
  [[nodiscard]] virtual bool is_listening() const = 0;

  std::ptrdiff_t read(std::span<std::byte> space) override { return receive(space, 0); }
  std::ptrdiff_t write(std::span<const std::byte> bytes) override { return send(bytes, 0); }

  /// 0 or the negated errno.
  int get_option(int level, int name, std::span<std::byte> value, std::size_t& size);
  int set_option(int level, int name, std::span<const std::byte> value);

  [[nodiscard]] int domain() const { return domain_; }
  [[nodiscard]] const SocketOptions& options() const { return options_; }

 protected:
  /// SO_ERROR: tells the error of the connection, and forgets it.
  int take_error() { return std::exchange(error_, 0); }
  virtual void buffers_changed() {}

  int error_ = 0;
  SocketOptions options_;

 private:
  [[nodiscard]] bool is_tcp() const { return domain_ != AF_UNIX; }
  bool* flag(int level, int name);
  int set_buffer(std::size_t& buffer, int bytes, std::size_t least);

  int domain_;
};

}  // namespace pollard::sim
