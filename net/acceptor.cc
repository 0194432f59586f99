#include "pollard/net/acceptor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/platform/io.h"
#include "pollard/platform/process.h"
#include "pollard/platform/socket.h"

namespace pollard {
namespace {

using platform::Result;

// The most connections of one turn. The batch doubles from turn to turn while the backlog fills it,
// and begins again at one: who comes alone doesn't cost a second accept, only to hear that there is
// nobody else.
constexpr unsigned kLargestBatch = 64;

constexpr BackoffOptions kRest = {.initial = std::chrono::milliseconds(10),
                                  .maximum = std::chrono::seconds(1)};

void require(const Result& result, const std::string& call) {
  if (!result.ok()) throw std::system_error(result.error(), call);
}

// A socket that nobody answers on is a leftover. Connecting to a file is refused too, on Linux; but
// that is somebody's file.
bool is_stale_path(const Address& address) {
  if (!platform::is_socket_path(address.path())) return false;
  const Result probe = platform::open_stream_socket(platform::Family::kUnix);
  if (!probe.ok()) return false;
  const platform::Descriptor socket(probe.descriptor());
  return platform::connect_socket(socket.get(), address.endpoint())
      .is(std::errc::connection_refused);
}

}  // namespace

// While one runs. The acceptor may be destroyed by what it calls, which must outlive that.
class Acceptor::Running {
 public:
  explicit Running(Acceptor& acceptor) : acceptor_(&acceptor) { acceptor.running_ = this; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (acceptor_ != nullptr) acceptor_->running_ = nullptr;
  }

  void acceptor_destroyed(std::shared_ptr<const OnAccept>&& on_accept) {
    acceptor_ = nullptr;
    on_accept_ = std::move(on_accept);
  }
  [[nodiscard]] bool has_acceptor() const { return acceptor_ != nullptr; }

 private:
  Acceptor* acceptor_;
  std::shared_ptr<const OnAccept> on_accept_;
};

Acceptor::Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
                   OnAccept on_accept)
    : Acceptor(loop, address, options, std::make_shared<const OnAccept>(std::move(on_accept))) {}

Acceptor::Acceptor(EventLoop& loop, const Address& address, const ListenOptions& options,
                   std::shared_ptr<const OnAccept> on_accept)
    : Watcher(loop),
      options_(options),
      on_accept_(std::move(on_accept)),
      process_(platform::fork_generation()),
      rest_length_(kRest, 1) {
  const std::string text = address.to_string();
  if (address.empty()) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument), "listen on " + text);
  }
  const Result made = platform::open_stream_socket(address.endpoint().family);
  require(made, "socket for " + text);
  socket_.reset(made.descriptor());
  if (!address.is_unix() && options_.reuse_address) {
    require(platform::set_reuse_address(socket_.get(), true), "SO_REUSEADDR for " + text);
  }
  if (options_.reuse_port_balanced) {
    // Old kernels take the option for a Unix-domain socket, whose path then has one owner all the
    // same.
    const Result balanced = address.is_unix() ? Result::failure(std::errc::operation_not_supported)
                                              : platform::set_reuse_port_balanced(socket_.get());
    require(balanced, "balanced SO_REUSEPORT for " + text);
  }
  if (address.is_ipv6()) {
    require(platform::set_ipv6_only(socket_.get(), options_.ipv6_only), "IPV6_V6ONLY for " + text);
  }
  bind(address);
}

void Acceptor::bind(const Address& address) {
  Result bound = platform::bind_socket(socket_.get(), address.endpoint());
  const bool is_path = address.is_unix() && !address.path().starts_with('@');
  if (is_path && options_.replace_unix_path && bound.is(std::errc::address_in_use) &&
      is_stale_path(address)) {
    static_cast<void>(platform::remove_path(address.path()));
    bound = platform::bind_socket(socket_.get(), address.endpoint());
  }
  require(bound, "bind " + address.to_string());
  if (is_path && options_.replace_unix_path) {
    path_ = platform::identify_path(address.path());
    // From the first moment: whoever finds that nobody listens takes the path for a leftover.
    require(platform::listen_socket(socket_.get(), options_.backlog),
            "listen " + address.to_string());
  }
  platform::Endpoint actual;
  require(platform::local_endpoint(socket_.get(), actual), "getsockname " + address.to_string());
  address_ = Address(std::move(actual));
}

Acceptor::~Acceptor() {
  stop_watching();
  if (running_ != nullptr) running_->acceptor_destroyed(std::move(on_accept_));
  // Unless we are a forked child, where it is still the parent's, or something else lies there now.
  const bool ours = path_ != platform::PathIdentity{} && process_ == platform::fork_generation();
  if (ours && platform::identify_path(address_.path()) == path_) {
    static_cast<void>(platform::remove_path(address_.path()));
  }
}

void Acceptor::listen() {
  if (watching()) return;
  require(platform::listen_socket(socket_.get(), options_.backlog),
          "listen " + address_.to_string());
  take_reserve();
  if (const std::error_code refused = watch(socket_.get(), Interest::kRead, Trigger::kLevel)) {
    throw std::system_error(refused, "watching " + address_.to_string());
  }
  update_interest();
}

void Acceptor::on_loop_gone() {
  socket_.reset();
  leave_loop();
}

void Acceptor::take_reserve() {
  const Result opened = platform::open_for_reading("/dev/null");
  if (opened.ok()) reserve_.reset(opened.descriptor());
}

void Acceptor::on_ready(Readiness) {
  if (paused_ || resting_) return;  // since the event was collected
  if (std::exchange(last_turn_, turn()) + 1 < turn()) batch_ = 1;
  Running running(*this);
  for (unsigned count = 0; count < batch_; ++count) {
    const bool more = accept_one();
    if (!running.has_acceptor()) return;
    if (!more || paused_ || resting_) {
      batch_ = 1;
      return;
    }
  }
  batch_ = std::min(batch_ * 2, kLargestBatch);
}

bool Acceptor::accept_one() {
  platform::Endpoint peer;
  const Result accepted = platform::accept_socket(socket_.get(), peer);
  if (accepted.would_block()) return false;
  if (!accepted.ok()) return accept_failed(accepted.error());
  counts_.accepted.add();
  rest_length_.reset();
  aborted_in_a_row_ = 0;
  (*on_accept_)(platform::Descriptor(accepted.descriptor()), Address(std::move(peer)));
  return true;
}

// True when it is worth trying the next at once.
bool Acceptor::accept_failed(std::error_code error) {
  const auto is = [&](std::errc other) { return error == other; };
  // Nothing was wrong with us: a signal, or a peer that left. Linux also reports pending network
  // errors of the newcomer here (accept(2)).
  if (is(std::errc::interrupted)) return true;
  if (is(std::errc::connection_aborted) || is(std::errc::protocol_error) ||
      is(std::errc::network_down) || is(std::errc::network_unreachable) ||
      is(std::errc::host_unreachable) || is(std::errc::no_protocol_option) ||
      is(std::errc::operation_not_supported) || is(std::errc::operation_not_permitted)) {
    counts_.aborted.add();
    if (++aborted_in_a_row_ < kLargestBatch) return true;
  }
  if (is(std::errc::too_many_files_open)) {
    const Result turned_away = turn_away();
    if (turned_away.ok()) return true;
    // Nobody is there: without a descriptor to give, accept doesn't look.
    if (turned_away.would_block()) return false;
  }
  if (log_enabled(LogLevel::kWarning)) {
    log(LogLevel::kWarning, "accepting on " + address_.to_string() + " pauses: " + error.message());
  }
  rest();
  return false;
}

// Gives the reserve up for the newcomer, who is sent away.
Result Acceptor::turn_away() {
  if (!reserve_) take_reserve();
  if (!reserve_) return Result::failure(std::errc::too_many_files_open);
  reserve_.reset();
  platform::Endpoint peer;
  const Result accepted = platform::accept_socket(socket_.get(), peer);
  if (accepted.ok()) {
    platform::close_descriptor(accepted.descriptor());
    counts_.turned_away.add();
  }
  take_reserve();
  return accepted;
}

void Acceptor::rest() {
  counts_.pauses.add();
  resting_ = true;
  update_interest();
  rest_end_ = loop_or_null()->after(rest_length_.next(), [this] {
    resting_ = false;
    update_interest();
  });
}

void Acceptor::pause() {
  paused_ = true;
  update_interest();
}

void Acceptor::resume() {
  paused_ = false;
  update_interest();
}

void Acceptor::update_interest() {
  const std::error_code refused =
      set_interest(paused_ || resting_ ? Interest::kNone : Interest::kRead);
  POLLARD_ASSERT(!refused || refused == Error::kForked,
                 "a listener that was watched can be watched again");
}

}  // namespace pollard
