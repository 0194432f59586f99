#include "pollard/tests/fault_run/peer.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

#include "pollard/platform/socket_address.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/fault_run/strike.h"

namespace pollard::fault_run {
namespace {

const platform::SystemCalls& calls() { return sim::Kernel::current()->system_calls(); }

int must(int result, const char* what) {
  if (result < 0) throw std::logic_error(std::string("a raw socket can't ") + what);
  return result;
}

int open_socket(const Address& address) {
  const int family = address.is_unix() ? AF_UNIX : address.is_ipv6() ? AF_INET6 : AF_INET;
  const int fd = must(calls().socket(family, SOCK_STREAM, 0), "be made");
  must(calls().fcntl(fd, F_SETFL, O_NONBLOCK), "stop blocking");
  return fd;
}

}  // namespace

Peer::Peer(const Address& server) : fd_(open_socket(server)) {
  has_resets_ = !server.is_unix();
  const platform::SocketAddress target = platform::to_socket_address(server.endpoint());
  const int result = calls().connect(fd_, target.get(), target.size);
  if (result != 0 && result != -EINPROGRESS) end_ = End::kReset;
}

Peer::~Peer() { static_cast<void>(calls().close(fd_)); }

void Peer::say(std::string_view text) {
  const Truce truce;
  unsent_ += text;
}

void Peer::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  static_cast<void>(calls().setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  static_cast<void>(calls().close(fd_));
  fd_ = open_socket(Address::loopback(0));  // a number that is ours to close
  unsent_.clear();
  end_ = End::kReset;
}

bool Peer::pump() {
  if (end_ == End::kReset) return false;
  const bool sent = send_some();
  return receive_some() || sent;
}

bool Peer::send_some() {
  bool moved = false;
  while (!unsent_.empty()) {
    const std::ptrdiff_t sent = calls().send(fd_, unsent_.data(), unsent_.size(), 0);
    if (sent == -EAGAIN || sent == -ENOTCONN) return moved;
    if (sent < 0) {  // the error is reported once; what has come can still be heard
      was_reset_ = true;
      unsent_.clear();
      return moved;
    }
    unsent_.erase(0, static_cast<std::size_t>(sent));
    moved = true;
  }
  if (finishes_ && !finished_ && calls().shutdown(fd_, SHUT_WR) == 0) finished_ = moved = true;
  return moved;
}

bool Peer::receive_some() {
  bool moved = false;
  for (std::size_t left = appetite_; left > 0 && end_ == End::kOpen;) {
    std::array<char, 65536> bytes;
    const std::ptrdiff_t got = calls().recv(fd_, bytes.data(), std::min(left, bytes.size()), 0);
    if (got == -EAGAIN || got == -ENOTCONN) break;
    moved = true;
    if (got <= 0) {
      end_ = got == 0 && !was_reset_ ? End::kFin : End::kReset;
      break;
    }
    heard_.append(bytes.data(), static_cast<std::size_t>(got));
    if (left != SIZE_MAX) left -= static_cast<std::size_t>(got);
  }
  return moved;
}

RawListener::RawListener() : fd_(open_socket(Address::loopback(0))) {
  const platform::SocketAddress name = platform::to_socket_address(Address::loopback(0).endpoint());
  must(calls().bind(fd_, name.get(), name.size), "be bound");
  must(calls().listen(fd_, 16), "listen");
  platform::SocketAddress bound;
  must(calls().getsockname(fd_, bound.get(), &bound.size), "tell its name");
  address_ = Address(platform::to_endpoint(bound));
}

RawListener::~RawListener() { static_cast<void>(calls().close(fd_)); }

std::unique_ptr<Peer> RawListener::accept() {
  platform::SocketAddress from;
  const int accepted = calls().accept(fd_, from.get(), &from.size);
  if (accepted < 0) return nullptr;
  must(calls().fcntl(accepted, F_SETFL, O_NONBLOCK), "stop blocking");
  return std::make_unique<Peer>(accepted);
}

std::string stream_of(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  unsigned value = seed;
  for (char& byte : text) {
    value = value * 1103515245U + 12345U;
    byte = static_cast<char>('a' + (value >> 16U) % 26U);
  }
  return text;
}

}  // namespace pollard::fault_run
