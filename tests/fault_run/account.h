// Watches the handlers of a scene's connections: each connection is announced once, ends once, and
// nothing comes before the one or after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/tcp_connection.h"

namespace pollard::fault_run {

/// The connections of one server or client. Any thread; outlives what calls its handlers.
class Account {
 public:
  using Problem = std::function<void(const std::string&)>;

  Account(std::string name, Problem problem)
      : name_(std::move(name)), problem_(std::move(problem)) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  /// Handlers that note and check, and then call `own`.
  [[nodiscard]] ConnectionHandlers handlers(ConnectionHandlers own = {});

  [[nodiscard]] std::size_t connects() const;
  [[nodiscard]] std::size_t disconnects() const;
  /// Connections that are open.
  [[nodiscard]] std::size_t open() const { return connects() - disconnects(); }
  /// How often connections ended like this.
  [[nodiscard]] std::size_t ended_with(DisconnectReason::Kind kind) const;
  /// The reasons in their order: "peer, error: Broken pipe".
  [[nodiscard]] std::string reasons() const;
  /// Failed attempts and the final one, of clients.
  [[nodiscard]] std::size_t failed_attempts() const;
  [[nodiscard]] bool gave_up() const;

  /// No handler may run from now on; every connection has ended.
  void close();

 private:
  void connected(const TcpConnection& connection);
  void called(const TcpConnection& connection, const char* handler);
  void disconnected(const TcpConnection& connection, const DisconnectReason& reason);
  void require(bool condition, const std::string& what);

  const std::string name_;
  const Problem problem_;
  mutable std::mutex mutex_;
  std::map<const TcpConnection*, bool> open_;
  std::vector<std::string> reasons_;
  std::vector<DisconnectReason::Kind> kinds_;
  std::size_t connects_ = 0;
  std::size_t failed_attempts_ = 0;
  bool gave_up_ = false;
  bool closed_ = false;
};

}  // namespace pollard::fault_run
