// Step 5: the chat served by several loops, each in a thread of its own.
#include <any>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "pollard/pollard.h"

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

int main(int argc, char** argv) try {
  raise_descriptor_limit(100'000);  // each guest takes one, and the usual limit is 1024
  EventLoop loop({.poller = poller_from_args(argc, argv)});
  ChatRoom room(loop, argc > 1 ? argv[1] : "127.0.0.1:7007", 2);
  const SignalWatcher stop(loop, {SIGINT, SIGTERM},
                           [&](int) { room.close(2s, [&loop] { loop.stop(); }); });
  std::cout << "listening on " << room.address().to_string() << std::endl;
  loop.run();
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
