// Step 6: a test of the chat on the simulated kernel. Twelve minutes pass in a few milliseconds,
// and no port is opened. The class ChatRoom is that of step 5.
#include <any>
#include <chrono>
#include <exception>
#include <iostream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "pollard/pollard.h"
#include "pollard/testkit/sim/kernel.h"

using namespace pollard;
using namespace std::chrono_literals;

class ChatRoom {
 public:
  ChatRoom(EventLoop& loop, const HostPort& where, unsigned threads = 0)
      : server_(loop, where,
                {.on_connect = [this](const TcpConnectionPtr& guest) { enter(guest); },
                 .on_message = framed(kCodec, [this](const TcpConnectionPtr& guest,
                                                     std::string_view line) { say(guest, line); }),
                 .on_disconnect = [this](const TcpConnectionPtr& guest,
                                         const DisconnectReason& reason) { leave(guest, reason); }},
                {.threads = threads, .connection = kLimits}),
        clock_(loop.every(1min, [this] { tell_time(); })) {
    server_.start();
  }

  // Ends the chat: each guest still gets what was said before. Calls `done` then, or after `limit`.
  void close(Duration limit, Task done) { server_.stop_gracefully(limit, std::move(done)); }

  [[nodiscard]] const Address& address() const { return server_.address(); }
  [[nodiscard]] std::size_t guest_count() const { return server_.connection_count(); }

 private:
  // A longer line ends the connection.
  static inline const LineCodec kCodec{LineCodec::Options{.limit = 1000}};

  static inline const ConnectionOptions kLimits{
      // A guest who doesn't read what the others say can't fill our memory.
      .output_limit = std::size_t{1} << 20U,
      // A guest who is silent, or doesn't take what is sent, for so long has to go.
      .timeouts = {.read_idle = 10min, .write_stall = 30s}};

  static std::string name_of(const TcpConnectionPtr& guest) {
    return std::any_cast<std::string>(guest->context());
  }

  // The handlers run in the thread of each guest's loop. send() may be called from any
  // thread, so only the room's own members need the lock.
  void enter(const TcpConnectionPtr& guest) {
    const std::lock_guard lock(mutex_);
    guest->context() = "guest " + std::to_string(++arrivals_);
    send_framed(*guest, kCodec, "welcome, " + name_of(guest));
    tell_all(name_of(guest) + " came");
    guests_.insert(guest);
  }

  void say(const TcpConnectionPtr& speaker, std::string_view line) {
    const std::lock_guard lock(mutex_);
    tell_all(name_of(speaker) + ": " + std::string(line), speaker);
  }

  void leave(const TcpConnectionPtr& guest, const DisconnectReason& reason) {
    const std::lock_guard lock(mutex_);
    guests_.erase(guest);
    tell_all(name_of(guest) + " left (" + reason.to_string() + ")");
  }

  void tell_time() {
    const std::lock_guard lock(mutex_);
    tell_all("the room has been open for " + std::to_string(++minutes_) + " min");
  }

  void tell_all(const std::string& line, const TcpConnectionPtr& except = nullptr) {
    for (const TcpConnectionPtr& guest : guests_) {
      if (guest != except) send_framed(*guest, kCodec, line);
    }
  }

  std::mutex mutex_;
  unsigned arrivals_ = 0;
  unsigned minutes_ = 0;
  std::set<TcpConnectionPtr> guests_;
  TcpServer server_;  // its handlers use the members above until it is destroyed
  Timer clock_;       // destroyed first: then it runs no more
};

// A guest as the test sees it: what it has heard, and where it is.
struct Guest {
  Guest(EventLoop& loop, const Address& room)
      : client(loop, room, {.on_message = [this](const TcpConnectionPtr&, Buffer& input) {
                 heard += input.take();
               }}) {
    static_cast<void>(client.connect());
  }

  void say(std::string_view line) const { client.connection()->send(line); }
  [[nodiscard]] bool has_heard(std::string_view line) const {
    return heard.find(std::string(line) + '\n') != std::string::npos;
  }

  std::string heard;
  TcpClient client;
};

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("expected: " + what);
}

void test_chat(sim::Kernel& network, const PollerChoice& poller) {
  EventLoop loop({.poller = poller});
  const auto pass = [&loop](Duration time) {
    const Timer end = loop.after(time, [&loop] { loop.stop(); });
    loop.run();
  };
  const Address address = Address::loopback(7007);
  const ChatRoom room(loop, address);
  const Guest ann(loop, address);
  const Guest ben(loop, address);

  pass(1s);
  expect(room.guest_count() == 2, "two guests came");
  ann.say("hello\n");
  pass(1s);
  expect(ben.has_heard("guest 1: hello"), "Ben heard Ann");
  expect(!ann.has_heard("guest 1: hello"), "Ann did not hear herself");

  // Lines are lines, however the network cuts them.
  ann.say("half a li");
  pass(1s);
  expect(!ben.has_heard("guest 1: half a line"), "Ben heard no half of a line");
  ann.say("ne\nand another\n");
  pass(1s);
  expect(ben.has_heard("guest 1: half a line") && ben.has_heard("guest 1: and another"),
         "Ben heard two lines");

  pass(1min);
  expect(ann.has_heard("the room has been open for 1 min"), "the room told the time");

  // Something between Ann and the room resets her connection.
  network.cut(ann.client.connection()->local_address().endpoint());
  pass(1s);
  expect(ben.has_heard("guest 1 left (error: Connection reset by peer)"), "Ben saw Ann leave");

  // Ben has said nothing so far. A limit of time may be late by an eighth.
  pass(10min + 75s);
  expect(room.guest_count() == 0, "the room sent Ben away, who was silent for ten minutes");
}

int main(int argc, char** argv) try {
  const PollerChoice poller = poller_from_args(argc, argv);
  sim::Kernel network({.latency = 20ms});  // first: the loop has to find it
  const MonotonicTime start = network.now();
  test_chat(network, poller);
  expect(network.open_descriptors().empty(), "every descriptor is closed");
  std::cout << "ok: " << (network.now() - start) / 1s << " simulated seconds\n";
} catch (const std::exception& error) {
  std::cerr << "FAILED: " << error.what() << '\n';
  return 1;
}
