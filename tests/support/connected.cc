#include "pollard/tests/support/connected.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ostream>
#include <system_error>

#include "pollard/base/random.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/io.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::testing {
namespace {

std::size_t must(std::ptrdiff_t answer, const char* what) {
  const platform::Result result(answer);
  if (!result.ok()) throw std::system_error(result.error(), what);
  return result.count();
}

Address peer_of(const Descriptor& socket) {
  platform::Endpoint endpoint;
  if (!platform::peer_endpoint(socket.get(), endpoint).ok()) {
    endpoint.family = platform::Family::kIpv4;  // it has gone already
  }
  return Address(std::move(endpoint));
}

EventLoopOptions with_poller(EventLoopOptions options, const BackendCase& backend) {
  options.poller = backend.poller;
  return options;
}

}  // namespace

Duration long_enough() { return sim::Kernel::current() != nullptr ? Duration(1h) : 10s; }

bool loopback_delivers_at_once() {
  const Pair pair = tcp_pair();
  for (int attempt = 0; attempt < 20; ++attempt) {
    write_text(pair.near.get(), ".");
    if (peek(pair.far.get()) == Meets::kNothing) return false;
    read_text(pair.far.get());
  }
  return true;
}

// What is on its way arrives. On the simulated kernel that is exact; on a real one that delivers
// later, a wait of this length finds what is there.
Duration let_arrive() {
  constexpr Duration kLongEnough = 10ms;
  if (sim::Kernel* const simulated = sim::Kernel::current()) {
    simulated->let_arrive();
    return Duration::zero();
  }
  static const bool at_once = loopback_delivers_at_once();
  return at_once ? Duration::zero() : kLongEnough;
}

std::string why_no_balancing() {
  const platform::Result made = platform::open_stream_socket(platform::Family::kIpv4);
  const Descriptor socket(made.descriptor());
  const platform::Result set = platform::set_reuse_port_balanced(socket.get());
  return set.ok() ? "" : "this kernel has no balanced SO_REUSEPORT: " + set.error().message();
}

void run_until_idle(EventLoop& loop) {
  // Two turns without anything: what one turn leaves for the next is done by then.
  for (int idle = 0; idle < 2;) {
    const Duration wait = let_arrive();
    const LoopStats before = loop.stats();
    static_cast<void>(loop.run_once(wait));
    const LoopStats after = loop.stats();
    const bool did = after.events != before.events || after.tasks != before.tasks ||
                     after.timers != before.timers;
    idle = did ? 0 : idle + 1;
  }
}

void expect_no_spin(EventLoop& loop, Duration time, std::uint64_t most_waits) {
  const MonotonicTime deadline = platform::monotonic_now() + time;
  const std::uint64_t before = loop.stats().waits;
  const auto waits = [&] { return loop.stats().waits - before; };
  for (MonotonicTime now = platform::monotonic_now(); now < deadline && waits() <= most_waits;
       now = platform::monotonic_now()) {
    static_cast<void>(loop.run_once(deadline - now));
  }
  BOOST_TEST(waits() <= most_waits, "the loop turns without anything to do");
}

void Journal::note(std::string what) {
  const bool again = what == "message" && !notes_.empty() && notes_.back() == what;
  if (!again) notes_.push_back(std::move(what));
}

std::size_t Journal::count(std::string_view what) const {
  return static_cast<std::size_t>(std::ranges::count(notes_, what));
}

std::string Journal::text() const {
  std::string all;
  for (const std::string& note : notes_) all += (all.empty() ? "" : ", ") + note;
  return all;
}

ConnectionHandlers Journal::handlers() {
  return {
      .on_connect = [this](const TcpConnectionPtr&) { note("connect"); },
      .on_message =
          [this](const TcpConnectionPtr&, Buffer& input) {
            note("message");
            received += input.take();
          },
      .on_disconnect =
          [this](const TcpConnectionPtr&, const DisconnectReason& reason) {
            note("disconnect " + reason.to_string());
          },
      .on_high_water = [this](const TcpConnectionPtr&) { note("high water"); },
      .on_low_water = [this](const TcpConnectionPtr&) { note("low water"); },
      .on_attempt_failed =
          [this](const FailedAttempt& failure) { note("failed " + failure.error.message()); },
      .on_give_up = [this](std::error_code error) { note("give up " + error.message()); },
  };
}

Connected::Connected(const BackendCase& backend, Pair pair, EventLoopOptions loop_options)
    : loop(with_poller(std::move(loop_options), backend)),
      near(std::move(pair.near)),
      peer(std::move(pair.far)) {
  options.trigger = choice_of(backend);
}

void Connected::open() {
  const auto shared = share_handlers(std::move(handlers));
  group = std::make_shared<ConnectionGroup>(loop, shared, options);
  bool opened = false;
  loop.post([&] {
    Address address = peer_of(near);
    const std::error_code failed = group->open(std::move(near), std::move(address));
    BOOST_TEST(!failed, failed.message());
    connection = group->any();
    opened = true;
  });
  until([&] { return opened; });
}

void Connected::say_as_much_as_is_taken(std::string_view text) {
  until([&] {
    const platform::Result sent(
        kernel_calls().send(peer.get(), text.data(), text.size(), platform::kSendFlags));
    if (sent.would_block()) return false;
    if (sent.ok()) text.remove_prefix(sent.count());
    return !sent.ok() || text.empty();
  });
}

void Connected::say(std::string_view text) {
  until([&] {
    text.remove_prefix(write_some(peer.get(), text));
    return text.empty();
  });
}

std::string Connected::hear(std::size_t count) {
  std::string heard;
  until([&] {
    heard += read_text(peer.get(), count - heard.size());
    return heard.size() == count;
  });
  return heard;
}

std::string Connected::hear_to_the_end() {
  std::string heard;
  until([&] {
    heard += read_text(peer.get());
    const Meets next = peek(peer.get());
    return next == Meets::kEnd || next == Meets::kError;
  });
  return heard;
}

void Connected::end_peer() { end_sending(peer.get()); }

Meets peek(int fd) {
  char byte = 0;
  const platform::Result got(kernel_calls().recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT));
  if (!got.ok()) return got.would_block() ? Meets::kNothing : Meets::kError;
  return got.count() > 0 ? Meets::kData : Meets::kEnd;
}

std::ostream& operator<<(std::ostream& out, Meets meets) {
  constexpr std::array kNames = {"nothing", "data", "the end", "an error"};
  return out << kNames[static_cast<std::size_t>(meets)];
}

Descriptor connect_to(const Address& address) {
  Descriptor socket = start_connecting(address.endpoint());
  wait_writable(socket.get());
  return socket;
}

bool has_newcomer(const Listener& listener) {
  pollfd record{.fd = listener.fd.get(), .events = POLLIN, .revents = 0};
  return must(kernel_calls().poll(&record, 1, 0), "poll") > 0;
}

std::size_t write_some(int fd, std::string_view text) {
  if (text.empty()) return 0;
  const std::ptrdiff_t sent =
      kernel_calls().send(fd, text.data(), text.size(), platform::kSendFlags);
  return platform::Result(sent).would_block() ? 0 : must(sent, "send");
}

void say_unless_reset(int fd, std::string_view text) {
  const std::ptrdiff_t sent =
      kernel_calls().send(fd, text.data(), text.size(), platform::kSendFlags);
  const platform::Result result(sent);
  if (result.is(std::errc::connection_reset) || result.is(std::errc::broken_pipe)) return;
  must(sent, "send");
}

void end_sending(int fd) { must(kernel_calls().shutdown(fd, SHUT_WR), "shutdown"); }

void send_urgent(int fd, char byte) {
  must(kernel_calls().send(fd, &byte, 1, MSG_OOB), "send MSG_OOB");
}

void shrink_buffers(int fd, int bytes) {
  static_cast<void>(platform::set_send_buffer(fd, bytes));
  static_cast<void>(platform::set_receive_buffer(fd, bytes));
}

void give_room(int fd) {
  constexpr int kRoom = 65536;
  BOOST_TEST(platform::set_send_buffer(fd, kRoom).ok());
}

void send_descriptor(int fd, std::string_view text, int passed) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  iovec piece{const_cast<char*>(text.data()), text.size()};  // sendmsg doesn't write there
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof passed);
  std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  must(kernel_calls().sendmsg(fd, &message, 0), "sendmsg SCM_RIGHTS");
}

std::size_t open_descriptors() {
  constexpr int kMost = 4096;
  std::size_t open = 0;
  for (int fd = 0; fd < kMost; ++fd) {
    if (platform::is_open(fd)) ++open;
  }
  return open;
}

std::string pattern(std::size_t size, unsigned seed) {
  SplitMix64 random(seed);
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size; at += 8) {
    const std::uint64_t number = random.next();
    std::memcpy(bytes.data() + at, &number, std::min<std::size_t>(8, size - at));
  }
  return bytes;
}

}  // namespace pollard::testing
