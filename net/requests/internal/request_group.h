// What the connections of one server with workers share: their handlers, options, workers and
// counts, and the list of those whose end has not been told.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/net/loop/worker_pool.h"
#include "pollard/net/requests/request_handlers.h"
#include "pollard/net/tcp/connection_handlers.h"

namespace pollard {

/// Lives for as long as one of its connections. Any thread, where nothing else is said.
class RequestGroup : public std::enable_shared_from_this<RequestGroup> {
 public:
  /// Workers come with start_workers(). `output_limit` is that of ConnectionOptions, in bytes.
  RequestGroup(RequestHandlers handlers, RequestServerOptions options, std::size_t output_limit);
  RequestGroup(const RequestGroup&) = delete;
  RequestGroup& operator=(const RequestGroup&) = delete;

  /// What the connections of the TcpServer are to call.
  [[nodiscard]] ConnectionHandlers connection_handlers();

  // The server's thread.

  /// Before the first connection is made.
  void start_workers();
  /// After the last has ended: returns when their last callbacks have run.
  void stop_workers();
  /// Fills in what the group and its workers count.
  void count_into(RequestServerStats& stats) const;

  /// Ends all connections when what they have received is handled, or after `limit`, and takes no
  /// new ones; calls `on_empty` when the last has gone, in whatever thread that is.
  void finish_all(Duration limit, Task on_empty);

  /// Connections whose last callback has not run.
  [[nodiscard]] std::size_t open_count() const;

 private:
  friend class RequestConnection;

  void adopt(const TcpConnectionPtr& tcp);
  [[nodiscard]] bool admit(RequestConnection& connection);
  [[nodiscard]] bool hand_to_workers(RequestConnection& connection);
  void insert(RequestConnection& connection);
  void remove(RequestConnection& connection);
  void report(RequestConnection& connection, const std::exception_ptr& exception) noexcept;

  const RequestHandlers handlers_;
  RequestServerOptions options_;
  const std::size_t output_limit_;    // of a connection, bytes
  std::unique_ptr<WorkerPool> pool_;  // while started
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> exceptions_{0};
  std::atomic<std::uint64_t> turned_away_{0};
  std::atomic<std::uint64_t> reading_stops_{0};

  mutable std::mutex mutex_;
  std::vector<RequestConnection*> open_;
  bool finishing_ = false;
  Task on_empty_;
};

}  // namespace pollard
