#include "pollard/testkit/sim/tcp_socket.h"

#include <algorithm>

#include "pollard/testkit/sim/addresses.h"
#include "pollard/testkit/sim/machine.h"

namespace pollard::sim {

using platform::Endpoint;
using platform::Family;

namespace {

Family family_of(int domain) { return domain == AF_INET6 ? Family::kIpv6 : Family::kIpv4; }

}  // namespace

TcpSocket::~TcpSocket() { release_port(); }

std::string TcpSocket::describe() const {
  constexpr const char* kStates[] = {"fresh", "listening", "connecting", "connected", "over"};
  std::string text = "TCP socket ";
  if (bound_) text += to_text(local_) + ' ';
  if (peer_address_.family != Family::kNone) text += "-> " + to_text(peer_address_) + ' ';
  return text + '(' + kStates[static_cast<std::size_t>(state_)] + ')';
}

// As tcp_poll of Linux says it: a socket that is not connected, or not any more, is hung up.
std::uint32_t TcpSocket::poll() {
  if (state_ == State::kListening) return newcomers_.empty() ? 0 : kReadable;
  std::uint32_t bits = 0;
  const bool unconnected = state_ == State::kFresh || state_ == State::kOver;
  if (unconnected || (sending_ended_ && receiving_ended_)) bits |= kEpollHangup;
  if (receiving_ended_) bits |= kReadable | kEpollPeerEnd;
  if (state_ != State::kConnecting) {
    if (incoming_.size() > 0) bits |= kReadable;
    if (sending_ended_ || has_ample_room()) {
      bits |= kWritable;
    } else {
      wants_room_ = true;
    }
    if (urgent_.has_value()) bits |= kEpollUrgent;
  }
  if (error_ != 0) bits |= kEpollError;
  return bits;
}

FilterState TcpSocket::read_filter() {
  if (state_ == State::kListening) {
    return {.active = !newcomers_.empty(), .data = static_cast<std::int64_t>(newcomers_.size())};
  }
  if (state_ == State::kFresh || state_ == State::kConnecting) return {};
  return {.active = incoming_.size() > 0 || receiving_ended_ || error_ != 0,
          .data = static_cast<std::int64_t>(incoming_.size()),
          .end = receiving_ended_,
          .error = receiving_ended_ ? error_ : 0};
}

FilterState TcpSocket::write_filter() {
  if (state_ != State::kConnected && state_ != State::kOver) return {};
  return {.active = sending_ended_ || error_ != 0 || has_ample_room(),
          .data = static_cast<std::int64_t>(room()),
          .end = sending_ended_,
          .error = sending_ended_ ? error_ : 0};
}

std::size_t TcpSocket::room() const {
  const std::size_t used = outgoing_.size() + in_flight_;
  return used < options().send_buffer ? options().send_buffer - used : 0;
}

// Linux calls a socket writable from a third of free space on. kqueue's filter follows that instead
// of a low-water mark of its own, for a kernel has one idea of writable.
bool TcpSocket::has_ample_room() const {
  if (machine().options.profile.writable_from == WritableFrom::kLowWater) {
    return room() >= std::min(kLowWaterMark, options().send_buffer);
  }
  return 2 * room() >= outgoing_.size() + in_flight_;
}

int TcpSocket::bind(const Endpoint& address) {
  if (bound_ || state_ != State::kFresh) return -EINVAL;
  if (address.family != family_of(domain())) {
    return address.family == Family::kIpv4 ? -EINVAL : -EAFNOSUPPORT;
  }
  Endpoint wanted = unmapped(address);
  if (const int failure = machine().network.bind(*this, wanted); failure != 0) return failure;
  local_ = wanted;
  bound_ = true;
  return 0;
}

int TcpSocket::listen(int backlog) {
  if (state_ != State::kFresh && state_ != State::kListening) return -EINVAL;
  if (!bound_) {
    if (const int failure = bind(any_of(family_of(domain()))); failure != 0) return failure;
  }
  if (const int failure = machine().network.may_listen(*this); failure != 0) return failure;
  const auto most = machine().options.backlog_limit;
  backlog_ = static_cast<std::size_t>(backlog < 0 ? most : std::min(backlog, most));
  state_ = State::kListening;
  return 0;
}

int TcpSocket::connect(const Endpoint& address) {
  if (state_ != State::kFresh) return finish_connect();
  Endpoint target;
  if (const int failure = find_target(address, target); failure != 0) return failure;
  if (machine().network.route(target) == Route::kNowhere) return -ENETUNREACH;
  if (const int failure = choose_local(target); failure != 0) return failure;
  peer_address_ = target;
  state_ = State::kConnecting;
  machine().network.keep(self());
  notify(kEverything);  // what was hung up isn't any more
  send_syn();
  return -EINPROGRESS;
}

// What connect() says of a socket that was told to connect before: success once, or its failure
// once, after which it is fresh again.
int TcpSocket::finish_connect() {
  if (state_ == State::kConnecting) return -EALREADY;
  if (state_ == State::kOver && never_connected()) {
    state_ = State::kFresh;
    sending_ended_ = receiving_ended_ = false;
    peer_address_ = {};
    const int error = take_error();
    return error != 0 ? -error : -ECONNABORTED;
  }
  const bool tells = machine().options.profile.connect_again_tells_success;
  const bool news = tells && state_ == State::kConnected && !std::exchange(told_connected_, true);
  return news ? 0 : -EISCONN;
}

int TcpSocket::find_target(const Endpoint& address, Endpoint& target) const {
  if (address.family != family_of(domain())) return -EAFNOSUPPORT;
  target = unmapped(address);
  const bool is_mapped = target.family != address.family;
  if (is_mapped && options().ipv6_only) return -ENETUNREACH;
  target = loopback_for_any(target);
  return 0;
}

// A local address as the way to the target has it, and a port of the network's choice.
int TcpSocket::choose_local(const Endpoint& target) {
  Network& network = machine().network;
  Endpoint source = target;
  if (!network.is_local(target)) source = loopback_for_any(any_of(target.family));
  if (!bound_) {
    source.port = 0;
    const int failure = network.bind(*this, source);
    if (failure != 0) return failure == -EADDRINUSE ? -EADDRNOTAVAIL : failure;
    bound_ = true;
    local_ = source;
  } else {
    source.port = local_.port;
    if (is_any(local_)) local_ = source;
  }
  return network.is_connected(local_, target) ? -EADDRNOTAVAIL : 0;
}

Socket::Accepted TcpSocket::accept() {
  if (state_ != State::kListening) return {.error = -EINVAL};
  if (newcomers_.empty()) return {.error = -EAGAIN};
  std::shared_ptr<TcpSocket> newcomer = std::move(newcomers_.front());
  newcomers_.pop_front();
  const Profile& profile = machine().options.profile;
  if (profile.listener_edge_after_accept && !newcomers_.empty()) notify(kInput);
  const bool was_reset = newcomer->state_ == State::kOver && newcomer->error_ != 0;
  if (was_reset && profile.accept_reports_aborted) return {.error = -ECONNABORTED};
  return {.socket = std::move(newcomer)};
}

int TcpSocket::shutdown(int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  const bool reads = how != SHUT_WR;
  const bool writes = how != SHUT_RD;
  if (state_ == State::kListening && !machine().options.profile.shutdown_ends_listener) {
    return -ENOTCONN;
  }
  if (state_ == State::kListening && reads) {
    for (const auto& newcomer : std::exchange(newcomers_, {})) newcomer->send_reset();
    state_ = State::kFresh;
    notify(kEverything);
    return 0;
  }
  if (state_ == State::kListening) return 0;
  if (state_ != State::kConnected) return -ENOTCONN;
  const auto alive = self();
  if (reads) receiving_ended_ = true;
  if (writes) end_sending();
  const bool both = sending_ended_ && receiving_ended_;
  const bool tells_both = both && machine().options.profile.edge_when_both_ends_shut;
  notify({.bits = UINT32_MAX,
          .read_filter = reads || tells_both,
          .write_filter = writes || tells_both});
  return 0;
}

int TcpSocket::peer_name(Endpoint& address) const {
  if (state_ != State::kConnected) return -ENOTCONN;
  address = domain() == AF_INET6 ? mapped(peer_address_) : peer_address_;
  return 0;
}

Endpoint TcpSocket::local_name() const {
  if (!bound_) return any_of(family_of(domain()));
  return domain() == AF_INET6 ? mapped(local_) : local_;
}

std::ptrdiff_t TcpSocket::receive(std::span<std::byte> space, int flags) {
  if (state_ == State::kFresh || state_ == State::kListening) return -ENOTCONN;
  if ((flags & MSG_OOB) != 0) return receive_urgent(space, flags);
  while (incoming_.mark_in_front().has_value()) {
    incoming_.drop_mark();
    urgent_.reset();
  }
  const std::size_t count = incoming_.copy_front(space);
  if (count > 0) {
    if ((flags & MSG_PEEK) == 0) {
      incoming_.drop(count);
      const auto peer = peer_.lock();
      if (peer != nullptr && !peer->outgoing_.empty()) peer->transmit();
    }
    return static_cast<std::ptrdiff_t>(count);
  }
  if (incoming_.size() > 0 || end_received_) return 0;
  if (const int error = take_error(); error != 0) return -error;
  if (receiving_ended_) return 0;
  return state_ == State::kOver ? -ENOTCONN : -EAGAIN;
}

std::ptrdiff_t TcpSocket::receive_urgent(std::span<std::byte> space, int flags) {
  if (!urgent_.has_value() || space.empty()) return -EINVAL;
  space.front() = *urgent_;
  if ((flags & MSG_PEEK) == 0) urgent_.reset();
  return 1;
}

std::ptrdiff_t TcpSocket::send(std::span<const std::byte> bytes, int flags) {
  if (state_ == State::kConnecting) return -EAGAIN;
  if (error_ != 0) return -take_error();
  if (state_ != State::kConnected || sending_ended_) return -EPIPE;
  const auto alive = self();
  std::span<const std::byte> left = bytes;
  while (!left.empty() && room() > 0) {
    const auto piece = left.first(std::min(left.size(), room()));
    left = left.subspan(piece.size());
    const bool urgent = (flags & MSG_OOB) != 0 && left.empty();
    outgoing_.append(urgent ? piece.first(piece.size() - 1) : piece);
    if (urgent) outgoing_.append_mark(piece.back());
    transmit();
  }
  if (!left.empty()) wants_room_ = true;
  const std::size_t sent = bytes.size() - left.size();
  return sent == 0 && !bytes.empty() ? -EAGAIN : static_cast<std::ptrdiff_t>(sent);
}

// A linger time of zero makes a reset of the end; on some systems unread data does, too (RFC 2525,
// 2.17).
void TcpSocket::closed() {
  const auto alive = self();
  orphan_ = true;
  cancel_retry();
  switch (state_) {
    case State::kListening:
      state_ = State::kOver;
      for (const auto& newcomer : std::exchange(newcomers_, {})) newcomer->send_reset();
      break;
    case State::kConnecting: send_reset(); break;
    case State::kConnected: {
      const bool at_once = options().lingering.l_onoff != 0 && options().lingering.l_linger == 0;
      const bool unread_resets = machine().options.profile.close_with_unread_resets;
      if (at_once || (unread_resets && incoming_.size() > 0)) return send_reset();
      const auto peer = peer_.lock();
      end_sending();
      // The end tells of the room, and what the peer sends into it is answered by a reset.
      incoming_.clear();
      if (peer != nullptr) peer->transmit();
      return;
    }
    case State::kFresh:
    case State::kOver: break;
  }
  release_port();
}

bool TcpSocket::cut() {
  const auto peer = peer_.lock();
  if (state_ != State::kConnected || peer == nullptr) return false;
  arrive({.reset = true});
  peer->arrive({.reset = true});
  return true;
}

bool TcpSocket::set_stalled(bool stalled) {
  const auto peer = peer_.lock();
  if (state_ != State::kConnected || peer == nullptr) return false;
  stalled_ = stalled;
  transmit();
  peer->transmit();
  return true;
}

}  // namespace pollard::sim
