#include "pollard/net/connector.h"

#include <algorithm>
#include <array>
#include <new>
#include <random>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/address_race.h"

namespace pollard {

bool is_worth_a_retry(std::error_code error) {
  if (error == Error::kSelfConnect) return true;
  if (error == Error::kHostNotFound || error == Error::kNameServiceBusy) return true;
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

// Of all addresses: the last failure that may pass, or the last.
std::error_code summary(const std::vector<FailedAddress>& failed) {
  const auto may_pass = [](const FailedAddress& one) { return is_worth_a_retry(one.error); };
  const auto found = std::find_if(failed.rbegin(), failed.rend(), may_pass);
  return found == failed.rend() ? failed.back().error : found->error;
}

}  // namespace

// Shared, so that it outlives the connector in its own callbacks.
class Connector::Core final : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, const HostPort& target, ConnectorHandlers handlers,
       const ConnectorOptions& options)
      : loop_(loop),
        handle_(loop.handle()),
        target_(target),
        handlers_(std::move(handlers)),
        options_(options),
        backoff_(options.backoff, options.seed.has_value() ? *options.seed : random_seed()) {
    POLLARD_ASSERT(!target_.is_literal() || !target_.address().empty(),
                   "a connector needs an address to connect to");
    if (!target_.is_literal() && options_.resolver == nullptr) {
      options_.resolver = Resolver::shared();
    }
  }

  std::error_code start(Duration delay) {
    if (!handle_.alive()) return Error::kLoopGone;
    if (state_ != State::kIdle) {
      return std::make_error_code(std::errc::connection_already_in_progress);
    }
    ++run_;
    attempt_ = 0;
    started_ = loop_.now();
    wait(delay);
    return {};
  }

  void cancel() {
    ++run_;
    end_attempt();
    held_.clear();
    timer_.cancel();
    state_ = State::kIdle;
  }

  void reset_backoff() { backoff_.reset(); }
  Duration next_delay() { return backoff_.next(); }
  // What was under way has ended with the loop.
  [[nodiscard]] State state() const { return handle_.alive() ? state_ : State::kIdle; }
  [[nodiscard]] const HostPort& target() const { return target_; }

 private:
  void wait(Duration delay) {
    state_ = State::kWaiting;
    timer_ = loop_.after(delay, [this] {
      const auto keep = shared_from_this();
      attempt();
    });
  }

  void attempt() {
    state_ = State::kConnecting;
    ++attempt_;
    try {
      begin_attempt();
    } catch (const std::bad_alloc&) {
      if (state_ != State::kConnecting) throw;  // a handler's: the attempt has ended already
      attempt_failed({.error = std::make_error_code(std::errc::not_enough_memory)});
    }
  }

  void begin_attempt() {
    if (target_.is_literal()) return race({target_.address()});
    lookup_ = options_.resolver->resolve(
        loop_, target_,
        [this](std::error_code error, const std::vector<Address>& addresses) {
          const auto keep = shared_from_this();
          if (!error) return race(addresses);
          held_.clear();
          attempt_failed({.error = error});
        },
        options_.resolve_timeout);
  }

  void race(const std::vector<Address>& addresses) {
    race_ = std::make_unique<AddressRace>(
        loop_, interleave_families(addresses),
        AddressRace::Handlers{.on_end =
                                  [this](RaceResult result) {
                                    const auto keep = shared_from_this();
                                    race_ended(std::move(result));
                                  },
                              .on_socket =
                                  [this](int fd, const Address& address) {
                                    if (handlers_.on_socket) handlers_.on_socket(fd, address);
                                  }},
        RaceOptions{.head_start = options_.head_start,
                    .attempt_timeout = options_.attempt_timeout,
                    .local = options_.local});
    race_->start();
  }

  void race_ended(RaceResult result) {
    // Sockets that met themselves are held until the next attempt has its ports.
    held_ = std::move(result.met_themselves);
    if (!result.socket) {
      const std::error_code error = summary(result.failed);
      return attempt_failed({.error = error, .addresses = std::move(result.failed)});
    }
    held_.clear();
    end_attempt();
    state_ = State::kIdle;
    handlers_.on_connected(std::move(result.socket), std::move(result.winner));
  }

  void attempt_failed(FailedAttempt failure) {
    failure.attempt = attempt_;
    end_attempt();
    if (may_retry(failure.error)) {
      const Duration delay = held_.empty() ? backoff_.next() : Duration::zero();
      if (loop_.now() - started_ <= options_.give_up_after - delay) failure.next_delay = delay;
    }
    if (failure.next_delay.has_value()) {
      wait(*failure.next_delay);
    } else {
      held_.clear();
      state_ = State::kIdle;
    }
    const std::uint64_t run = run_;
    if (handlers_.on_attempt_failed) handlers_.on_attempt_failed(failure);
    // Unless that handler began anew, or ended it all.
    const bool gave_up = !failure.next_delay.has_value() && run == run_;
    if (gave_up && handlers_.on_give_up) handlers_.on_give_up(failure.error);
  }

  [[nodiscard]] bool may_retry(std::error_code error) const {
    return is_worth_a_retry(error) &&
           (options_.max_attempts == 0 || attempt_ < options_.max_attempts);
  }

  void end_attempt() {
    lookup_.cancel();
    race_.reset();
  }

  EventLoop& loop_;
  LoopHandle handle_;
  HostPort target_;
  ConnectorHandlers handlers_;
  ConnectorOptions options_;
  Backoff backoff_;
  State state_ = State::kIdle;
  unsigned attempt_ = 0;
  std::uint64_t run_ = 0;  // another one after each start and cancel
  MonotonicTime started_{};
  Lookup lookup_;
  std::unique_ptr<AddressRace> race_;
  std::vector<platform::Descriptor> held_;
  Timer timer_;  // the end of the waiting
};

Connector::Connector(EventLoop& loop, const HostPort& target, ConnectorHandlers handlers,
                     const ConnectorOptions& options)
    : core_(std::make_shared<Core>(loop, target, std::move(handlers), options)) {}

Connector::~Connector() { core_->cancel(); }

std::error_code Connector::start(Duration delay) { return core_->start(delay); }
void Connector::cancel() { core_->cancel(); }
void Connector::reset_backoff() { core_->reset_backoff(); }
Duration Connector::next_delay() { return core_->next_delay(); }
Connector::State Connector::state() const { return core_->state(); }
const HostPort& Connector::target() const { return core_->target(); }

}  // namespace pollard
