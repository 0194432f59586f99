// Connections that send without waiting, and receive what comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "load/options.h"
#include "load/payload.h"
#include "load/sockets.h"

namespace load {

class Streams {
 public:
  /// Connects.
  explicit Streams(const Options& options);

  /// Each connection sends so many bytes more; returns when all have come back.
  void run(std::uint64_t bytes_of_each);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Connection {
    int socket = -1;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t end = 0;
  };

  void send_on(std::size_t number);
  bool receive_on(std::size_t number);

  std::size_t size_;
  std::size_t window_;
  Payload payload_;
  Epoll epoll_;
  std::string buffer_;
  std::vector<Connection> connections_;
  std::size_t busy_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace load
