#include "pollard/net/connection_group.h"

#include <algorithm>
#include <string>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/log.h"
#include "pollard/net/tcp_connection.h"
#include "pollard/platform/socket.h"

namespace pollard {
namespace {

bool choose_edge(const EventLoop& loop, TriggerChoice choice) {
  const bool possible = loop.poller_capabilities().edge_triggered;
  if (choice == TriggerChoice::kEdge && !possible) {
    throw std::system_error(std::make_error_code(std::errc::operation_not_supported),
                            "edge-triggered connections with " + std::string(loop.poller_name()) +
                                " (TriggerChoice::kBest takes levels there)");
  }
  return possible && choice != TriggerChoice::kLevel;
}

}  // namespace

std::shared_ptr<const ConnectionHandlers> share_handlers(ConnectionHandlers handlers) {
  if (!handlers.on_message) handlers.on_message = [](const auto&, Buffer& input) { input.clear(); };
  return std::make_shared<const ConnectionHandlers>(std::move(handlers));
}

ConnectionGroup::ConnectionGroup(EventLoop& loop,
                                 std::shared_ptr<const ConnectionHandlers> handlers,
                                 const ConnectionOptions& options)
    : loop_(&loop),
      hand_(&loop.hand_),
      handle_(loop.handle()),
      handlers_(std::move(handlers)),
      options_(options),
      edge_(choose_edge(loop, options.trigger)),
      has_time_limits_(options.time_limits.any()) {
  POLLARD_ASSERT(handlers_->on_message, "share_handlers() sees to it that messages are heard");
  options_.low_water = std::min(options_.low_water, options_.high_water);
}

void ConnectionGroup::set_on_closed(Task on_closed) {
  on_closed_ = on_closed ? std::make_shared<const Task>(std::move(on_closed)) : nullptr;
}

std::error_code ConnectionGroup::open(platform::Descriptor&& socket, Address&& peer) {
  auto connection = std::make_shared<TcpConnection>(TcpConnection::Key{}, shared_from_this(),
                                                    std::move(socket), std::move(peer));
  const std::error_code failed = connection->establish(connection);
  if (failed) {
    counts_.failed.add();
    if (log_enabled(LogLevel::kWarning)) {
      log(LogLevel::kWarning, "the connection with " + connection->peer_address().to_string() +
                                  " can't be watched: " + failed.message());
    }
  }
  return failed;
}

TcpConnectionPtr ConnectionGroup::any() const {
  return open_.empty() ? nullptr : open_.front()->shared_from_this();
}

std::size_t ConnectionGroup::buffer_memory() const {
  std::size_t bytes = 0;
  for (const TcpConnection* connection : open_) bytes += connection->buffer_memory();
  return bytes;
}

void ConnectionGroup::insert(TcpConnection& connection) {
  connection.place_in_group_ = static_cast<std::uint32_t>(open_.size());
  open_.push_back(&connection);
  open_count_.store(open_.size(), std::memory_order_relaxed);
  counts_.opened.add();
}

void ConnectionGroup::remove(TcpConnection& connection, DisconnectReason::Kind why) {
  const std::uint32_t place = connection.place_in_group_;
  open_[place] = open_.back();
  open_[place]->place_in_group_ = place;
  open_.pop_back();
  open_count_.store(open_.size(), std::memory_order_relaxed);
  counts_.closed[static_cast<std::size_t>(why)].add();
}

void ConnectionGroup::closed() {
  if (const auto running = on_closed_) (*running)();
}

void ConnectionGroup::close_all(const DisconnectReason& reason) {
  const auto keep = shared_from_this();
  while (!open_.empty()) open_.back()->close(reason);
}

void ConnectionGroup::shutdown_all(Duration limit) {
  for (TcpConnection* connection : std::vector(open_)) connection->shutdown(limit);
}

void apply_socket_options(int fd, const Address& address, const ConnectionOptions& options) {
  const bool tcp = address.is_ipv4() || address.is_ipv6();
  if (tcp && options.no_delay) static_cast<void>(platform::set_no_delay(fd, true));
  if (tcp && options.keep_alive) static_cast<void>(platform::set_keep_alive(fd, true));
  if (options.send_buffer_bytes > 0) {
    static_cast<void>(platform::set_send_buffer(fd, options.send_buffer_bytes));
  }
  if (options.receive_buffer_bytes > 0) {
    static_cast<void>(platform::set_receive_buffer(fd, options.receive_buffer_bytes));
  }
}

}  // namespace pollard
