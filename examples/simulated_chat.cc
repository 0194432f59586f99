// A test of the chat over a simulated network: ten minutes of talk, with connections that break,
// stall and come back, in a fraction of a second, the same each time. No port is opened, and nobody
// waits.
//
//     simulated_chat --poller=kqueue     on any system
//
// docs/testing-your-service.md goes through it.
#include <chrono>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/testkit/sim/kernel.h"
#include "support/chat_room.h"
#include "support/options.h"

namespace {

using namespace std::chrono_literals;

void expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("not so: " + what);
}

// Somebody in the room, who says a line every few seconds and notes what the others say.
class Guest {
 public:
  Guest(pollard::EventLoop& loop, const pollard::Address& room, std::chrono::seconds pace)
      : client_(loop, room,
                {.on_connect =
                     [this](const auto& connection) {
                       ++arrivals;
                       place_ = connection->local_address().endpoint();
                     },
                 .on_message = [this](const auto&, auto& input) { heard += input.take(); }},
                {.reconnect = true}),
        talk_(loop.every(pace, [this] { say("line " + std::to_string(++said_) + '\n'); })) {
    static_cast<void>(client_.connect());
  }

  void say(const std::string& line) {
    const pollard::TcpConnectionPtr connection = client_.connection();
    if (connection != nullptr) static_cast<void>(connection->send(line));
  }

  // Its end of the connection, by which the simulated kernel knows it.
  [[nodiscard]] const pollard::platform::Endpoint& place() const { return place_; }
  [[nodiscard]] bool is_there() const { return client_.connection() != nullptr; }

  int arrivals = 0;
  std::string heard;

 private:
  pollard::platform::Endpoint place_;
  pollard::TcpClient client_;
  int said_ = 0;
  pollard::Timer talk_;
};

bool in_order(const std::string& text, const std::string& first, const std::string& second) {
  const std::size_t at = text.find(first);
  return at != std::string::npos && text.find(second, at) != std::string::npos;
}

// The story: who does what when, and what must be true in between.
void test_chat(pollard::sim::Kernel& network, const pollard::PollerChoice& poller) {
  pollard::EventLoop loop({.poller = poller});
  const auto pass = [&loop](pollard::Duration time) {
    const pollard::Timer end = loop.after(time, [&loop] { loop.stop(); });
    loop.run();
  };
  const pollard::Address address = pollard::Address::loopback(7007);
  const examples::ChatRoom room(loop, address);
  Guest ann(loop, address, 3s);
  Guest ben(loop, address, 5s);
  Guest eve(loop, address, 7s);

  pass(1min);
  expect(room.guest_count() == 3, "three came");
  expect(in_order(ben.heard, "guest 1: line 1\n", "guest 1: line 19\n"), "Ben heard Ann");

  // Something between Ann and the room resets her connection. She comes back as a new guest.
  network.cut(ann.place());
  pass(1min);
  expect(ann.arrivals == 2 && room.guest_count() == 3, "Ann came back");
  expect(in_order(ben.heard, "guest 1 went\n", "guest 4 came\n"), "Ben saw Ann go and come");

  // Nothing reaches Eve for three minutes, and nobody else is disturbed by that.
  const std::string before = eve.heard;
  const std::size_t ben_before = ben.heard.size();
  network.stall(eve.place());
  pass(3min);
  expect(eve.heard == before, "Eve heard nothing");
  expect(ben.heard.size() > ben_before, "Ben heard more");
  network.resume(eve.place());
  pass(1s);
  expect(in_order(eve.heard.substr(before.size()), "guest 4: line 41\n", "guest 4: line 99\n"),
         "Eve heard it all in the end, in order");

  // The room can't be reached for a while: Ben tries again and again, ever more slowly.
  network.silence(address.endpoint());
  network.cut(ben.place());
  pass(2min);
  expect(!ben.is_there() && room.guest_count() == 2, "Ben is away");
  network.restore(address.endpoint());
  pass(3min);
  expect(ben.is_there() && room.guest_count() == 3, "Ben found the way");
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  examples::Options app(
      "Tests the chat over a simulated network, ten minutes in less than a second.");
  if (const auto status = app.parse(argc, argv)) return *status;

  const auto began = std::chrono::steady_clock::now();
  pollard::sim::Kernel network({.latency = 20ms});
  const pollard::MonotonicTime start = network.now();

  test_chat(network, poller);

  expect(network.open_descriptors().empty(), "every descriptor was closed");
  const auto took = std::chrono::steady_clock::now() - began;
  std::cout << "ok: " << (network.now() - start) / 1s << " simulated seconds, " << network.calls()
            << " system calls, " << network.waits() << " waits, in " << took / 1ms
            << " real milliseconds\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << "simulated_chat: " << error.what() << '\n';
  return 1;
}
