#include "pollard/net/tcp_client.h"

#include <new>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/net/connection_group.h"

namespace pollard {

std::string_view to_string(TcpClient::State state) {
  switch (state) {
    case TcpClient::State::kIdle: return "idle";
    case TcpClient::State::kConnecting: return "connecting";
    case TcpClient::State::kConnected: return "connected";
    case TcpClient::State::kDisconnecting: return "disconnecting";
  }
  return "unknown";
}

// Shared, so that it outlives the client in its own callbacks.
class TcpClient::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, const HostPort& server, ConnectionHandlers handlers,
       TcpClientOptions options)
      : loop_(loop),
        handle_(loop.handle()),
        options_(std::move(options)),
        handlers_(share_handlers(std::move(handlers))),
        group_(std::make_shared<ConnectionGroup>(loop, handlers_, options_.connection)),
        connector_(loop, server, connector_handlers(), options_.connector) {
    group_->set_on_closed([this] { on_closed(); });
  }

  // A connection may live on for a moment, when the loop ends before it hears of our end.
  ~Core() { group_->set_on_closed({}); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  std::error_code connect() {
    if (connector_.state() != Connector::State::kIdle) {
      return std::make_error_code(std::errc::connection_already_in_progress);
    }
    if (connection() != nullptr) return std::make_error_code(std::errc::already_connected);
    wanted_ = true;
    return connector_.start();
  }

  void disconnect() {
    wanted_ = false;
    connector_.cancel();
    if (const TcpConnectionPtr open = connection()) open->shutdown();
  }

  // The client is gone.
  void abandon() {
    const auto keep = shared_from_this();
    wanted_ = false;
    connector_.cancel();
    group_->close_all({});
    group_->set_on_closed({});
  }

  [[nodiscard]] State state() const {
    if (const TcpConnectionPtr open = connection()) {
      return open->connected() ? State::kConnected : State::kDisconnecting;
    }
    return connector_.state() == Connector::State::kIdle ? State::kIdle : State::kConnecting;
  }
  [[nodiscard]] TcpConnectionPtr connection() const { return group_->any(); }
  [[nodiscard]] const LoopHandle& handle() const { return handle_; }

 private:
  // Members of ours call these, and end with us; keep is for what the user does inside.
  ConnectorHandlers connector_handlers() {
    return {
        .on_connected =
            [this](platform::Descriptor socket, Address peer) {
              const auto keep = shared_from_this();
              on_connected(std::move(socket), std::move(peer));
            },
        .on_attempt_failed =
            [this](const FailedAttempt& failure) {
              const auto keep = shared_from_this();
              if (handlers_->on_attempt_failed) handlers_->on_attempt_failed(failure);
            },
        .on_give_up =
            [this](std::error_code error) {
              const auto keep = shared_from_this();
              wanted_ = false;
              if (handlers_->on_give_up) handlers_->on_give_up(error);
            },
        .on_socket =
            [this](int fd, const Address& peer) {
              apply_socket_options(fd, peer, options_.connection);
            },
    };
  }

  void on_connected(platform::Descriptor socket, Address peer) {
    connected_at_ = loop_.now();
    std::error_code failed;
    try {
      failed = group_->open(std::move(socket), std::move(peer));
    } catch (const std::bad_alloc&) {
      failed = std::make_error_code(std::errc::not_enough_memory);
    }
    if (failed) on_open_failed(failed);
  }

  // Connected, and the poller refused it: one more attempt that failed.
  void on_open_failed(std::error_code error) {
    FailedAttempt failure{.error = error};
    if (options_.reconnect) {
      failure.next_delay = connector_.next_delay();
      static_cast<void>(connector_.start(*failure.next_delay));
    }
    if (handlers_->on_attempt_failed) handlers_->on_attempt_failed(failure);
    // Unless that handler began anew, or ended it all.
    if (!wanted_ || connector_.state() != Connector::State::kIdle) return;
    wanted_ = false;
    if (handlers_->on_give_up) handlers_->on_give_up(error);
  }

  void on_closed() {
    const auto keep = shared_from_this();
    if (connector_.state() != Connector::State::kIdle) return;  // a handler has begun anew
    if (!wanted_ || !options_.reconnect) {
      wanted_ = false;
      return;
    }
    if (loop_.now() - connected_at_ >= options_.lasting) connector_.reset_backoff();
    static_cast<void>(connector_.start(connector_.next_delay()));
  }

  EventLoop& loop_;
  LoopHandle handle_;
  TcpClientOptions options_;
  std::shared_ptr<const ConnectionHandlers> handlers_;
  std::shared_ptr<ConnectionGroup> group_;
  Connector connector_;
  MonotonicTime connected_at_{};
  bool wanted_ = false;  // connect() was asked for, and nobody has thought better of it
};

TcpClient::TcpClient(EventLoop& loop, const HostPort& server, ConnectionHandlers handlers,
                     TcpClientOptions options)
    : core_(std::make_shared<Core>(loop, server, std::move(handlers), std::move(options))) {
  loop.assert_in_loop_thread();
}

TcpClient::~TcpClient() {
  const LoopHandle handle = core_->handle();
  if (handle.in_loop_thread()) {
    core_->abandon();
  } else {
    handle.post([core = std::move(core_)] { core->abandon(); });
  }
}

std::error_code TcpClient::connect() { return core_->connect(); }
void TcpClient::disconnect() { core_->disconnect(); }
TcpClient::State TcpClient::state() const { return core_->state(); }
TcpConnectionPtr TcpClient::connection() const { return core_->connection(); }

}  // namespace pollard
