// A seat in the chat: what you type is said, what the others say is shown. When the room is not
// there the client tries again, and leaves the keyboard alone meanwhile: nothing typed is lost.
//
//     chat_client --connect=localhost:7007 --poller=select
#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <system_error>

#include "pollard/net/channel.h"
#include "pollard/net/event_loop.h"
#include "pollard/net/tcp_client.h"
#include "pollard/platform/io.h"
#include "support/options.h"
#include "support/stop_signals.h"

namespace {

class Seat {
 public:
  Seat(pollard::EventLoop& loop, const std::string& room)
      : loop_(loop),
        keyboard_(loop, kStandardInput, pollard::Interest::kNone,
                  [this](pollard::Readiness) { say_what_was_typed(); }),
        client_(loop, room,
                {.on_connect = [this](const auto&) { keyboard_.set_interest(kTyping); },
                 .on_message = [](const auto&, auto& input) { show(input); },
                 .on_disconnect = [this](const auto&, const auto& reason) { left(reason); },
                 .on_attempt_failed = [](const auto& attempt) { tell_failure(attempt); }},
                {.reconnect = true}) {
    // What can't be watched is refused here, and not only once we are connected.
    keyboard_.set_interest(kTyping);
    keyboard_.set_interest(pollard::Interest::kNone);
    static_cast<void>(client_.connect());
  }

 private:
  static constexpr int kStandardInput = 0;
  static constexpr pollard::Interest kTyping = pollard::Interest::kRead;

  void say_what_was_typed() {
    std::array<std::byte, 4096> space;
    const auto got = pollard::platform::read(kStandardInput, space);
    if (got.interrupted() || got.would_block()) return;
    if (!got.ok()) throw std::system_error(got.error(), "reading standard input");
    if (got.count() > 0) {
      client_.connection()->send(std::span(space).first(got.count()));
      return;
    }
    going_ = true;  // the end of what is typed; what was said leaves first
    keyboard_.set_interest(pollard::Interest::kNone);
    client_.disconnect();
  }

  static void show(pollard::Buffer& input) {
    std::cout << input.view() << std::flush;
    input.clear();
  }

  void left(const pollard::DisconnectReason& reason) {
    keyboard_.set_interest(pollard::Interest::kNone);
    if (going_) return loop_.stop();
    std::cerr << "the room has gone (" << reason.to_string() << ")" << std::endl;
  }

  static void tell_failure(const pollard::FailedAttempt& attempt) {
    std::cerr << "no room to be found: " << attempt.error.message();
    if (attempt.next_delay.has_value()) {
      const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(*attempt.next_delay);
      std::cerr << "; again in " << wait.count() << " ms";
    }
    std::cerr << std::endl;
  }

  pollard::EventLoop& loop_;
  pollard::Channel keyboard_;
  bool going_ = false;
  pollard::TcpClient client_;  // last: it calls the others until it is gone
};

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  std::string room = "127.0.0.1:7007";
  CLI::App app("Says what you type to a chat_server, and shows what the others say.");
  app.option_defaults()->always_capture_default();
  app.add_option("--connect", room, "where the room is: host:port, or unix:/path");
  app.footer(examples::kAboutPoller);
  CLI11_PARSE(app, argc, argv);

  pollard::EventLoop loop({.poller = poller});
  const examples::StopSignals signals(loop, [&loop] { loop.stop(); });
  const Seat seat(loop, room);
  loop.run();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "chat_client: " << error.what() << '\n';
  return 1;
}
