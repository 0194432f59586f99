// Step 3: a chat. Each line that a guest sends goes to all the others.
#include <any>
#include <exception>
#include <iostream>
#include <set>
#include <string>
#include <string_view>

#include "pollard/pollard.h"

using namespace pollard;

class ChatRoom {
 public:
  ChatRoom(EventLoop& loop, const HostPort& where)
      : server_(
            loop, where,
            {.on_connect = [this](const TcpConnectionPtr& guest) { enter(guest); },
             .on_message = framed(kCodec, [this](const TcpConnectionPtr& guest,
                                                 std::string_view line) { say(guest, line); }),
             .on_disconnect = [this](const TcpConnectionPtr& guest,
                                     const DisconnectReason& reason) { leave(guest, reason); }}) {
    server_.start();
  }

  [[nodiscard]] const Address& address() const { return server_.address(); }

 private:
  // A longer line ends the connection.
  static inline const LineCodec kCodec{LineCodec::Options{.limit = 1000}};

  static std::string name_of(const TcpConnectionPtr& guest) {
    return std::any_cast<std::string>(guest->context());
  }

  void enter(const TcpConnectionPtr& guest) {
    guest->context() = "guest " + std::to_string(++arrivals_);
    send_framed(*guest, kCodec, "welcome, " + name_of(guest));
    tell_all(name_of(guest) + " came");
    guests_.insert(guest);
  }

  void say(const TcpConnectionPtr& speaker, std::string_view line) {
    tell_all(name_of(speaker) + ": " + std::string(line), speaker);
  }

  void leave(const TcpConnectionPtr& guest, const DisconnectReason& reason) {
    guests_.erase(guest);
    tell_all(name_of(guest) + " left (" + reason.to_string() + ")");
  }

  void tell_all(const std::string& line, const TcpConnectionPtr& except = nullptr) {
    for (const TcpConnectionPtr& guest : guests_) {
      if (guest != except) send_framed(*guest, kCodec, line);
    }
  }

  unsigned arrivals_ = 0;
  std::set<TcpConnectionPtr> guests_;
  TcpServer server_;  // last: its handlers use the other members until it is destroyed
};

int main(int argc, char** argv) try {
  EventLoop loop({.poller = poller_from_args(argc, argv)});
  const ChatRoom room(loop, argc > 1 ? argv[1] : "127.0.0.1:7007");
  std::cout << "listening on " << room.address().to_string() << std::endl;
  loop.run();
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
