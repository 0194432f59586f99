// A chat: what one says, all the others hear. Start it, then `nc 127.0.0.1 7007` in two terminals.
//
//     chat --poller=poll
#include <any>
#include <cstddef>
#include <exception>
#include <iostream>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "pollard/net/event_loop.h"
#include "pollard/net/tcp_server.h"
#include "support/stop_signals.h"

namespace {

// All of it runs in one loop, so nothing needs a lock.
class Room {
 public:
  Room(pollard::EventLoop& loop, const pollard::Address& address)
      : server_(loop, address,
                {.on_connect = [this](const auto& guest) { enter(guest); },
                 .on_message = [this](const auto& guest, auto& input) { hear(guest, input); },
                 .on_disconnect = [this](const auto& guest, const auto&) { leave(guest); }},
                // Who talks without a line's end, or never listens, has to go.
                {.connection = {.input_limit = 4096, .output_limit = std::size_t{1} << 20U}}) {
    server_.start();
  }

  [[nodiscard]] const pollard::Address& address() const { return server_.address(); }

 private:
  void enter(const pollard::TcpConnectionPtr& guest) {
    const std::string name = "guest " + std::to_string(++arrived_);
    guest->context() = name;
    guest->send({"You are ", name, "; ", std::to_string(guests_.size()), " others are here.\n"});
    tell_all(name + " came\n", guest);
    guests_.insert(guest);
  }

  // A message may be half a line, or several. What is left in `input` comes again with more.
  void hear(const pollard::TcpConnectionPtr& guest, pollard::Buffer& input) {
    while (const std::optional<std::size_t> end = input.find("\n")) {
      tell_all(name_of(guest) + ": " + input.take(*end + 1), guest);
    }
  }

  void leave(const pollard::TcpConnectionPtr& guest) {
    guests_.erase(guest);
    tell_all(name_of(guest) + " went\n", guest);
  }

  void tell_all(std::string_view line, const pollard::TcpConnectionPtr& except) {
    for (const pollard::TcpConnectionPtr& guest : guests_) {
      if (guest != except) guest->send(line);
    }
  }

  static std::string name_of(const pollard::TcpConnectionPtr& guest) {
    return std::any_cast<std::string>(guest->context());
  }

  unsigned arrived_ = 0;
  std::set<pollard::TcpConnectionPtr> guests_;
  pollard::TcpServer server_;  // last: it calls the others until it is gone
};

}  // namespace

int main(int argc, char** argv) try {
  pollard::EventLoop loop({.poller = pollard::poller_from_args(argc, argv)});
  const Room room(loop, pollard::Address::parse(argc > 1 ? argv[1] : "127.0.0.1:7007"));
  const examples::StopSignals signals(loop, [&loop] { loop.stop(); });
  std::cout << "chatting on " << room.address().to_string() << " with " << loop.poller_name()
            << std::endl;
  loop.run();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "chat: " << error.what() << '\n';
  return 1;
}
