#include "pollard/net/connector.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/watcher.h"
#include "pollard/platform/socket.h"

namespace pollard {

using platform::Result;

bool is_worth_a_retry(std::error_code error) {
  if (error == Error::kSelfConnect) return true;
  constexpr std::array kPassing = {
      std::errc::connection_refused,
      std::errc::connection_reset,
      std::errc::connection_aborted,
      std::errc::timed_out,
      std::errc::host_unreachable,
      std::errc::network_unreachable,
      std::errc::network_down,
      std::errc::address_in_use,         // the local port; another one next time
      std::errc::address_not_available,  // no free local port, or the interface isn't up yet
      std::errc::resource_unavailable_try_again,  // a Unix-domain backlog is full
      std::errc::no_such_file_or_directory,       // a Unix-domain server that hasn't started
      std::errc::too_many_files_open,
      std::errc::too_many_files_open_in_system,
      std::errc::no_buffer_space,
      std::errc::not_enough_memory,
  };
  return std::ranges::any_of(kPassing, [&](std::errc passing) { return error == passing; });
}

namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

// RFC 9293 3.5 lets two simultaneous opens become one connection. A socket that connects to a port
// of its own machine on which nobody listens may be given that very port, and be both.
bool is_self_connected(int fd) {
  platform::Endpoint local;
  platform::Endpoint peer;
  return platform::local_endpoint(fd, local).ok() && platform::peer_endpoint(fd, peer).ok() &&
         local.family != platform::Family::kUnix && local == peer;
}

}  // namespace

// Shared, so that it outlives the connector in its own callbacks.
class Connector::Core final : private Watcher, public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, const Address& target, ConnectorHandlers handlers,
       const ConnectorOptions& options)
      : Watcher(loop),
        handle_(loop.handle()),
        target_(target),
        handlers_(std::move(handlers)),
        options_(options),
        backoff_(options.backoff, options.seed.has_value() ? *options.seed : random_seed()) {
    POLLARD_ASSERT(!target_.empty(), "a connector needs an address to connect to");
  }

  std::error_code start(Duration delay) {
    if (!handle_.alive()) return Error::kLoopGone;
    if (state_ != State::kIdle) {
      return std::make_error_code(std::errc::connection_already_in_progress);
    }
    ++run_;
    attempt_ = 0;
    started_ = loop_or_null()->now();
    wait(delay);
    return {};
  }

  void cancel() {
    ++run_;
    end_attempt();
    held_.reset();
    timer_.cancel();
    state_ = State::kIdle;
  }

  void reset_backoff() { backoff_.reset(); }
  Duration next_delay() { return backoff_.next(); }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const Address& target() const { return target_; }

 private:
  void wait(Duration delay) {
    state_ = State::kWaiting;
    timer_ = loop_or_null()->after(delay, [this] {
      const auto keep = shared_from_this();
      attempt();
    });
  }

  void attempt() {
    state_ = State::kConnecting;
    ++attempt_;
    const std::error_code failed = try_connect();
    held_.reset();
    if (failed) return attempt_failed(failed);
    timer_ = loop_or_null()->after(options_.attempt_timeout, [this] {
      const auto keep = shared_from_this();
      attempt_failed(std::make_error_code(std::errc::timed_out));
    });
  }

  // Watched even when it is connected at once, as Unix-domain sockets are: one way for all.
  std::error_code try_connect() {
    const Result made = platform::open_stream_socket(target_.endpoint().family);
    if (!made.ok()) return made.error();
    socket_.reset(made.descriptor());
    if (!options_.local.empty()) {
      static_cast<void>(platform::set_reuse_address(socket_.get(), true));
      const Result bound = platform::bind_socket(socket_.get(), options_.local.endpoint());
      if (!bound.ok()) return bound.error();
    }
    const Result connecting = platform::connect_socket(socket_.get(), target_.endpoint());
    // An interrupted connect goes on by itself (POSIX connect).
    const bool under_way = connecting.ok() || connecting.interrupted() ||
                           connecting.is(std::errc::operation_in_progress);
    if (!under_way) return connecting.error();
    return watch(socket_.get(), Interest::kWrite, Trigger::kLevel);
  }

  // The socket says how it went; hang-ups and errors among the events say nothing (a socket that
  // isn't connected yet is hung up on Linux).
  void on_ready(Readiness) override {
    const auto keep = shared_from_this();
    std::error_code failed = platform::take_socket_error(socket_.get());
    platform::Endpoint peer;
    if (!failed) {
      const Result named = platform::peer_endpoint(socket_.get(), peer);
      if (named.is(std::errc::not_connected)) return;  // not yet
      // Darwin says EINVAL when the peer has gone meanwhile: connected once, and its end is to be
      // read.
      if (!named.ok() && !named.is(std::errc::invalid_argument)) failed = named.error();
    }
    if (!failed && is_self_connected(socket_.get())) failed = Error::kSelfConnect;
    if (failed) return attempt_failed(failed);
    stop_watching();
    timer_.cancel();
    state_ = State::kIdle;
    handlers_.on_connected(std::move(socket_), target_);
  }

  void on_loop_gone() override {
    cancel();
    leave_loop();
  }

  void attempt_failed(std::error_code error) {
    // Holding the socket that met itself keeps its port taken: the next attempt gets another.
    const bool met_itself = error == Error::kSelfConnect && options_.local.empty();
    if (met_itself) held_ = std::move(socket_);
    end_attempt();
    timer_.cancel();
    FailedAttempt failure{.error = error, .attempt = attempt_};
    if (may_retry(error)) {
      const Duration delay = met_itself ? Duration::zero() : backoff_.next();
      if (loop_or_null()->now() - started_ <= options_.give_up_after - delay) {
        failure.next_delay = delay;
      }
    }
    if (failure.next_delay.has_value()) {
      wait(*failure.next_delay);
    } else {
      held_.reset();
      state_ = State::kIdle;
    }
    const std::uint64_t run = run_;
    if (handlers_.on_attempt_failed) handlers_.on_attempt_failed(failure);
    // Unless that handler began anew, or ended it all.
    const bool gave_up = !failure.next_delay.has_value() && run == run_;
    if (gave_up && handlers_.on_give_up) handlers_.on_give_up(error);
  }

  [[nodiscard]] bool may_retry(std::error_code error) const {
    return is_worth_a_retry(error) &&
           (options_.max_attempts == 0 || attempt_ < options_.max_attempts);
  }

  void end_attempt() {
    stop_watching();
    socket_.reset();
  }

  LoopHandle handle_;
  Address target_;
  ConnectorHandlers handlers_;
  ConnectorOptions options_;
  Backoff backoff_;
  State state_ = State::kIdle;
  unsigned attempt_ = 0;
  std::uint64_t run_ = 0;  // another one after each start and cancel
  MonotonicTime started_{};
  platform::Descriptor socket_;
  platform::Descriptor held_;  // a socket that met itself, until the next has its port
  Timer timer_;                // the end of the waiting, or of the attempt
};

Connector::Connector(EventLoop& loop, const Address& target, ConnectorHandlers handlers,
                     const ConnectorOptions& options)
    : core_(std::make_shared<Core>(loop, target, std::move(handlers), options)) {}

Connector::~Connector() { core_->cancel(); }

std::error_code Connector::start(Duration delay) { return core_->start(delay); }
void Connector::cancel() { core_->cancel(); }
void Connector::reset_backoff() { core_->reset_backoff(); }
Duration Connector::next_delay() { return core_->next_delay(); }
Connector::State Connector::state() const { return core_->state(); }
const Address& Connector::target() const { return core_->target(); }

}  // namespace pollard
