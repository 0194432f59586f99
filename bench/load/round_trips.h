// Messages that wait for their echo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "load/options.h"
#include "load/payload.h"
#include "load/sockets.h"

namespace load {

class RoundTrips {
 public:
  /// Connects.
  explicit RoundTrips(const Options& options);

  /// Each connection sends so many messages, each when the echo of the one before has come; returns
  /// when the last echo has.
  void run(std::uint64_t messages);

  /// The last connection alone has one round trip. Since a server accepts in order, it has then
  /// accepted all.
  void run_last();

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  /// From now on; room for so many.
  void measure_latency(std::uint64_t messages);
  [[nodiscard]] std::vector<std::uint32_t>& latencies() { return latencies_; }

 private:
  struct Connection {
    int socket = -1;
    std::uint64_t sent = 0;  // bytes of its stream, as are the next two
    std::uint64_t received = 0;
    std::uint64_t message_end = 0;
    std::uint64_t messages_left = 0;
    std::int64_t began = 0;
  };

  void begin(std::size_t number, std::uint64_t messages);
  void begin_message(std::size_t number);
  void send_on(std::size_t number);
  void receive_on(std::size_t number);
  void message_done(std::size_t number);
  void wait_for_all();

  std::size_t size_;
  Payload payload_;
  Epoll epoll_;
  std::string buffer_;
  std::vector<Connection> connections_;
  std::size_t busy_ = 0;  // connections with messages left
  std::uint64_t bytes_ = 0;
  bool timed_ = false;
  std::vector<std::uint32_t> latencies_;
};

}  // namespace load
