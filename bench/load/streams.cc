#include "load/streams.h"

#include <algorithm>

namespace load {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} * 1024;

}  // namespace

Streams::Streams(const Options& options)
    : size_(options.size),
      window_(options.window),
      payload_(options.verify),
      buffer_(kBufferBytes, '\0'),
      connections_(options.connections) {
  for (std::size_t number = 0; number < connections_.size(); ++number) {
    connections_[number].socket = connect_to(options.port, number);
    epoll_.add(connections_[number].socket, EPOLLIN | EPOLLOUT | EPOLLET, number);
  }
}

void Streams::run(std::uint64_t bytes_of_each) {
  if (bytes_of_each == 0) return;
  for (std::size_t number = 0; number < connections_.size(); ++number) {
    connections_[number].end += bytes_of_each;
    ++busy_;
    send_on(number);
  }
  while (busy_ > 0) {
    for (const epoll_event& event : epoll_.wait()) {
      const std::size_t number = event.data.u64;
      while (receive_on(number)) {
      }
      send_on(number);
    }
  }
}

void Streams::send_on(std::size_t number) {
  Connection& connection = connections_[number];
  for (;;) {
    const std::uint64_t allowed = std::min(connection.end, connection.received + window_);
    if (connection.sent >= allowed) return;
    const std::size_t piece = std::min<std::uint64_t>(size_, allowed - connection.sent);
    const std::size_t sent =
        send_some(connection.socket, payload_.bytes(number, connection.sent, piece));
    connection.sent += sent;
    if (sent < piece) return;
  }
}

// Whether more may have come.
bool Streams::receive_on(std::size_t number) {
  Connection& connection = connections_[number];
  if (connection.received == connection.end) return false;
  const std::string_view received = receive_some(connection.socket, buffer_);
  payload_.check(number, connection.received, received);
  connection.received += received.size();
  bytes_ += received.size();
  if (connection.received == connection.end) --busy_;
  return !received.empty();
}

}  // namespace load
