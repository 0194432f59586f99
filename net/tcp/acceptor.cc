#include "pollard/net/tcp/acceptor.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/io.h"
#include "pollard/platform/process.h"
#include "pollard/platform/socket.h"

namespace pollard {
namespace {

using platform::Result;

// The most connections of one turn. The batch doubles from turn to turn while the backlog fills it,
// and begins again at one: a connection that comes alone doesn't cost a second accept, which would
// only find that there are no others.
constexpr unsigned kLargestBatch = 64;

constexpr BackoffOptions kRest = {.initial = std::chrono::milliseconds(10),
                                  .maximum = std::chrono::seconds(1)};

void require(const Result& result, const std::string& call) {
  if (!result.ok()) throw std::system_error(result.error(), call);
}

// Whether connections to this Unix-domain address are refused.
bool refuses(const Address& address) {
  const Result probe = platform::open_stream_socket(platform::Family::kUnix);
  if (!probe.ok()) return false;
  const platform::Descriptor socket(probe.descriptor());
  return platform::connect_socket(socket.get(), address.endpoint())
      .is(std::errc::connection_refused);
}

// A socket whose connections are refused is a leftover. On Linux, connecting to a file is refused
// too; but a file is not ours to remove.
bool is_stale_path(const Address& address) {
  return platform::is_socket_path(address.path()) && refuses(address);
}

bool is_path(const Address& address) {
  return address.is_unix() && !address.path().starts_with('@');
}

std::shared_ptr<const AcceptHandlers> share(Acceptor::OnAccept on_accept) {
  return std::make_shared<const AcceptHandlers>(AcceptHandlers{.on_accept = std::move(on_accept)});
}

}  // namespace

std::string ListenFailure::to_string() const {
  std::string text = "listening on " + address.to_string() + " failed: " + error.message();
  if (!next_attempt.has_value()) return text;
  const auto delay = std::chrono::ceil<std::chrono::milliseconds>(*next_attempt);
  return text + "; next attempt in " + std::to_string(delay.count()) + " ms";
}

// While one runs. The acceptor may be destroyed by what it calls, which must outlive that.
class Acceptor::Running {
 public:
  explicit Running(Acceptor& acceptor) : acceptor_(&acceptor) { acceptor.running_ = this; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (acceptor_ != nullptr) acceptor_->running_ = nullptr;
  }

  void acceptor_destroyed(std::shared_ptr<const AcceptHandlers>&& handlers) {
    acceptor_ = nullptr;
    handlers_ = std::move(handlers);
  }
  [[nodiscard]] bool has_acceptor() const { return acceptor_ != nullptr; }

 private:
  Acceptor* acceptor_;
  std::shared_ptr<const AcceptHandlers> handlers_;
};

Acceptor::Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
                   OnAccept on_accept)
    : Acceptor(loop, address, options, share(std::move(on_accept))) {}

Acceptor::Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
                   std::shared_ptr<const AcceptHandlers> handlers)
    : Watcher(loop),
      options_(options),
      handlers_(std::move(handlers)),
      process_(platform::fork_generation()),
      rest_length_(kRest, 1) {
  bind(address);
}

void Acceptor::enter(State next) {
  const auto allowed = [&] {
    switch (next) {
      case State::kBound: return false;
      case State::kListening: return state_ != State::kListening && state_ != State::kGone;
      case State::kResting:
      case State::kDeaf: return state_ == State::kListening;
      case State::kGone: return true;
    }
    return false;
  };
  POLLARD_ASSERT(allowed(), "the states of an acceptor must follow their diagram");
  state_ = next;
}

platform::Descriptor Acceptor::open_socket(const Address& address) const {
  const std::string text = address.to_string();
  if (address.empty()) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument), "listen on " + text);
  }
  const Result made = platform::open_stream_socket(address.endpoint().family);
  require(made, "socket for " + text);
  platform::Descriptor socket(made.descriptor());
  if (!address.is_unix() && options_.reuse_address) {
    require(platform::set_reuse_address(socket.get(), true), "SO_REUSEADDR for " + text);
  }
  if (options_.reuse_port_balanced) {
    // Old kernels take the option for a Unix-domain socket, whose path then has one owner all the
    // same.
    const Result balanced = address.is_unix() ? Result::failure(std::errc::operation_not_supported)
                                              : platform::set_reuse_port_balanced(socket.get());
    require(balanced, "balanced SO_REUSEPORT for " + text);
  }
  if (address.is_ipv6()) {
    const Result set = platform::set_ipv6_only(socket.get(), options_.ipv6_only);
    // To take IPv4 as well is a wish: OpenBSD refuses it, and its sockets of IPv6 are always alone.
    if (options_.ipv6_only) require(set, "IPV6_V6ONLY for " + text);
  }
  return socket;
}

// Leaves the acceptor as it was, but for what it throws about.
void Acceptor::bind(const Address& address) {
  platform::Descriptor socket = open_socket(address);
  Result bound = platform::bind_socket(socket.get(), address.endpoint());
  if (is_path(address) && bound.is(std::errc::address_in_use) &&
      (owns_path() || (options_.replace_unix_path && is_stale_path(address)))) {
    static_cast<void>(platform::remove_path(address.path()));
    bound = platform::bind_socket(socket.get(), address.endpoint());
  }
  require(bound, "bind " + address.to_string());
  if (is_path(address)) {
    path_ = platform::identify_path(address.path());
    // From the first moment on: another process takes a path without a listener for a leftover.
    if (options_.replace_unix_path) {
      require(platform::listen_socket(socket.get(), options_.backlog),
              "listen " + address.to_string());
    }
  }
  platform::Endpoint actual;
  require(platform::local_endpoint(socket.get(), actual), "getsockname " + address.to_string());
  address_ = Address(std::move(actual));
  socket_ = std::move(socket);
  if (handlers_->on_bound) handlers_->on_bound(socket_.get(), address_);
}

Acceptor::~Acceptor() {
  stop_watching();
  if (running_ != nullptr) running_->acceptor_destroyed(std::move(handlers_));
  if (options_.replace_unix_path && owns_path()) {
    static_cast<void>(platform::remove_path(address_.path()));
  }
}

// Not in a forked child, where it is still the parent's, nor when another file lies there now.
bool Acceptor::owns_path() const {
  return path_ != platform::PathIdentity{} && process_ == platform::fork_generation() &&
         platform::identify_path(address_.path()) == path_;
}

void Acceptor::listen() {
  if (state_ != State::kBound) return;
  begin_listening();
}

void Acceptor::begin_listening() {
  require(platform::listen_socket(socket_.get(), options_.backlog),
          "listen " + address_.to_string());
  if (!reserve_) take_reserve();
  const Interest interest = paused_ ? Interest::kNone : Interest::kRead;
  if (const std::error_code refused = watch(socket_.get(), interest, Trigger::kLevel)) {
    throw std::system_error(refused, "watching " + address_.to_string());
  }
  enter(State::kListening);
}

void Acceptor::on_loop_gone() {
  const bool listened = state_ != State::kBound;
  enter(State::kGone);
  socket_.reset();
  leave_loop();
  if (!listened || !handlers_->on_failure) return;
  const Running running(*this);
  handlers_->on_failure({.address = address_, .error = Error::kLoopClosed});
}

void Acceptor::take_reserve() {
  const Result opened = platform::open_for_reading("/dev/null");
  if (opened.ok()) reserve_.reset(opened.descriptor());
}

void Acceptor::on_ready(Readiness) {
  if (!accepts()) return;  // since the event was collected
  if (std::exchange(last_turn_, turn()) + 1 < turn()) batch_ = 1;
  Running running(*this);
  for (unsigned count = 0; count < batch_; ++count) {
    const bool more = accept_one();
    if (!running.has_acceptor()) return;
    if (!more || !accepts()) {
      batch_ = 1;
      return;
    }
  }
  batch_ = std::min(batch_ * 2, kLargestBatch);
}

bool Acceptor::accept_one() {
  platform::Endpoint peer;
  const Result accepted = platform::accept_socket(socket_.get(), peer);
  if (accepted.would_block()) {
    found_nothing();
    return false;
  }
  if (!accepted.ok()) return accept_failed(accepted.error());
  platform::Descriptor socket(accepted.descriptor());
  counts_.accepted.add();
  rest_length_.reset();
  aborted_in_a_row_ = 0;
  in_vain_ = 0;
  handlers_->on_accept(std::move(socket), Address(std::move(peer)));
  return true;
}

// Another process may have taken the connection. Only a Unix-domain socket that has ended says for
// ever that there is one. May destroy the acceptor.
void Acceptor::found_nothing() {
  if (!address_.is_unix() || ++in_vain_ < kLargestBatch) return;
  in_vain_ = 0;
  if (refuses(address_)) go_deaf(std::make_error_code(std::errc::invalid_argument));
}

// True when it is worth trying the next at once. May destroy the acceptor.
bool Acceptor::accept_failed(std::error_code error) {
  switch (platform::classify(platform::Operation::kAccept, error)) {
    case platform::FailureKind::kTransient: return true;
    case platform::FailureKind::kPermanent: go_deaf(error); return false;
    case platform::FailureKind::kPeer:
      counts_.aborted.add();
      if (++aborted_in_a_row_ < kLargestBatch) return true;
      break;
    case platform::FailureKind::kShortage:
    case platform::FailureKind::kUnavailable: break;
  }
  if (error == std::errc::too_many_files_open) {
    const Result rejected = turn_away();
    if (rejected.ok()) return true;
    // No connection waits: without a descriptor to give, accept doesn't look.
    if (rejected.would_block()) return false;
  }
  rest(error);
  return false;
}

// Gives the reserve up to accept one connection, and closes it.
Result Acceptor::turn_away() {
  if (!reserve_) take_reserve();
  if (!reserve_) return Result::failure(std::errc::too_many_files_open);
  reserve_.reset();
  platform::Endpoint peer;
  const Result accepted = platform::accept_socket(socket_.get(), peer);
  if (accepted.ok()) {
    platform::close_descriptor(accepted.descriptor());
    counts_.rejected_no_descriptors.add();
  }
  take_reserve();
  return accepted;
}

// The timer comes first: without memory for it nothing has happened, and the next event tries it
// again.
void Acceptor::rest(std::error_code error) {
  rest_end_ = loop_or_null()->after(rest_length_.next(), [this] {
    enter(State::kListening);
    update_interest();
  });
  enter(State::kResting);
  counts_.pauses.add();
  update_interest();
  if (log_enabled(LogLevel::kWarning)) {
    log(LogLevel::kWarning, "accepting on " + address_.to_string() + " pauses: " + error.message());
  }
}

// ---- A socket that has ended ----

void Acceptor::go_deaf(std::error_code error) {
  schedule_next_attempt();
  enter(State::kDeaf);
  stop_watching();
  // Another file may have this number by now.
  const bool ours = error != std::errc::bad_file_descriptor && error != std::errc::not_a_socket;
  if (!ours) static_cast<void>(socket_.release());
  report({.address = address_, .error = error, .next_attempt = next_attempt_});
}

void Acceptor::schedule_next_attempt() {
  next_attempt_ = rest_length_.next();
  rest_end_ = loop_or_null()->after(next_attempt_, [this] { listen_anew(); });
}

// The old socket ends only now: until then the address was not free for others.
void Acceptor::listen_anew() {
  schedule_next_attempt();
  try {
    socket_.reset();
    bind(address_);
    begin_listening();
    rest_end_.cancel();
  } catch (const std::system_error& failed) {
    report({.address = address_, .error = failed.code(), .next_attempt = next_attempt_});
  }
}

// May destroy the acceptor.
void Acceptor::report(const ListenFailure& failure) {
  counts_.listen_failures.add();
  if (!handlers_->on_failure) return log(LogLevel::kError, failure.to_string());
  if (running_ != nullptr) return handlers_->on_failure(failure);
  const Running running(*this);
  handlers_->on_failure(failure);
}

// ----

void Acceptor::pause() {
  paused_ = true;
  update_interest();
}

void Acceptor::resume() {
  paused_ = false;
  update_interest();
}

void Acceptor::update_interest() {
  const std::error_code refused = set_interest(accepts() ? Interest::kRead : Interest::kNone);
  POLLARD_ASSERT(!refused || refused == Error::kForked,
                 "a listener that was watched can be watched again");
}

}  // namespace pollard
