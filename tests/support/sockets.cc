#include "pollard/tests/support/sockets.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "pollard/platform/io.h"
#include "pollard/platform/poll.h"
#include "pollard/platform/process.h"
#include "pollard/platform/socket.h"

namespace pollard::testing {
namespace {

// Throwing, and not BOOST_REQUIRE, whose every use is a checkpoint: helpers run on any thread.
int must(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), what);
  return result;
}

void must(const platform::Result& result, const char* what) {
  if (!result.ok()) throw std::system_error(result.error(), what);
}

void wait_for(int fd, short events) {
  pollfd record{.fd = fd, .events = events, .revents = 0};
  while (must(::poll(&record, 1, -1), "poll") == 0) {
  }
}

// send or write, of the kernel itself and never raising SIGPIPE.
std::ptrdiff_t put(int fd, const void* bytes, std::size_t size) {
  const platform::SystemCalls& kernel = platform::real_system_calls();
  const std::ptrdiff_t sent = kernel.send(fd, bytes, size, platform::kSendFlags);
  const bool no_socket = sent == -static_cast<std::ptrdiff_t>(std::errc::not_a_socket);
  return no_socket ? kernel.write(fd, bytes, size) : sent;
}

platform::Endpoint loopback() {
  platform::Endpoint endpoint;
  if (!platform::parse_ip("127.0.0.1", endpoint)) throw std::logic_error("parse_ip");
  return endpoint;
}

}  // namespace

Pair socket_pair() {
  int fds[2];
  must(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
  Pair pair{Descriptor(fds[0]), Descriptor(fds[1])};
  must(platform::make_nonblocking(fds[0]), "fcntl");
  must(platform::make_nonblocking(fds[1]), "fcntl");
  return pair;
}

Pair socket_pair_at(int number) {
  Pair pair = socket_pair();
  if (pair.far.get() == number) std::swap(pair.near, pair.far);
  if (pair.near.get() != number) pair.near = move_to(std::move(pair.near), number);
  return pair;
}

Pipe open_pipe() {
  Pipe pipe;
  must(platform::open_pipe(pipe.read, pipe.write), "pipe");
  return pipe;
}

Listener listen_on_loopback(int backlog) {
  Listener listener;
  const platform::Result made = platform::open_stream_socket(platform::Family::kIpv4);
  must(made, "socket");
  listener.fd.reset(made.descriptor());
  must(platform::bind_socket(listener.fd.get(), loopback()), "bind");
  must(platform::listen_socket(listener.fd.get(), backlog), "listen");
  must(platform::local_endpoint(listener.fd.get(), listener.endpoint), "getsockname");
  return listener;
}

Descriptor start_connecting(const platform::Endpoint& to) {
  const platform::Result made = platform::open_stream_socket(to.family);
  must(made, "socket");
  Descriptor fd(made.descriptor());
  const platform::Result connected = platform::connect_socket(fd.get(), to);
  if (!connected.is(std::errc::operation_in_progress)) must(connected, "connect");
  return fd;
}

Descriptor accept_from(const Listener& listener) {
  wait_readable(listener.fd.get());
  platform::Endpoint peer;
  const platform::Result made = platform::accept_socket(listener.fd.get(), peer);
  must(made, "accept");
  return Descriptor(made.descriptor());
}

Pair tcp_pair() {
  const Listener listener = listen_on_loopback();
  Pair pair;
  pair.near = start_connecting(listener.endpoint);
  pair.far = accept_from(listener);
  wait_writable(pair.near.get());
  return pair;
}

platform::Endpoint refusing_endpoint() {
  // Bound and closed: the kernel gives such a port to the next bind(0) only after all the others.
  return listen_on_loopback().endpoint;
}

void reset_connection(Descriptor& fd) {
  must(platform::set_linger(fd.get(), std::chrono::seconds(0)), "SO_LINGER");
  fd.reset();
}

Descriptor move_to(Descriptor fd, int number) {
  if (platform::is_open(number)) throw std::logic_error("that descriptor number is taken");
  Descriptor moved(must(::dup2(fd.get(), number), "dup2"));
  must(::fcntl(number, F_SETFD, FD_CLOEXEC), "fcntl");
  return moved;
}

Descriptor duplicate(int fd, int at_least) {
  return Descriptor(must(::fcntl(fd, F_DUPFD_CLOEXEC, at_least), "F_DUPFD_CLOEXEC"));
}

Descriptor temporary_file(std::string_view content) {
  std::string path = "/tmp/pollard-test-XXXXXX";
  Descriptor file(must(::mkstemp(path.data()), "mkstemp"));
  must(::unlink(path.c_str()), "unlink");
  must(static_cast<int>(::write(file.get(), content.data(), content.size())), "write");
  must(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)), "lseek");
  return file;
}

bool can_open(int descriptors) {
  const auto wanted = static_cast<std::uint64_t>(descriptors);
  return platform::raise_descriptor_limit(wanted) >= wanted;
}

void write_text(int fd, std::string_view text) {
  while (!text.empty()) {
    const platform::Result written(put(fd, text.data(), text.size()));
    must(written, "write");
    text.remove_prefix(written.count());
  }
}

std::size_t fill(int fd) {
  static constexpr std::array<std::byte, 16 * 1024> kBlock{};
  std::size_t sent = 0;
  for (;;) {
    const std::ptrdiff_t written = put(fd, kBlock.data(), kBlock.size());
    if (written < 0) break;
    sent += static_cast<std::size_t>(written);
  }
  return sent;
}

std::string read_text(int fd, std::size_t most) {
  std::string text;
  std::array<char, 16 * 1024> block;
  while (text.size() < most) {
    const std::size_t wanted = std::min(most - text.size(), block.size());
    const ssize_t got = ::read(fd, block.data(), wanted);
    if (got <= 0) break;
    text.append(block.data(), static_cast<std::size_t>(got));
  }
  return text;
}

void wait_readable(int fd) { wait_for(fd, POLLIN); }

void wait_writable(int fd) { wait_for(fd, POLLOUT); }

void wait_for_end(int fd) {
  // No portable call asks for the end alone; where the end is known only by reading, peeking past
  // what is there does.
  std::array<char, 64 * 1024> space;
  const ssize_t there = ::recv(fd, space.data(), space.size(), MSG_PEEK);
  if (there < 0) return wait_readable(fd);
  if (platform::kPollPeerEnd != 0) wait_for(fd, platform::kPollPeerEnd);
}

std::error_code read_error(int fd) {
  char byte = 0;
  const ssize_t got = ::recv(fd, &byte, 1, MSG_PEEK);
  return {got < 0 ? errno : 0, std::system_category()};
}

}  // namespace pollard::testing
