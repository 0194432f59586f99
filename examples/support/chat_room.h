// The room of the chat: what one guest says, all the others hear. A server as a user would write
// it: examples/chat_server serves it, examples/simulated_chat tests it.
#pragma once

#include <any>
#include <cstddef>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/where.h"

namespace examples {

// Guests may be served by several loops, and whoever says something says it to all of them. A send
// may come from any thread, so all that needs a lock is the list of who is there.
class ChatRoom {
 public:
  ChatRoom(pollard::EventLoop& loop, const pollard::HostPort& where, unsigned threads = 0)
      : server_(loop, where,
                {.on_connect = [this](const auto& guest) { enter(guest); },
                 .on_message = [this](const auto& guest, auto& input) { hear(guest, input); },
                 .on_disconnect = [this](const auto& guest, const auto&) { leave(guest); }},
                // Who talks without a line's end, or never listens, has to go.
                {.threads = threads,
                 .connection = {.input_limit = 4096, .output_limit = std::size_t{1} << 20U}}) {
    server_.start();
  }

  /// Lets everybody go, with what was said to them before.
  void close(pollard::Duration limit, pollard::Task done) {
    server_.stop_gracefully(limit, std::move(done));
  }

  [[nodiscard]] std::string where() const { return examples::where(server_); }
  [[nodiscard]] std::size_t guest_count() const {
    const std::lock_guard lock(mutex_);
    return guests_.size();
  }

 private:
  void enter(const pollard::TcpConnectionPtr& guest) {
    const std::lock_guard lock(mutex_);
    const std::string name = "guest " + std::to_string(++arrived_);
    guest->context() = name;
    guest->send({"You are ", name, "; ", std::to_string(guests_.size()), " others are here.\n"});
    tell_all(name + " came\n", guest);
    guests_.insert(guest);
  }

  // A message may be half a line, or several. What is left in `input` comes again with more.
  void hear(const pollard::TcpConnectionPtr& guest, pollard::Buffer& input) {
    while (const std::optional<std::size_t> end = input.find("\n")) {
      const std::lock_guard lock(mutex_);
      tell_all(name_of(guest) + ": " + input.take(*end + 1), guest);
    }
  }

  void leave(const pollard::TcpConnectionPtr& guest) {
    const std::lock_guard lock(mutex_);
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

  mutable std::mutex mutex_;
  unsigned arrived_ = 0;
  std::set<pollard::TcpConnectionPtr> guests_;
  pollard::TcpServer server_;  // last: it calls the others until it is gone
};

}  // namespace examples
