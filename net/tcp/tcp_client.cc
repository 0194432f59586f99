#include "pollard/net/tcp/tcp_client.h"

#include <cstdint>
#include <exception>
#include <new>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/net/tcp/internal/connection_group.h"

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

// Shared, so that it outlives the client in its own callbacks: each entry from the loop keeps it.
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
  ~Core() {
    group_->set_on_closed({});
    group_->abandon();
  }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  std::error_code connect() {
    if (wish_ == Wish::kGone) return std::make_error_code(std::errc::operation_canceled);
    if (connector_.state() != Connector::State::kIdle) {
      return std::make_error_code(std::errc::connection_already_in_progress);
    }
    if (connection() != nullptr) return std::make_error_code(std::errc::already_connected);
    connector_.reset_backoff();
    const std::error_code refused = connector_.start();
    if (!refused) enter(Wish::kConnection);
    return refused;
  }

  void disconnect() {
    if (wish_ == Wish::kGone) return;
    enter(Wish::kNone);
    connector_.cancel();
    if (const TcpConnectionPtr open = connection()) open->shutdown();
  }

  // The client is gone.
  void abandon() {
    const auto keep = shared_from_this();
    enter(Wish::kGone);
    connector_.cancel();
    group_->close_all({});
    group_->set_on_closed({});
  }

  [[nodiscard]] State state() const {
    handle_.assert_in_loop_thread_or_gone();
    if (const TcpConnectionPtr open = connection()) {
      return open->connected() ? State::kConnected : State::kDisconnecting;
    }
    return connector_.state() == Connector::State::kIdle ? State::kIdle : State::kConnecting;
  }
  [[nodiscard]] TcpConnectionPtr connection() const {
    handle_.assert_in_loop_thread_or_gone();
    return group_->any();
  }
  [[nodiscard]] const LoopHandle& handle() const { return handle_; }

 private:
  // What the user wants:
  //
  //     kNone ──connect──▶ kConnection ──disconnect, give up, or an end──▶ kNone
  //     the destructor enters kGone from both
  enum class Wish : std::uint8_t { kNone, kConnection, kGone };

  void enter(Wish next) {
    POLLARD_ASSERT(wish_ != Wish::kGone, "a client that is gone wants nothing");
    wish_ = next;
  }

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
              give_up(error);
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
    if (options_.reconnect && is_worth_a_retry(error, platform::Operation::kWatch)) {
      const Duration delay = connector_.next_delay();
      if (!connector_.start(delay)) failure.next_delay = delay;
    }
    try {
      if (handlers_->on_attempt_failed) handlers_->on_attempt_failed(failure);
    } catch (...) {
      loop_.report_exception(std::current_exception());
    }
    // Unless that handler began anew, or ended it all.
    if (wish_ == Wish::kConnection && connector_.state() == Connector::State::kIdle) give_up(error);
  }

  void give_up(std::error_code error) {
    enter(Wish::kNone);
    if (handlers_->on_give_up) handlers_->on_give_up(error);
  }

  void on_closed() {
    const auto keep = shared_from_this();
    if (wish_ == Wish::kGone) return;
    if (connector_.state() != Connector::State::kIdle) return;  // a handler has begun anew
    if (wish_ == Wish::kNone) return;
    if (!options_.reconnect || !handle_.alive()) return enter(Wish::kNone);
    if (loop_.now() - connected_at_ >= options_.backoff_reset_after) connector_.reset_backoff();
    if (const std::error_code failed = connector_.start(connector_.next_delay())) give_up(failed);
  }

  EventLoop& loop_;
  LoopHandle handle_;
  TcpClientOptions options_;
  std::shared_ptr<const ConnectionHandlers> handlers_;
  std::shared_ptr<ConnectionGroup> group_;
  Connector connector_;
  MonotonicTime connected_at_{};
  Wish wish_ = Wish::kNone;
};

namespace {

EventLoop& assert_in_thread_of(EventLoop& loop) {
  loop.assert_in_loop_thread();
  return loop;
}

}  // namespace

TcpClient::TcpClient(EventLoop& loop, const HostPort& server, ConnectionHandlers handlers,
                     TcpClientOptions options)
    : core_(std::make_shared<Core>(assert_in_thread_of(loop), server, std::move(handlers),
                                   std::move(options))) {}

TcpClient::~TcpClient() {
  const LoopHandle handle = core_->handle();
  if (handle.in_loop_thread()) {
    core_->abandon();
  } else {
    handle.post([core = std::move(core_)] { core->abandon(); });
  }
}

std::error_code TcpClient::connect() { return core_->connect(); }

void TcpClient::disconnect() {
  const LoopHandle handle = core_->handle();
  if (handle.in_loop_thread()) return core_->disconnect();
  handle.post([weak = std::weak_ptr(core_)] {
    if (const auto core = weak.lock()) core->disconnect();
  });
}

TcpClient::State TcpClient::state() const { return core_->state(); }
TcpConnectionPtr TcpClient::connection() const { return core_->connection(); }

}  // namespace pollard
