#include "load/sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "support/sockets.h"

namespace load {
namespace {

// Fewer than an address has ports.
constexpr std::size_t kConnectionsOfAnAddress = 10000;
constexpr std::size_t kAddresses = 200;

sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
  return address;
}

}  // namespace

int connect_to(std::uint16_t port, std::size_t number) {
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) bench::die("socket");
  const int on = 1;
  // The port is chosen by connect, so that it need differ only from those to the same server.
  setsockopt(made, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  const auto host = static_cast<std::uint32_t>(1 + number / kConnectionsOfAnAddress % kAddresses);
  const sockaddr_in from = loopback(host, 0);
  if (bind(made, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) bench::die("bind");
  const sockaddr_in to = loopback(0, port);
  if (connect(made, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) bench::die("connect");
  bench::set_no_delay(made);
  if (fcntl(made, F_SETFL, O_NONBLOCK) != 0) bench::die("fcntl");
  return made;
}

std::size_t send_some(int socket, std::string_view bytes) {
  const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno != EAGAIN) bench::die("send");
  return 0;
}

std::string_view receive_some(int socket, std::span<char> buffer) {
  const ssize_t got = recv(socket, buffer.data(), buffer.size(), 0);
  if (got > 0) return {buffer.data(), static_cast<std::size_t>(got)};
  if (got < 0 && errno == EAGAIN) return {};
  if (got == 0) {
    std::fputs("the server ended a connection\n", stderr);
    std::exit(1);
  }
  bench::die("recv");
}

bool at_end(int socket) {
  char byte = 0;
  const ssize_t got = recv(socket, &byte, 1, 0);
  if (got == 0) return true;
  if (got < 0 && errno == EAGAIN) return false;
  if (got < 0) bench::die("recv");
  std::fputs("the server sent more than it was sent\n", stderr);
  std::exit(1);
}

Epoll::Epoll() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) bench::die("epoll_create1");
}

Epoll::~Epoll() { close(epoll_); }

void Epoll::add(int socket, std::uint32_t wanted, std::size_t number) {
  epoll_event event{};
  event.events = wanted;
  event.data.u64 = number;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) bench::die("epoll_ctl");
}

std::span<const epoll_event> Epoll::wait() {
  constexpr int kPatience = 60'000;  // milliseconds; a server that answers nothing is broken
  const int count = epoll_wait(epoll_, ready_, static_cast<int>(kBatch), kPatience);
  if (count < 0 && errno != EINTR) bench::die("epoll_wait");
  if (count == 0) {
    std::fputs("the server answers nothing any more\n", stderr);
    std::exit(1);
  }
  return {ready_, static_cast<std::size_t>(count < 0 ? 0 : count)};
}

}  // namespace load
