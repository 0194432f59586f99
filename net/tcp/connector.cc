#include "pollard/net/tcp/connector.h"

#include <algorithm>
#include <exception>
#include <new>
#include <random>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/tcp/internal/address_race.h"

namespace pollard {

bool is_worth_a_retry(std::error_code error, platform::Operation operation) {
  if (error == std::errc::filename_too_long) return false;  // of a path, and of a host's name
  if (error.category() != error_category()) {
    return error && platform::classify(operation, error) != platform::FailureKind::kPermanent;
  }
  // A name server may know tomorrow what it doesn't know now, and may refuse for now.
  return error == Error::kSelfConnect || error == Error::kHostNotFound ||
         error == Error::kNameServiceBusy || error == Error::kNameServiceFailed;
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

// Shared, so that it outlives the connector in its own callbacks: each entry from the loop keeps
// it.
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
    handle_.assert_in_loop_thread_or_gone();
    POLLARD_ASSERT(!target_.is_literal() || !target_.address().empty(),
                   "target must not be an empty address");
    if (!target_.is_literal() && options_.resolver == nullptr) {
      options_.resolver = Resolver::shared();
    }
  }

  std::error_code start(Duration delay) {
    handle_.assert_in_loop_thread_or_gone();
    if (!handle_.alive()) return Error::kLoopClosed;
    if (state_ != State::kIdle) {
      return std::make_error_code(std::errc::connection_already_in_progress);
    }
    if (!make_timer()) return std::make_error_code(std::errc::not_enough_memory);
    ++run_;
    attempt_ = 0;
    started_ = loop_.now();
    wait(delay);
    return {};
  }

  void cancel() {
    handle_.assert_in_loop_thread_or_gone();
    ++run_;
    if (state_ == State::kIdle) return;
    end_attempt();
    become_idle();
  }

  void reset_backoff() {
    handle_.assert_in_loop_thread_or_gone();
    backoff_.reset();
  }
  Duration next_delay() {
    handle_.assert_in_loop_thread_or_gone();
    return backoff_.next();
  }
  [[nodiscard]] State state() const {
    handle_.assert_in_loop_thread_or_gone();
    return handle_.alive() ? state_ : State::kIdle;  // what was under way has ended with the loop
  }
  [[nodiscard]] const HostPort& target() const { return target_; }

 private:
  void enter(State next);
  [[nodiscard]] bool make_timer();
  void wait(Duration delay);
  void become_idle();
  void attempt();
  template <class Step>
  void take_step(Step step);
  void look_up();
  void race(const std::vector<Address>& addresses);
  void race_ended(RaceResult result);
  void attempt_failed(FailedAttempt failure, platform::Operation operation);
  [[nodiscard]] std::optional<Duration> delay_after(std::error_code error,
                                                    platform::Operation operation);
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
  // Sockets that met themselves are held until the next attempt has its ports.
  std::vector<platform::Descriptor> held_;
  Timer timer_;  // the end of the waiting; none when idle
};

void Connector::Core::enter(State next) {
  const bool legal = next == State::kWaiting      ? state_ != State::kWaiting
                     : next == State::kConnecting ? state_ == State::kWaiting
                                                  : state_ != State::kIdle;
  POLLARD_ASSERT(legal, "a connector moves along the arrows of its diagram");
  state_ = next;
}

// One that is only ever moved, which needs no memory: a wait after a failure can't fail.
bool Connector::Core::make_timer() try {
  timer_ = loop_.every(Duration::max(), [this] {
    const auto keep = shared_from_this();
    attempt();
  });
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

void Connector::Core::wait(Duration delay) {
  enter(State::kWaiting);
  timer_.restart_after(delay);
}

void Connector::Core::become_idle() {
  enter(State::kIdle);
  held_.clear();
  timer_.cancel();
}

void Connector::Core::attempt() {
  enter(State::kConnecting);
  ++attempt_;
  take_step([this] { target_.is_literal() ? race({target_.address()}) : look_up(); });
}

// An attempt that is short of memory has failed. What a handler was short of is the handler's: it
// runs when the attempt has ended.
template <class Step>
void Connector::Core::take_step(Step step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    if (state_ != State::kConnecting) throw;
    attempt_failed({.error = std::make_error_code(std::errc::not_enough_memory)},
                   platform::Operation::kConnect);
  }
}

void Connector::Core::look_up() {
  lookup_ = options_.resolver->resolve(
      loop_, target_,
      [this](std::error_code error, const std::vector<Address>& addresses) {
        const auto keep = shared_from_this();
        if (!error) return take_step([&] { race(addresses); });
        held_.clear();
        attempt_failed({.error = error}, platform::Operation::kResolve);
      },
      options_.resolve_timeout);
}

void Connector::Core::race(const std::vector<Address>& addresses) {
  race_ = std::make_unique<AddressRace>(
      loop_, interleave_families(addresses),
      AddressRace::Handlers{.on_end =
                                [this](RaceResult result) {
                                  const auto keep = shared_from_this();
                                  race_ended(std::move(result));
                                },
                            .on_socket =
                                [this](int fd, const Address& address) {
                                  const auto keep = shared_from_this();
                                  if (handlers_.on_socket) handlers_.on_socket(fd, address);
                                }},
      RaceOptions{.connection_attempt_delay = options_.connection_attempt_delay,
                  .connect_timeout = options_.connect_timeout,
                  .local = options_.local});
  race_->start();
}

void Connector::Core::race_ended(RaceResult result) {
  held_ = std::move(result.self_connected);
  if (!result.socket) {
    const std::error_code error = summary(result.failed);
    return attempt_failed({.error = error, .addresses = std::move(result.failed)},
                          platform::Operation::kConnect);
  }
  end_attempt();
  become_idle();
  handlers_.on_connected(std::move(result.socket), std::move(result.winner));
}

void Connector::Core::attempt_failed(FailedAttempt failure, platform::Operation operation) {
  failure.attempt = attempt_;
  failure.next_delay = delay_after(failure.error, operation);
  end_attempt();
  if (failure.next_delay.has_value()) {
    wait(*failure.next_delay);
  } else {
    become_idle();
  }
  const std::uint64_t run = run_;
  try {
    if (handlers_.on_attempt_failed) handlers_.on_attempt_failed(failure);
  } catch (...) {
    loop_.report_exception(std::current_exception());
  }
  // Unless that handler began anew, or ended it all.
  const bool gave_up = !failure.next_delay.has_value() && run == run_;
  if (gave_up && handlers_.on_give_up) handlers_.on_give_up(failure.error);
}

// Until the next attempt; nothing when there is to be none.
std::optional<Duration> Connector::Core::delay_after(std::error_code error,
                                                     platform::Operation operation) {
  const bool last = options_.max_attempts != 0 && attempt_ >= options_.max_attempts;
  if (last || !is_worth_a_retry(error, operation)) return std::nullopt;
  const Duration delay = held_.empty() ? backoff_.next() : Duration::zero();
  const Duration next = saturating_add(loop_.now(), delay) - started_;
  return next <= options_.total_timeout ? std::optional(delay) : std::nullopt;
}

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
