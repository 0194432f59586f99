// The lives that the readiness table shows. What is to arrive has arrived before a state is shown:
// each step waits for it by poll(2).
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "pollard/platform/io.h"
#include "pollard/platform/socket.h"
#include "pollard/platform/wake.h"
#include "pollard/testkit/conformance/population.h"
#include "pollard/testkit/conformance/stage.h"

namespace pollard::conformance {
namespace {

// Waits for a hang-up or an error, whatever there is to read. A system that tells neither has the
// state shown as it is.
void wait_hangup(const Descriptor& fd) {
  constexpr int kMostMilliseconds = 2000;
  pollfd record{.fd = fd.get(), .events = 0, .revents = 0};
  kernel_calls().poll(&record, 1, kMostMilliseconds);
}

bool becomes_writable(const Descriptor& fd, int milliseconds) {
  pollfd record{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  return kernel_calls().poll(&record, 1, milliseconds) > 0;
}

Descriptor fresh_socket(platform::Family family) {
  const platform::Result made = platform::open_stream_socket(family);
  if (!made.ok()) throw std::system_error(made.error(), "socket");
  return Descriptor(made.descriptor());
}

void end_side(const Descriptor& fd) {
  const platform::Result ended = platform::shutdown_sending(fd.get());
  if (!ended.ok()) throw std::system_error(ended.error(), "shutdown");
}

void make_room(const Descriptor& far, const Descriptor& near) {
  do read_text(far.get());
  while (!becomes_writable(near, 1));
}

// A connection from its beginning to the end of both sides.
void play_connection(Stage& stage, const std::string& kind, Pair pair) {
  const auto show = [&](const char* state) { stage.show(kind + ", " + state); };
  stage.watch(pair.near, Interest::kBoth);
  show("connected");
  write_text(pair.far.get(), "data");
  wait_readable(pair.near.get());
  show("data");
  read_text(pair.near.get(), 2);
  show("half of the data read");
  read_text(pair.near.get());
  show("all data read");
  fill_for_good(pair.near.get());
  show("no room");
  make_room(pair.far, pair.near);
  show("room again");
  write_text(pair.far.get(), "data");
  end_side(pair.far);
  wait_for_end(pair.near.get());
  show("half-closed by its peer behind data");
  read_text(pair.near.get());
  show("half-closed by its peer, data read");
  end_side(pair.near);
  wait_hangup(pair.near);
  show("both sides shut");
}

void play_own_end(Stage& stage, const std::string& kind, Pair pair) {
  stage.watch(pair.near, Interest::kBoth);
  end_side(pair.near);
  wait_readable(pair.far.get());
  stage.show(kind + ", half-closed by itself");
  write_text(pair.far.get(), "data");
  wait_readable(pair.near.get());
  stage.show(kind + ", half-closed by itself, data");
  read_text(pair.near.get());
  pair.far.reset();
  wait_hangup(pair.near);
  stage.show(kind + ", half-closed by itself, then by its peer");
}

void play_peer_close(Stage& stage, const std::string& kind, Pair pair) {
  stage.watch(pair.near, Interest::kBoth);
  write_text(pair.far.get(), "data");
  pair.far.reset();
  wait_for_end(pair.near.get());
  stage.show(kind + ", closed by its peer behind data");
  read_text(pair.near.get());
  stage.show(kind + ", closed by its peer, data read");
}

void play_unread_close(Stage& stage, const std::string& kind, Pair pair) {
  stage.watch(pair.near, Interest::kBoth);
  write_text(pair.near.get(), "never read");
  wait_readable(pair.far.get());
  pair.far.reset();
  wait_hangup(pair.near);
  stage.show(kind + ", closed by a peer with unread data");
}

// A connect that is under way: nobody answers while the queue of a listener is full.
void play_connecting(Stage& stage) {
  constexpr int kMost = 16;
  const Listener listener = listen_on_loopback(0);
  std::vector<Descriptor> queue;
  for (int i = 0; i < kMost; ++i) {
    queue.push_back(start_connecting(listener.endpoint));
    if (!becomes_writable(queue.back(), 50)) break;
  }
  stage.watch(queue.back(), Interest::kBoth);
  stage.show("TCP, connecting");
}

void play_refused(Stage& stage) {
  const Descriptor fd = fresh_socket(platform::Family::kIpv4);
  const platform::Result connecting = platform::connect_socket(fd.get(), refusing_endpoint());
  if (!connecting.is(std::errc::operation_in_progress)) {
    throw NotSupported("this kernel refuses a connect at once");
  }
  wait_hangup(fd);
  stage.watch(fd, Interest::kBoth);
  stage.show("TCP, refused");
  static_cast<void>(platform::take_socket_error(fd.get()));
  stage.show("TCP, refused, SO_ERROR taken");
}

void play_fresh(Stage& stage, const std::string& kind, platform::Family family) {
  const Descriptor fd = fresh_socket(family);
  stage.watch(fd, Interest::kBoth);
  stage.show(kind + ", fresh");
}

}  // namespace

void play_tcp_lives(Stage& stage) {
  play_fresh(stage, "TCP", platform::Family::kIpv4);
  play_connecting(stage);
  play_refused(stage);
  play_connection(stage, "TCP", tcp_pair());
  play_own_end(stage, "TCP", tcp_pair());
  play_peer_close(stage, "TCP", tcp_pair());
  play_unread_close(stage, "TCP", tcp_pair());
}

void play_tcp_ends(Stage& stage) {
  Pair reset = tcp_pair();
  stage.watch(reset.near, Interest::kBoth);
  reset_connection(reset.far);
  wait_hangup(reset.near);
  stage.show("TCP, reset");
  static_cast<void>(platform::take_socket_error(reset.near.get()));
  stage.show("TCP, reset, SO_ERROR taken");

  Pair unread = tcp_pair();
  stage.watch(unread.near, Interest::kBoth);
  write_text(unread.far.get(), "data");
  wait_readable(unread.near.get());
  reset_connection(unread.far);
  wait_hangup(unread.near);
  stage.show("TCP, reset behind unread data");

  Pair broken = tcp_pair();
  stage.watch(broken.near, Interest::kBoth);
  broken.far.reset();
  wait_for_end(broken.near.get());
  write_text(broken.near.get(), "to nobody");
  wait_hangup(broken.near);
  stage.show("TCP, closed by its peer and written to");

  const Pair urgent = tcp_pair();
  stage.watch(urgent.near, Interest::kBoth);
  kernel_calls().send(urgent.far.get(), "!", 1, MSG_OOB | platform::kSendFlags);
  write_text(urgent.far.get(), "data");
  wait_readable(urgent.near.get());
  stage.show("TCP, urgent data");
}

void play_unix_lives(Stage& stage) {
  play_fresh(stage, "Unix", platform::Family::kUnix);
  play_connection(stage, "Unix", socket_pair());
  play_own_end(stage, "Unix", socket_pair());
  play_peer_close(stage, "Unix", socket_pair());
  play_unread_close(stage, "Unix", socket_pair());
}

void play_pipe_lives(Stage& stage) {
  Pipe read = open_pipe();
  stage.watch(read.read, Interest::kRead);
  stage.show("pipe's reader, empty");
  write_text(read.write.get(), "data");
  stage.show("pipe's reader, data");
  read.write.reset();
  stage.show("pipe's reader, writer gone behind data");
  read_text(read.read.get());
  stage.show("pipe's reader, writer gone, data read");

  Pipe write = open_pipe();
  stage.watch(write.write, Interest::kWrite);
  stage.show("pipe's writer, room");
  fill_for_good(write.write.get());
  stage.show("pipe's writer, no room");
  make_room(write.read, write.write);
  stage.show("pipe's writer, room again");
  write.read.reset();
  stage.show("pipe's writer, reader gone");

  Pipe full = open_pipe();
  fill_for_good(full.write.get());
  stage.watch(full.write, Interest::kWrite);
  full.read.reset();
  stage.show("pipe's writer, reader gone and no room");
}

void play_wake_lives(Stage& stage) {
  platform::WakeDescriptor wake;
  const Descriptor fd = duplicate(wake.fd());
  stage.watch(fd, Interest::kRead);
  stage.show("wake descriptor, quiet");
  wake.wake();
  stage.show("wake descriptor, rung");
  wake.wake();
  stage.show("wake descriptor, rung again");
  wake.drain();
  stage.show("wake descriptor, drained");
}

void play_listener_lives(Stage& stage) {
  const Listener listener = listen_on_loopback();
  stage.watch(listener.fd, Interest::kRead);
  stage.show("listener, nobody waits");
  Descriptor first = start_connecting(listener.endpoint);
  wait_readable(listener.fd.get());
  stage.show("listener, one waits");
  const Descriptor second = start_connecting(listener.endpoint);
  wait_writable(second.get());
  stage.show("listener, two wait");
  const Descriptor accepted = accept_from(listener);
  stage.show("listener, one of two accepted");
  const Descriptor accepted_too = accept_from(listener);
  stage.show("listener, both accepted");
}

void play_registrations(Stage& stage) {
  Pair closed = socket_pair();
  stage.watch(closed.near, Interest::kBoth);
  write_text(closed.far.get(), "data");
  const int number = closed.near.get();
  closed.near.reset();
  stage.show("closed while registered");
  stage.show("closed while registered, the next wait");
  stage.unwatch();
  const Pair reused = socket_pair_at(number);
  stage.watch_next(reused.near, Interest::kBoth);
  stage.show("number reused");

  Pair doubled = socket_pair();
  stage.watch(doubled.near, Interest::kBoth);
  const Descriptor ghost = duplicate(doubled.near.get(), doubled.near.get() + 100);
  doubled.near.reset();
  stage.unwatch();
  write_text(doubled.far.get(), "data");
  stage.show("removed and closed, a duplicate alive");
}

}  // namespace pollard::conformance
