// A seat in the chat: what you type is said, what the others say is shown. When the room is not
// there the client tries again, and leaves the keyboard alone meanwhile: nothing typed is lost.
//
//     chat_client --connect=localhost:7007 --poller=select
//     chat_client --connect=localhost:7007 < speech.txt
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_client.h"
#include "support/options.h"
#include "support/stop_signals.h"

namespace {

// What is typed, or what a file holds, which no poller has to watch: it is always there.
class Keyboard {
 public:
  /// `say` gets what was typed, and "" at its end.
  Keyboard(pollard::EventLoop& loop, std::function<void(std::span<const std::byte>)> say)
      : loop_(loop), say_(std::move(say)) {
    if (std::filesystem::is_regular_file("/dev/stdin")) return;
    // What can't be watched is refused here, and not only when somebody listens.
    typed_.emplace(loop, kStandardInput, pollard::Interest::kRead,
                   [this](pollard::Readiness) { read_some(); });
    typed_->set_interest(pollard::Interest::kNone);
  }

  void listen(bool on) {
    if (typed_.has_value()) {
      typed_->set_interest(on ? pollard::Interest::kRead : pollard::Interest::kNone);
    } else {
      next_piece_ =
          on ? loop_.after(pollard::Duration::zero(), [this] { read_on(); }) : pollard::Timer();
    }
  }

 private:
  static constexpr int kStandardInput = 0;

  // A piece of the file in each turn of the loop.
  void read_on() {
    next_piece_ = loop_.after(pollard::Duration::zero(), [this] { read_on(); });
    read_some();
  }

  void read_some() {
    std::array<std::byte, 4096> space;
    std::size_t count = 0;
    const std::error_code error = pollard::read_available(kStandardInput, space, count);
    if (error == std::errc::resource_unavailable_try_again) return;
    if (error) throw std::system_error(error, "reading standard input");
    say_(std::span(space).first(count));
  }

  pollard::EventLoop& loop_;
  std::function<void(std::span<const std::byte>)> say_;
  std::optional<pollard::Channel> typed_;  // not for a file
  pollard::Timer next_piece_;              // of a file
};

class Seat {
 public:
  Seat(pollard::EventLoop& loop, const std::string& room)
      : loop_(loop),
        keyboard_(loop, [this](auto typed) { say(typed); }),
        client_(loop, room,
                {.on_connect = [this](const auto&) { keyboard_.listen(true); },
                 .on_message = [](const auto&, auto& input) { show(input); },
                 .on_disconnect = [this](const auto&, const auto& reason) { left(reason); },
                 // The room takes its time: what is typed waits.
                 .on_high_water = [this](const auto&) { keyboard_.listen(false); },
                 .on_low_water = [this](const auto&) { keyboard_.listen(!going_); },
                 .on_attempt_failed = [](const auto& attempt) { tell_failure(attempt); }},
                {.reconnect = true}) {
    static_cast<void>(client_.connect());
  }

 private:
  void say(std::span<const std::byte> typed) {
    if (!typed.empty()) {
      client_.connection()->send(typed);
      return;
    }
    going_ = true;  // the end of what is typed; what was said leaves first
    keyboard_.listen(false);
    client_.disconnect();
  }

  static void show(pollard::Buffer& input) {
    std::cout << input.view() << std::flush;
    input.clear();
  }

  void left(const pollard::DisconnectReason& reason) {
    keyboard_.listen(false);
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
  Keyboard keyboard_;
  bool going_ = false;
  pollard::TcpClient client_;  // last: it calls the others until it is gone
};

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  std::string room = "127.0.0.1:7007";
  examples::Options app("Says what you type to a chat_server, and shows what the others say.");
  app.add("--connect", room, "where the room is: host:port, or unix:/path");
  if (const auto status = app.parse(argc, argv)) return *status;

  pollard::EventLoop loop({.poller = poller});
  const examples::StopSignals signals(loop, [&loop] { loop.stop(); });
  const Seat seat(loop, room);
  loop.run();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "chat_client: " << error.what() << '\n';
  return 1;
}
