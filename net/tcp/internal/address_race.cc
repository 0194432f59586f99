#include "pollard/net/tcp/internal/address_race.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <new>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/loop/internal/watcher.h"
#include "pollard/net/timers/timer.h"
#include "pollard/platform/socket.h"

namespace pollard {

using platform::Result;

namespace {

// RFC 9293 3.5 lets two simultaneous opens become one connection. A socket that connects to a port
// of its own machine on which nobody listens may be given that very port, and be both.
bool is_self_connected(int fd) {
  platform::Endpoint local;
  platform::Endpoint peer;
  return platform::local_endpoint(fd, local).ok() && platform::peer_endpoint(fd, peer).ok() &&
         local.family != platform::Family::kUnix && local == peer;
}

}  // namespace

std::vector<Address> interleave_families(std::vector<Address> addresses) {
  if (addresses.empty()) return addresses;
  const platform::Family preferred = addresses.front().endpoint().family;
  const auto is_preferred = [&](const Address& address) {
    return address.endpoint().family == preferred;
  };
  const auto others = std::stable_partition(addresses.begin(), addresses.end(), is_preferred);
  std::vector<Address> interleaved;
  interleaved.reserve(addresses.size());
  auto first = addresses.begin();
  for (auto second = others; first != others || second != addresses.end();) {
    if (first != others) interleaved.push_back(std::move(*first++));
    if (second != addresses.end()) interleaved.push_back(std::move(*second++));
  }
  return interleaved;
}

// One address, from the connect to the answer.
class AddressRace::Runner final : private Watcher {
 public:
  Runner(Core& race, EventLoop& loop, const Address& address, platform::Descriptor socket)
      : Watcher(loop), race_(race), address_(address), socket_(std::move(socket)) {}
  ~Runner() override { stop_watching(); }

  std::error_code start(EventLoop& loop, Duration connect_timeout);

  platform::Descriptor take_socket() {
    stop_watching();
    return std::move(socket_);
  }
  [[nodiscard]] Address take_address() { return std::move(address_); }

 private:
  void on_ready(Readiness) override;
  void on_loop_gone() override {
    socket_.reset();
    leave_loop();
  }

  Core& race_;
  Address address_;
  platform::Descriptor socket_;
  Timer timeout_;
};

// Shared, so that it outlives the race in its own callbacks: each entry from the loop keeps it.
class AddressRace::Core final : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, std::vector<Address> addresses, Handlers handlers,
       const RaceOptions& options)
      : loop_(loop),
        handle_(loop.handle()),
        addresses_(std::move(addresses)),
        handlers_(std::move(handlers)),
        options_(options) {
    loop.assert_in_loop_thread();
    POLLARD_ASSERT(!addresses_.empty(), "addresses must not be empty");
    // So that a failure can be noted without memory.
    result_.failed.reserve(addresses_.size());
    if (local_port_is_free()) result_.self_connected.reserve(addresses_.size());
  }

  void start() {
    handle_.assert_in_loop_thread_or_gone();
    enter(State::kRunning);
    start_next();
  }

  // The race is destroyed.
  void abandon() {
    handle_.assert_in_loop_thread_or_gone();
    if (state_ == State::kEnded) return;
    enter(State::kEnded);
    release();
    result_.self_connected.clear();
  }

  void connected(Runner& runner);
  void failed(Runner& runner, std::error_code error);

 private:
  enum class State : std::uint8_t { kReady, kRunning, kEnded };

  void enter(State next) {
    POLLARD_ASSERT(next > state_, "a race starts once and ends once");
    state_ = next;
  }

  void start_next();
  [[nodiscard]] bool give_head_start();
  [[nodiscard]] std::error_code start(const Address& address);
  [[nodiscard]] std::error_code make_socket(const Address& address, platform::Descriptor& socket);
  void finish();
  void release() {
    head_start_.cancel();
    running_.clear();
  }
  [[nodiscard]] bool local_port_is_free() const { return options_.local.port() == 0; }

  EventLoop& loop_;
  LoopHandle handle_;
  State state_ = State::kReady;
  std::vector<Address> addresses_;
  Handlers handlers_;
  RaceOptions options_;
  std::size_t next_ = 0;  // of addresses_
  std::list<Runner> running_;
  Timer head_start_;
  RaceResult result_;
};

// Watched even when it is connected at once, as Unix-domain sockets are: one way for all.
std::error_code AddressRace::Runner::start(EventLoop& loop, Duration connect_timeout) {
  const Result connecting = platform::connect_socket(socket_.get(), address_.endpoint());
  // An interrupted connect goes on by itself (POSIX connect).
  const bool under_way = connecting.ok() || connecting.interrupted() ||
                         connecting.is(std::errc::operation_in_progress);
  if (!under_way) return connecting.error();
  if (const std::error_code refused = watch(socket_.get(), Interest::kWrite, Trigger::kLevel)) {
    return refused;
  }
  timeout_ = loop.after(
      connect_timeout, [this] { race_.failed(*this, std::make_error_code(std::errc::timed_out)); });
  return {};
}

// The socket says how it went; hang-ups and errors among the events say nothing (a socket that
// isn't connected yet is hung up on Linux). Either call at the end destroys this.
void AddressRace::Runner::on_ready(Readiness) {
  std::error_code error = platform::take_socket_error(socket_.get());
  platform::Endpoint peer;
  if (!error) {
    const Result named = platform::peer_endpoint(socket_.get(), peer);
    if (named.is(std::errc::not_connected)) return;  // not yet
    // Darwin says EINVAL when the peer has gone meanwhile: connected once, and its end is to be
    // read.
    if (!named.ok() && !named.is(std::errc::invalid_argument)) error = named.error();
  }
  if (!error && is_self_connected(socket_.get())) error = Error::kSelfConnect;
  if (error) {
    race_.failed(*this, error);
  } else {
    race_.connected(*this);
  }
}

// Those that fail at once cost the next no head start.
void AddressRace::Core::start_next() {
  const auto keep = shared_from_this();
  while (next_ < addresses_.size()) {
    Address& address = addresses_[next_++];
    const std::error_code error = start(address);
    if (state_ != State::kRunning) return;  // on_socket has destroyed the race
    if (error) {
      result_.failed.push_back({std::move(address), error});
    } else if (next_ == addresses_.size() || give_head_start()) {
      return;
    }
  }
  if (running_.empty()) finish();
}

// False without memory for its timer: then the next begins at once.
bool AddressRace::Core::give_head_start() try {
  head_start_ = loop_.after(options_.connection_attempt_delay, [this] { start_next(); });
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

std::error_code AddressRace::Core::start(const Address& address) {
  const std::size_t before = running_.size();
  std::error_code error;
  try {
    platform::Descriptor socket;
    error = make_socket(address, socket);
    if (error || state_ != State::kRunning) return error;
    error = running_.emplace_back(*this, loop_, address, std::move(socket))
                .start(loop_, options_.connect_timeout);
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  } catch (...) {  // on_socket
    loop_.report_exception(std::current_exception());
    error = std::make_error_code(std::errc::operation_canceled);
  }
  if (error && running_.size() > before) running_.pop_back();
  return error;
}

std::error_code AddressRace::Core::make_socket(const Address& address,
                                               platform::Descriptor& socket) {
  const Address& local = options_.local;
  const platform::Family family = address.endpoint().family;
  if (!local.empty() && local.endpoint().family != family) {
    return std::make_error_code(std::errc::address_family_not_supported);
  }
  const Result made = platform::open_stream_socket(family);
  if (!made.ok()) return made.error();
  socket.reset(made.descriptor());
  if (handlers_.on_socket) handlers_.on_socket(socket.get(), address);
  if (local.empty() || state_ != State::kRunning) return {};
  // Both are wishes: without them, fewer connections are possible at a time.
  static_cast<void>(platform::set_reuse_address(socket.get(), true));
  if (!local.is_unix() && local_port_is_free()) {
    static_cast<void>(platform::set_bind_address_no_port(socket.get()));
  }
  const Result bound = platform::bind_socket(socket.get(), local.endpoint());
  return bound.ok() ? std::error_code() : bound.error();
}

void AddressRace::Core::connected(Runner& runner) {
  const auto keep = shared_from_this();
  result_.winner = runner.take_address();
  result_.socket = runner.take_socket();
  finish();
}

void AddressRace::Core::failed(Runner& runner, std::error_code error) {
  const auto keep = shared_from_this();
  result_.failed.push_back({runner.take_address(), error});
  platform::Descriptor socket = runner.take_socket();
  // One that was bound to a port of the caller's choice has to leave it to the next attempt.
  if (error == Error::kSelfConnect && local_port_is_free()) {
    result_.self_connected.push_back(std::move(socket));
  }
  running_.remove_if([&](const Runner& other) { return &other == &runner; });
  head_start_.cancel();
  start_next();
}

// The last that is done, for the handler may destroy the race.
void AddressRace::Core::finish() {
  enter(State::kEnded);
  release();
  const auto on_end = std::move(handlers_.on_end);
  on_end(std::move(result_));
}

AddressRace::AddressRace(EventLoop& loop, std::vector<Address> addresses, Handlers handlers,
                         const RaceOptions& options)
    : core_(std::make_shared<Core>(loop, std::move(addresses), std::move(handlers), options)) {}

AddressRace::~AddressRace() { core_->abandon(); }

void AddressRace::start() { core_->start(); }

}  // namespace pollard
