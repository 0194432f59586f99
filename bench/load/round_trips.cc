#include "load/round_trips.h"

#include "load/now.h"

namespace load {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} * 1024;

}  // namespace

RoundTrips::RoundTrips(const Options& options)
    : size_(options.size),
      payload_(options.verify),
      buffer_(kBufferBytes, '\0'),
      connections_(options.connections) {
  for (std::size_t number = 0; number < connections_.size(); ++number) {
    connections_[number].socket = connect_to(options.port, number);
    epoll_.add(connections_[number].socket, EPOLLIN | EPOLLOUT | EPOLLET, number);
  }
}

void RoundTrips::run(std::uint64_t messages) {
  for (std::size_t number = 0; number < connections_.size(); ++number) begin(number, messages);
  wait_for_all();
}

void RoundTrips::run_last() {
  begin(connections_.size() - 1, 1);
  wait_for_all();
}

void RoundTrips::measure_latency(std::uint64_t messages) {
  timed_ = true;
  latencies_.reserve(messages);
}

void RoundTrips::wait_for_all() {
  while (busy_ > 0) {
    for (const epoll_event& event : epoll_.wait()) {
      const std::size_t number = event.data.u64;
      if (connections_[number].sent < connections_[number].message_end) send_on(number);
      receive_on(number);
    }
  }
}

void RoundTrips::begin(std::size_t number, std::uint64_t messages) {
  if (messages == 0) return;
  ++busy_;
  connections_[number].messages_left = messages;
  begin_message(number);
}

void RoundTrips::begin_message(std::size_t number) {
  Connection& connection = connections_[number];
  connection.message_end += size_;
  if (timed_) connection.began = now();
  send_on(number);
}

void RoundTrips::send_on(std::size_t number) {
  Connection& connection = connections_[number];
  const std::size_t left = connection.message_end - connection.sent;
  connection.sent += send_some(connection.socket, payload_.bytes(number, connection.sent, left));
}

void RoundTrips::receive_on(std::size_t number) {
  Connection& connection = connections_[number];
  while (connection.messages_left > 0) {
    const std::string_view received = receive_some(connection.socket, buffer_);
    if (received.empty()) return;
    payload_.check(number, connection.received, received);
    connection.received += received.size();
    bytes_ += received.size();
    if (connection.received == connection.message_end) return message_done(number);
  }
}

void RoundTrips::message_done(std::size_t number) {
  Connection& connection = connections_[number];
  if (timed_) latencies_.push_back(static_cast<std::uint32_t>(now() - connection.began));
  if (--connection.messages_left == 0) {
    --busy_;
  } else {
    begin_message(number);
  }
}

}  // namespace load
