// A bit of everything at once, by seed: servers and clients of the library, random messages, pauses
// and closes, with calls that are cut short and interrupted. Every byte is verified, and nothing is
// left.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/system_calls.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/dice.h"
#include "pollard/tests/support/effort.h"

namespace pollard::testing {
namespace {

// What the byte at some place of the stream of this number is: position and stream tell it.
char byte_of(std::uint64_t stream, std::uint64_t position) {
  const std::uint64_t mixed = (stream + 1) * 0x9e3779b97f4a7c15U + position * 0xbf58476d1ce4e5b9U;
  return static_cast<char>(mixed >> 56U);
}

std::string stream_part(std::uint64_t stream, std::uint64_t from, std::size_t size) {
  std::string part(size, '\0');
  for (std::size_t i = 0; i < size; ++i) part[i] = byte_of(stream, from + i);
  return part;
}

// Interrupts and shortens calls now and then. An edge tells once, so there a receive isn't
// shortened: that is what a kernel does only at the end of what it has.
void disturb(Faults& faults, Dice& dice, bool edge) {
  faults.replace<&platform::SystemCalls::recv>(
      [&faults, &dice, edge](int fd, void* bytes, std::size_t size, int flags) -> std::ptrdiff_t {
        if (dice.one_in(10)) return -static_cast<int>(std::errc::interrupted);
        if (!edge && dice.one_in(3)) size = std::min<std::size_t>(size, 1 + dice.up_to(2000U));
        return faults.underlying().recv(fd, bytes, size, flags);
      });
  faults.replace<&platform::SystemCalls::send>(
      [&](int fd, const void* bytes, std::size_t size, int flags) -> std::ptrdiff_t {
        if (dice.one_in(10)) return -static_cast<int>(std::errc::interrupted);
        if (dice.one_in(3)) size = std::min<std::size_t>(size, 1 + dice.up_to(2000U));
        return faults.underlying().send(fd, bytes, size, flags);
      });
}

// One client: sends its stream in random pieces and checks that the echo is the same stream. It
// comes back after each end, with another stream.
class Talker {
 public:
  Talker(EventLoop& loop, const Address& server, const TcpClientOptions& options, Dice& dice,
         std::uint64_t number)
      : loop_(loop),
        dice_(dice),
        stream_(number << 32U),
        client_(loop, server, handlers(), options) {
    static_cast<void>(client_.connect());
  }

  void stop() {
    pause_.cancel();
    client_.disconnect();
    if (client_.connection() != nullptr) client_.connection()->force_close();
  }

  std::uint64_t verified = 0;
  std::uint64_t lives = 0;
  bool wrong = false;

 private:
  ConnectionHandlers handlers() {
    return {
        .on_connect =
            [this](const TcpConnectionPtr& it) {
              ++stream_;
              ++lives;
              sent_ = heard_ = 0;
              say_more(it);
            },
        .on_message = [this](const TcpConnectionPtr& it, Buffer& input) { hear(it, input); },
        .on_disconnect = [this](const TcpConnectionPtr&,
                                const DisconnectReason&) { pause_.cancel(); },
    };
  }

  void say_more(const TcpConnectionPtr& it) {
    const std::uint64_t pieces = 1 + dice_.up_to(3);
    for (std::uint64_t i = 0; i < pieces; ++i) {
      const std::size_t size = 1 + dice_.up_to(dice_.one_in(20) ? 200'000U : 3'000U);
      std::string part = stream_part(stream_, sent_, size);
      sent_ += size;
      if (dice_.one_in(2)) {
        static_cast<void>(it->send(std::move(part)));
      } else {
        static_cast<void>(it->send(std::string_view(part)));
      }
    }
  }

  void hear(const TcpConnectionPtr& it, Buffer& input) {
    // Sometimes it leaves some, which must come again.
    const std::size_t take = dice_.one_in(5) ? dice_.up_to(input.size()) : input.size();
    wrong |= input.view().substr(0, take) != stream_part(stream_, heard_, take);
    input.consume(take);
    heard_ += take;
    verified += take;
    wrong |= heard_ > sent_;
    if (!input.empty() || dice_.one_in(15)) {
      it->pause_reading();
      pause_ =
          loop_.after(std::chrono::microseconds(dice_.up_to(2000)), [it] { it->resume_reading(); });
    }
    if (dice_.one_in(60)) {
      it->shutdown(20ms);
    } else if (dice_.one_in(60)) {
      it->force_close();
    } else if (heard_ == sent_) {
      say_more(it);
    }
  }

  EventLoop& loop_;
  Dice& dice_;
  std::uint64_t stream_;
  std::uint64_t sent_ = 0;
  std::uint64_t heard_ = 0;
  Timer pause_;
  TcpClient client_;
};

TcpServerOptions server_options(const BackendCase& backend, unsigned threads) {
  TcpServerOptions options;
  options.threads = threads;
  options.connection.trigger = choice_of(backend);
  options.connection.high_water = 100'000;
  options.connection.low_water = 20'000;
  options.connection.pause_reading_when_full = threads == 0;
  return options;
}

ConnectionHandlers echo(Dice& dice) {
  return {
      .on_message =
          [&dice](const TcpConnectionPtr& it, Buffer& input) {
            if (dice.one_in(3)) {
              const std::size_t take = 1 + dice.up_to(input.size() - 1);
              static_cast<void>(it->send(input.take(take)));
            } else {
              static_cast<void>(it->send(input));
            }
            // What is left goes too, from another place.
            if (!input.empty()) static_cast<void>(it->send(input));
            if (dice.one_in(200)) it->force_close();
            if (dice.one_in(200)) it->shutdown(10ms);
          },
  };
}

POLLARD_EACH_BACKEND_AND_TRIGGER(whatever_happens_no_byte_is_wrong_and_nothing_is_left) {
  constexpr std::uint64_t kTalkers = 12;
  const bool simulated = &platform::system_calls() != &platform::real_system_calls();
  const std::size_t descriptors = open_descriptors();
  Dice dice(std::hash<std::string>()(backend.poller));
  {
    Faults faults;
    disturb(faults, dice, backend.trigger == Trigger::kEdge);
    EventLoop loop({.poller = backend.poller});
    TcpServer here(loop, Address::loopback(0), echo(dice), server_options(backend, 0));
    TcpServer there(loop, Address::loopback(0), echo(dice), server_options(backend, 2));
    here.start();
    there.start();
    TcpClientOptions options{.reconnect = true};
    options.connection.trigger = choice_of(backend);
    options.connector.backoff = {.initial = 1ms, .maximum = 4ms};
    std::vector<std::unique_ptr<Talker>> talkers;
    while (talkers.size() < kTalkers) {
      const std::uint64_t number = talkers.size();
      const TcpServer& server = number % 2 == 0 ? here : there;
      talkers.push_back(
          std::make_unique<Talker>(loop, server.address(), options, dice, number + 1));
    }
    bool over = false;
    // Simulated seconds are full of work, and cost more than real ones.
    const std::chrono::milliseconds length(repeated(simulated ? 200 : 1500));
    const Timer end = loop.after(length, [&] { over = true; });
    const auto all = [&](auto condition) { return std::ranges::all_of(talkers, condition); };
    const std::uint64_t enough = repeated(10'000);
    run_until(loop, [&] {
      return over && all([&](const auto& one) { return one->lives > 2 && one->verified > enough; });
    });
    BOOST_TEST(all([](const auto& one) { return !one->wrong; }), "an echo isn't what was sent");
    // Half of them go in good order, the others as they are.
    for (std::size_t i = 0; i < kTalkers / 2; ++i) talkers[i]->stop();
    bool done = false;
    here.stop_gracefully(50ms, [&] { done = true; });
    run_until(loop, [&] { return done; });
    BOOST_TEST(here.connection_count() == 0U);
    talkers.clear();
    there.stop();
    BOOST_TEST(there.connection_count() == 0U);
    const TcpServerStats stats = there.stats();
    std::uint64_t closed = 0;
    for (const std::uint64_t count : stats.closed) closed += count;
    BOOST_TEST(closed == stats.accepted - stats.refused - stats.failed);
  }
  BOOST_TEST(open_descriptors() == descriptors, "a descriptor is left");
}

}  // namespace
}  // namespace pollard::testing
