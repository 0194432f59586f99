// Connections that live for one round trip: connect, send, receive, end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "load/options.h"
#include "load/payload.h"
#include "load/sockets.h"

namespace load {

class ShortConnections {
 public:
  explicit ShortConnections(const Options& options);

  /// So many of them, Options::connections at a time. The generator ends its side first; each is
  /// over when the server has ended the other.
  void run(std::uint64_t count);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Connection {
    int socket = -1;
    std::size_t received = 0;
  };

  void open(std::size_t place);
  void on_ready(std::size_t place);
  void close(std::size_t place);

  std::uint16_t port_;
  std::size_t size_;
  Payload payload_;
  Epoll epoll_;
  std::string buffer_;
  std::vector<Connection> connections_;
  std::uint64_t opened_ = 0;
  std::uint64_t left_ = 0;  // to be opened
  std::size_t busy_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace load
