#include "pollard/net/tcp/internal/connection_group.h"

#include <algorithm>
#include <string>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/log.h"
#include "pollard/net/tcp/tcp_connection.h"
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
      shared_(&loop.part<LoopConnections>()),
      handle_(loop.handle()),
      handlers_(std::move(handlers)),
      options_(options),
      edge_(choose_edge(loop, options.trigger)),
      has_timeouts_(options.timeouts.any()) {
  POLLARD_ASSERT(handlers_->on_message, "share_handlers() sees to it that messages are heard");
  options_.low_water = std::min(options_.low_water, options_.high_water);
}

void ConnectionGroup::assert_in_loop_thread() const {
  POLLARD_ASSERT(handle_.in_loop_thread() || !handle_.alive(),
                 "a group of connections must be used in its loop's thread");
}

void ConnectionGroup::set_on_closed(Task on_closed) {
  assert_in_loop_thread();
  on_closed_ = on_closed ? std::make_shared<const Task>(std::move(on_closed)) : nullptr;
}

std::error_code ConnectionGroup::open(platform::Descriptor&& socket, Address&& peer) {
  assert_in_loop_thread();
  POLLARD_ASSERT(!abandoned_, "an abandoned group opens no connections");
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
  assert_in_loop_thread();
  return open_count() == 0 ? nullptr : members_.front()->shared_from_this();
}

std::size_t ConnectionGroup::buffer_memory() const {
  assert_in_loop_thread();
  std::size_t bytes = 0;
  for (const TcpConnection* connection : open_ones()) bytes += connection->buffer_memory();
  return bytes;
}

// So that insert() can't fail.
void ConnectionGroup::make_room() {
  constexpr std::size_t kFew = 16;
  if (members_.size() == members_.capacity()) members_.reserve(std::max(kFew, 2 * members_.size()));
}

void ConnectionGroup::insert(TcpConnection& connection) {
  const std::size_t count = open_count();
  connection.place_in_group_ = static_cast<std::uint32_t>(members_.size());
  members_.push_back(&connection);
  if (count != connection.place_in_group_) swap_places(count, connection.place_in_group_);
  open_count_.store(count + 1, std::memory_order_relaxed);
  counts_.opened.add();
}

// It stays a member until it is retired.
void ConnectionGroup::remove(TcpConnection& connection, DisconnectReason::Kind why) {
  const std::size_t last = open_count() - 1;
  swap_places(connection.place_in_group_, last);
  open_count_.store(last, std::memory_order_relaxed);
  counts_.closed[static_cast<std::size_t>(why)].add();
}

void ConnectionGroup::swap_places(std::size_t one, std::size_t other) {
  std::swap(members_[one], members_[other]);
  members_[one]->place_in_group_ = static_cast<std::uint32_t>(one);
  members_[other]->place_in_group_ = static_cast<std::uint32_t>(other);
}

// Outside of a turn at once, and alone: a handler of another that ends may be running. While one of
// its own is running, it stays.
void ConnectionGroup::retire(TcpConnection& ended) {
  if (shared_->in_iteration() || ended.in_handler_) {
    if (!std::exchange(retiring_, true)) next_retiring_ = shared_->retire(shared_from_this());
    return;
  }
  swap_places(ended.place_in_group_, members_.size() - 1);
  let_leave(ended);
}

// What a connection's context holds ends here, and may end other connections, this group's too.
void ConnectionGroup::finish_retired() {
  retiring_ = false;
  while (members_.size() > open_count()) let_leave(*members_.back());
}

// The last member.
void ConnectionGroup::let_leave(TcpConnection& ended) {
  POLLARD_ASSERT(members_.back() == &ended, "the connection that leaves must be the last member");
  members_.pop_back();
  ended.leave_group();
  if (abandoned_ && members_.empty()) handlers_.reset();
}

void ConnectionGroup::abandon() {
  assert_in_loop_thread();
  abandoned_ = true;
  if (members_.empty()) handlers_.reset();
}

void ConnectionGroup::closed() {
  if (const auto running = on_closed_) (*running)();
}

void ConnectionGroup::close_all(const DisconnectReason& reason) {
  assert_in_loop_thread();
  const auto keep = shared_from_this();
  while (open_count() > 0) open_ones().back()->close(reason);
}

// Held, because what is called for one may end others.
std::vector<TcpConnectionPtr> ConnectionGroup::all_open() const {
  assert_in_loop_thread();
  std::vector<TcpConnectionPtr> all;
  all.reserve(open_count());
  for (TcpConnection* connection : open_ones()) all.push_back(connection->shared_from_this());
  return all;
}

void ConnectionGroup::drain_all(Duration limit) {
  for (const TcpConnectionPtr& connection : all_open()) connection->drain(limit);
}

void ConnectionGroup::for_each(const MoveFunction<void(const TcpConnectionPtr&)>& visit) {
  for (const TcpConnectionPtr& connection : all_open()) connection->receive_visit(visit);
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
