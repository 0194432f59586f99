#include "pollard/testkit/sim/unix_socket.h"

#include <algorithm>
#include <utility>

#include "pollard/testkit/sim/machine.h"

namespace pollard::sim {

using platform::Endpoint;
using platform::Family;

namespace {

// What stands in the way of a name in the real file system, where it would have to be made.
int obstacle_to(const std::string& path) {
  struct stat status {};
  const auto lstat = platform::real_system_calls().lstat;
  if (lstat(path.c_str(), &status) == 0) return -EADDRINUSE;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return 0;
  return lstat(path.substr(0, slash).c_str(), &status);
}

}  // namespace

void UnixSocket::join(const std::shared_ptr<UnixSocket>& left,
                      const std::shared_ptr<UnixSocket>& right) {
  left->state_ = right->state_ = State::kConnected;
  left->peer_ = right;
  right->peer_ = left;
}

Endpoint UnixSocket::to_address(const std::string& name) {
  Endpoint address{.family = Family::kUnix};
  if (!name.empty()) address.path = std::make_shared<const std::string>(name);
  return address;
}

std::string UnixSocket::describe() const {
  constexpr const char* kStates[] = {"fresh", "listening", "connected"};
  const bool abstract = name_.starts_with('\0');
  const std::string name = abstract ? '@' + name_.substr(1) : name_;
  return "Unix-domain socket " + name + (name.empty() ? "(" : " (") +
         kStates[static_cast<std::size_t>(state_)] + ')';
}

std::uint32_t UnixSocket::poll() {
  if (state_ == State::kListening) return newcomers_.empty() ? 0 : kReadable;
  std::uint32_t bits = 0;
  if (error_ != 0) bits |= kEpollError;
  if (state_ == State::kFresh || (sending_ended_ && receiving_ended_)) bits |= kEpollHangup;
  if (receiving_ended_) bits |= kReadable | kEpollPeerEnd;
  if (incoming_.size() > 0) bits |= kReadable;
  if (has_ample_room()) bits |= kWritable;
  return bits;
}

FilterState UnixSocket::read_filter() {
  if (state_ == State::kListening) {
    return {.active = !newcomers_.empty(), .data = static_cast<std::int64_t>(newcomers_.size())};
  }
  return {.active = incoming_.size() > 0 || receiving_ended_,
          .data = static_cast<std::int64_t>(incoming_.size()),
          .end = receiving_ended_,
          .error = receiving_ended_ ? error_ : 0};
}

FilterState UnixSocket::write_filter() {
  if (state_ != State::kConnected) return {};
  return {.active = sending_ended_ || has_ample_room(),
          .data = static_cast<std::int64_t>(room()),
          .end = sending_ended_,
          .error = sending_ended_ ? error_ : 0};
}

std::size_t UnixSocket::room() const {
  const auto peer = peer_.lock();
  const std::size_t used = peer == nullptr ? 0 : peer->incoming_.size();
  return used < options().send_buffer ? options().send_buffer - used : 0;
}

// Linux calls a Unix-domain socket writable while at most a quarter of its buffer is used; kqueue's
// filter follows that.
bool UnixSocket::has_ample_room() const {
  if (machine().options.profile.writable_from == WritableFrom::kLowWater) {
    return room() >= std::min(kLowWaterMark, options().send_buffer);
  }
  return 4 * (options().send_buffer - room()) <= options().send_buffer;
}

int UnixSocket::bind(const Endpoint& address) {
  if (address.family != Family::kUnix || !name_.empty()) return -EINVAL;
  Network& network = machine().network;
  std::string name(address.path_view());
  const bool abstract = name.empty() || name.starts_with('\0');
  if (abstract && !machine().options.profile.has_abstract_names) return -EINVAL;
  if (name.empty()) {  // the kernel chooses an abstract name
    do {
      name.assign(1, '\0');
      name += std::to_string(machine().random.up_to(0xfffff));
    } while (network.find_name(name) != nullptr);
  }
  const bool is_path = !name.starts_with('\0');
  const bool is_ours = network.find_name(name) != nullptr;
  if (is_path && !is_ours) {
    if (const int obstacle = obstacle_to(name); obstacle != 0) return obstacle;
  }
  if (!network.add_name(name, self())) return -EADDRINUSE;
  name_ = name;
  return 0;
}

int UnixSocket::listen(int backlog) {
  if (state_ == State::kConnected || name_.empty()) return -EINVAL;
  const auto most = machine().options.backlog_limit;
  backlog_ = static_cast<std::size_t>(backlog < 0 ? most : std::min(backlog, most));
  state_ = State::kListening;
  return 0;
}

int UnixSocket::connect(const Endpoint& address) {
  if (address.family != Family::kUnix || address.path_view().empty()) return -EINVAL;
  if (state_ == State::kConnected) return -EISCONN;
  if (state_ == State::kListening) return -EINVAL;
  const std::string name(address.path_view());
  const Network::Name* const found = machine().network.find_name(name);
  if (found == nullptr) return name.starts_with('\0') ? -ECONNREFUSED : -ENOENT;
  const auto listener = found->socket.lock();
  if (listener == nullptr || !listener->is_listening()) return -ECONNREFUSED;
  if (listener->newcomers_.size() > listener->backlog_) return -EAGAIN;
  const auto other = std::make_shared<UnixSocket>(machine());
  other->options_ = listener->options_;
  join(self(), other);
  other->name_ = listener->name_;
  other->peer_name_ = name_;
  peer_name_ = listener->name_;
  listener->newcomers_.push_back(other);
  listener->notify(kInput);
  notify(kEverything);
  return 0;
}

Socket::Accepted UnixSocket::accept() {
  if (state_ != State::kListening) return {.error = -EINVAL};
  if (newcomers_.empty()) return {.error = -EAGAIN};
  std::shared_ptr<UnixSocket> newcomer = std::move(newcomers_.front());
  newcomers_.pop_front();
  notify({});  // who waits for room in the backlog has it
  return {.socket = std::move(newcomer)};
}

int UnixSocket::shutdown(int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  const bool reads = how != SHUT_WR;
  const bool writes = how != SHUT_RD;
  receiving_ended_ |= reads;
  sending_ended_ |= writes;
  notify({.bits = UINT32_MAX, .read_filter = reads, .write_filter = writes});
  if (const auto peer = peer_.lock()) {
    peer->receiving_ended_ |= writes;
    peer->sending_ended_ |= reads;
    peer->notify({.bits = UINT32_MAX, .read_filter = writes, .write_filter = reads});
  }
  return 0;
}

int UnixSocket::peer_name(Endpoint& address) const {
  if (state_ != State::kConnected) return -ENOTCONN;
  address = to_address(peer_name_);
  return 0;
}

std::ptrdiff_t UnixSocket::receive(std::span<std::byte> space, int flags) {
  if (state_ != State::kConnected) return -EINVAL;
  if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  while (incoming_.mark_in_front().has_value()) incoming_.drop_mark();
  const std::size_t count = incoming_.copy_front(space);
  if (count > 0) {
    if ((flags & MSG_PEEK) != 0) return static_cast<std::ptrdiff_t>(count);
    incoming_.drop(count);
    if (const auto peer = peer_.lock()) {
      peer->notify({.bits = peer->has_ample_room() ? kWritable : 0, .write_filter = true});
    }
    return static_cast<std::ptrdiff_t>(count);
  }
  if (const int error = take_error(); error != 0) return -error;
  return receiving_ended_ || incoming_.size() > 0 ? 0 : -EAGAIN;
}

std::ptrdiff_t UnixSocket::send(std::span<const std::byte> bytes, int flags) {
  if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  if (state_ != State::kConnected) return -ENOTCONN;
  const auto peer = peer_.lock();
  if (sending_ended_ || peer == nullptr) return -EPIPE;
  const std::size_t count = std::min(bytes.size(), room());
  if (count == 0) return bytes.empty() ? 0 : -EAGAIN;
  peer->incoming_.append(bytes.first(count));
  peer->notify(kInput);
  return static_cast<std::ptrdiff_t>(count);
}

void UnixSocket::end_message() {
  if (const auto peer = peer_.lock()) peer->incoming_.append_mark({});
}

// A path outlives its socket; an abstract name doesn't.
void UnixSocket::closed() {
  for (const auto& newcomer : std::exchange(newcomers_, {})) newcomer->closed();
  const Network::Name* const bound = machine().network.find_name(name_);
  const bool owned = bound != nullptr && bound->socket.lock().get() == this;
  if (owned && name_.starts_with('\0')) machine().network.remove_name(name_);
  if (const auto peer = peer_.lock()) peer->peer_closed(incoming_.size() > 0);
  peer_.reset();
}

void UnixSocket::peer_closed(bool with_unread) {
  sending_ended_ = receiving_ended_ = true;
  if (with_unread && machine().options.profile.close_with_unread_resets) error_ = ECONNRESET;
  notify(kEverything);
}

}  // namespace pollard::sim
