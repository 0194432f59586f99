#include "pollard/net/address_race.h"

#include <algorithm>
#include <new>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/watcher.h"
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

// One address, from its socket to the answer.
class AddressRace::Runner final : private Watcher {
 public:
  Runner(AddressRace& race, const Address& address)
      : Watcher(race.loop_), race_(race), address_(address) {}
  ~Runner() override { stop_watching(); }

  // Watched even when it is connected at once, as Unix-domain sockets are: one way for all.
  std::error_code start() {
    const Result made = platform::open_stream_socket(address_.endpoint().family);
    if (!made.ok()) return made.error();
    socket_.reset(made.descriptor());
    if (race_.handlers_.on_socket) race_.handlers_.on_socket(socket_.get(), address_);
    const Address& local = race_.options_.local;
    if (!local.empty()) {
      static_cast<void>(platform::set_reuse_address(socket_.get(), true));
      const Result bound = platform::bind_socket(socket_.get(), local.endpoint());
      if (!bound.ok()) return bound.error();
    }
    const Result connecting = platform::connect_socket(socket_.get(), address_.endpoint());
    // An interrupted connect goes on by itself (POSIX connect).
    const bool under_way = connecting.ok() || connecting.interrupted() ||
                           connecting.is(std::errc::operation_in_progress);
    if (!under_way) return connecting.error();
    if (const std::error_code refused = watch(socket_.get(), Interest::kWrite, Trigger::kLevel)) {
      return refused;
    }
    timeout_ = race_.loop_.after(race_.options_.attempt_timeout, [this] {
      race_.failed(*this, std::make_error_code(std::errc::timed_out));
    });
    return {};
  }

  [[nodiscard]] const Address& address() const { return address_; }
  platform::Descriptor take_socket() {
    stop_watching();
    return std::move(socket_);
  }

 private:
  // The socket says how it went; hang-ups and errors among the events say nothing (a socket that
  // isn't connected yet is hung up on Linux). Either call at the end is the end of us.
  void on_ready(Readiness) override {
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

  void on_loop_gone() override {
    socket_.reset();
    leave_loop();
  }

  AddressRace& race_;
  Address address_;
  platform::Descriptor socket_;
  Timer timeout_;
};

AddressRace::AddressRace(EventLoop& loop, std::vector<Address> addresses, Handlers handlers,
                         const RaceOptions& options)
    : loop_(loop),
      addresses_(std::move(addresses)),
      handlers_(std::move(handlers)),
      options_(options) {
  POLLARD_ASSERT(!addresses_.empty(), "a race needs an address");
}

AddressRace::~AddressRace() = default;

void AddressRace::start() { start_next(); }

// Those that fail at once cost the next no head start.
void AddressRace::start_next() {
  while (next_ < addresses_.size()) {
    const Address& address = addresses_[next_++];
    const std::size_t before = running_.size();
    const std::error_code error = start(address);
    if (!error) {
      if (next_ == addresses_.size()) return;
      head_start_ = loop_.after(options_.head_start, [this] { start_next(); });
      return;
    }
    if (running_.size() > before) running_.pop_back();
    result_.failed.push_back({address, error});
  }
  if (running_.empty()) finish();
}

std::error_code AddressRace::start(const Address& address) try {
  return running_.emplace_back(*this, address).start();
} catch (const std::bad_alloc&) {
  return std::make_error_code(std::errc::not_enough_memory);
}

void AddressRace::connected(Runner& runner) {
  result_.winner = runner.address();
  result_.socket = runner.take_socket();
  finish();
}

void AddressRace::failed(Runner& runner, std::error_code error) {
  result_.failed.push_back({runner.address(), error});
  platform::Descriptor socket = runner.take_socket();
  // Bound to a port that it was told, it has to go first.
  if (error == Error::kSelfConnect && options_.local.empty()) {
    result_.met_themselves.push_back(std::move(socket));
  }
  running_.remove_if([&](const Runner& other) { return &other == &runner; });
  head_start_.cancel();
  start_next();
}

// The last that is done, for the handler may destroy us.
void AddressRace::finish() {
  head_start_.cancel();
  running_.clear();
  next_ = addresses_.size();
  const auto on_end = std::move(handlers_.on_end);
  on_end(std::move(result_));
}

}  // namespace pollard
