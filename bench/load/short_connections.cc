#include "load/short_connections.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/sockets.h"

namespace load {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} * 1024;

}  // namespace

ShortConnections::ShortConnections(const Options& options)
    : port_(options.port),
      size_(options.size),
      payload_(options.verify),
      buffer_(kBufferBytes, '\0'),
      connections_(options.connections) {}

void ShortConnections::run(std::uint64_t count) {
  left_ = count;
  for (std::size_t place = 0; place < connections_.size() && left_ > 0; ++place) open(place);
  while (busy_ > 0) {
    for (const epoll_event& event : epoll_.wait()) on_ready(event.data.u64);
  }
}

void ShortConnections::open(std::size_t place) {
  --left_;
  ++busy_;
  Connection& connection = connections_[place];
  connection = {connect_to(port_, opened_++), 0};
  epoll_.add(connection.socket, EPOLLIN, place);
  if (send_some(connection.socket, payload_.bytes(place, 0, size_)) < size_) {
    std::fputs("a new connection takes no whole message; choose a smaller --size\n", stderr);
    std::exit(1);
  }
}

void ShortConnections::on_ready(std::size_t place) {
  Connection& connection = connections_[place];
  if (connection.received == size_) {
    if (at_end(connection.socket)) close(place);
    return;
  }
  const std::string_view received = receive_some(connection.socket, buffer_);
  payload_.check(place, connection.received, received);
  connection.received += received.size();
  bytes_ += received.size();
  if (connection.received < size_) return;
  if (shutdown(connection.socket, SHUT_WR) != 0) bench::die("shutdown");
}

void ShortConnections::close(std::size_t place) {
  ::close(connections_[place].socket);
  --busy_;
  if (left_ > 0) open(place);
}

}  // namespace load
