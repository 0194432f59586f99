#include "pollard/testkit/sockets.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "pollard/platform/io.h"
#include "pollard/platform/poll.h"
#include "pollard/platform/process.h"
#include "pollard/platform/socket.h"
#include "pollard/platform/socket_address.h"
#include "pollard/testkit/faults.h"

namespace pollard::testing {
namespace {

// Throwing, and not an assertion of the test's framework: helpers run on any thread, and without
// one.
void must(const platform::Result& result, const char* what) {
  if (!result.ok()) throw std::system_error(result.error(), what);
}

// A call of the table's.
std::ptrdiff_t must(std::ptrdiff_t answer, const char* what) {
  must(platform::Result(answer), what);
  return answer;
}

// A call of the C library's.
int must_in_library(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), what);
  return result;
}

// Without the faults that a test has scripted: it is the library that they are to befall.
const platform::SystemCalls& kernel() { return kernel_calls(); }

void wait_for(int fd, short events) {
  pollfd record{.fd = fd, .events = events, .revents = 0};
  while (must(kernel().poll(&record, 1, -1), "poll") == 0) {
  }
}

MonotonicTime now() {
  timespec time{};
  must(kernel().clock_gettime(CLOCK_MONOTONIC, &time), "clock_gettime");
  return MonotonicTime(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

// Whether what is on its way makes room when it arrives. The wait may end at once, or late.
bool gets_room(int fd) {
  constexpr int kArrivesWithin = 60;  // longer than a packet takes on any kernel that tests meet
  const MonotonicTime deadline = now() + std::chrono::milliseconds(kArrivesWithin);
  pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
  do {
    if (must(kernel().poll(&room, 1, kArrivesWithin), "poll") > 0) return true;
  } while (now() < deadline);
  return false;
}

// send or write, never raising SIGPIPE.
std::ptrdiff_t put(int fd, const void* bytes, std::size_t size) {
  const std::ptrdiff_t sent = kernel().send(fd, bytes, size, platform::kSendFlags);
  const bool no_socket = sent == -static_cast<std::ptrdiff_t>(std::errc::not_a_socket);
  return no_socket ? kernel().write(fd, bytes, size) : sent;
}

std::ptrdiff_t peek(int fd, void* bytes, std::size_t size) {
  return kernel().recv(fd, bytes, size, MSG_PEEK);
}

Descriptor make_unix_socket() {
  Descriptor fd(static_cast<int>(must(kernel().socket(AF_UNIX, SOCK_STREAM, 0), "socket")));
  must(platform::make_nonblocking(fd.get()), "fcntl");
  return fd;
}

// Binds to a path that nobody has yet. Processes in sandboxes may share a number and /tmp.
platform::Endpoint bind_somewhere(int fd) {
  static std::atomic<unsigned> count{0};
  for (;;) {
    platform::Endpoint place{.family = platform::Family::kUnix};
    place.path = std::make_shared<const std::string>("/tmp/pollard-" + std::to_string(::getpid()) +
                                                     "-" + std::to_string(++count));
    const platform::SocketAddress address = platform::to_socket_address(place);
    const platform::Result bound(kernel().bind(fd, address.get(), address.size));
    if (bound.is(std::errc::address_in_use)) continue;
    must(bound, "bind");
    return place;
  }
}

platform::Endpoint loopback() {
  platform::Endpoint endpoint;
  if (!platform::parse_ip("127.0.0.1", endpoint)) throw std::logic_error("parse_ip");
  return endpoint;
}

}  // namespace

// By a listener, for the table of system calls has no socketpair.
Pair socket_pair() {
  const Descriptor listener = make_unix_socket();
  const platform::Endpoint place = bind_somewhere(listener.get());
  must(kernel().listen(listener.get(), 1), "listen");
  Pair pair;
  pair.near = make_unix_socket();
  const platform::SocketAddress address = platform::to_socket_address(place);
  const platform::Result connected(kernel().connect(pair.near.get(), address.get(), address.size));
  if (!connected.is(std::errc::operation_in_progress)) must(connected, "connect");
  wait_readable(listener.get());
  const std::ptrdiff_t far = kernel().accept(listener.get(), nullptr, nullptr);
  pair.far.reset(static_cast<int>(must(far, "accept")));
  must(platform::make_nonblocking(pair.far.get()), "fcntl");
  must(kernel().unlink(place.path->c_str()), "unlink");
  wait_writable(pair.near.get());
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

SilentListener::SilentListener() {
  // The first few fit in; who comes behind them waits.
  while (waiting.size() < 10) waiting.push_back(start_connecting(listener.endpoint));
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
  Descriptor moved = duplicate(fd.get(), number);
  if (moved.get() != number) throw std::logic_error("that descriptor number is taken");
  return moved;
}

Descriptor duplicate(int fd, int at_least) {
  const std::ptrdiff_t made = kernel().fcntl(fd, F_DUPFD_CLOEXEC, at_least);
  return Descriptor(static_cast<int>(must(made, "F_DUPFD_CLOEXEC")));
}

Descriptor temporary_file(std::string_view content) {
  std::string path = "/tmp/pollard-test-XXXXXX";
  Descriptor file(must_in_library(::mkstemp(path.data()), "mkstemp"));
  must_in_library(::unlink(path.c_str()), "unlink");
  const ssize_t written = ::write(file.get(), content.data(), content.size());
  must_in_library(static_cast<int>(written), "write");
  must_in_library(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)), "lseek");
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

std::size_t fill_for_good(int fd) {
  std::size_t sent = 0;
  do sent += fill(fd);
  while (gets_room(fd));
  return sent;
}

std::string read_text(int fd, std::size_t most) {
  std::string text;
  std::array<char, 16 * 1024> block;
  while (text.size() < most) {
    const std::size_t wanted = std::min(most - text.size(), block.size());
    const std::ptrdiff_t got = kernel().read(fd, block.data(), wanted);
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
  const std::ptrdiff_t there = peek(fd, space.data(), space.size());
  if (there < 0) return wait_readable(fd);
  if (platform::kPollPeerEnd == 0) return;
  // The simulated kernel may be that of a system without POLLRDHUP: then the end is not told.
  constexpr int kMostMilliseconds = 2000;
  pollfd record{.fd = fd, .events = platform::kPollPeerEnd, .revents = 0};
  must(kernel().poll(&record, 1, kMostMilliseconds), "poll");
}

std::error_code read_error(int fd) {
  char byte = 0;
  return platform::Result(peek(fd, &byte, 1)).error();
}

}  // namespace pollard::testing
