// Limits of time in a loop that is busy, held up, or has more ready than one wait gives out.
#include <unistd.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pollard/net/loop/channel.h"
#include "pollard/net/tcp/timeouts.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

using platform::SystemCalls;

// A connection under limits, on a clock that goes when it is told to.
struct Limited : Connected {
  Limited(const BackendCase& backend, Timeouts limits) : Connected(backend) {
    options.timeouts = limits;
    handlers.on_disconnect = [this](const TcpConnectionPtr&, const DisconnectReason& reason) {
      ended = reason.to_string();
    };
    open();
  }
  // Ends the wait of a loop without events, so that the limits believe in nothing but sleep.
  void fall_asleep() {
    run_until_idle(loop);
    static_cast<void>(loop.run_once(1ms));
  }
  [[nodiscard]] bool closed() const { return group->open_count() == 0; }

  std::string ended;
};

// Has something left to do in each turn, and takes its time for it.
class Busy final : public Watcher {
 public:
  Busy(EventLoop& loop, int fd, MoveFunction<void()> work) : Watcher(loop), work_(std::move(work)) {
    BOOST_TEST_REQUIRE(!watch(fd, Interest::kNone, Trigger::kLevel));
  }
  using Watcher::at_turn_end;
  using Watcher::continue_next_turn;

 private:
  void on_ready(Readiness) override {
    work_();
    continue_next_turn({.readable = true});
  }
  void on_turn_end() override {
    work_();
    at_turn_end();
  }

  MoveFunction<void()> work_;
};

enum class Kind : unsigned char { kContinuation, kTurnEnd, kTask };

// How long a limit of one second takes in a loop of which each turn has work that takes `each`.
Duration time_until_closed(const BackendCase& backend, Timeouts limits, Kind kind, Duration each) {
  Faults faults;
  StoppedClock clock(faults);
  Limited one(backend, limits);
  one.fall_asleep();
  Duration passed{};
  const auto work = [&] {
    clock.advance(each);
    passed += each;
  };
  const Pair pair = socket_pair();
  Busy busy(one.loop, pair.near.get(), work);
  std::function<void()> task = [&] {
    work();
    one.loop.post([&] { task(); });
  };
  switch (kind) {
    case Kind::kContinuation: busy.continue_next_turn({.readable = true}); break;
    case Kind::kTurnEnd: busy.at_turn_end(); break;
    case Kind::kTask: task(); break;
  }
  while (!one.closed() && passed < 10s) static_cast<void>(one.loop.run_once());
  return passed;
}

POLLARD_EACH_BACKEND_AND_TRIGGER(limits_end_connections_while_another_has_work_in_each_turn) {
  for (const Kind kind : {Kind::kContinuation, Kind::kTurnEnd, Kind::kTask}) {
    for (const Duration each : {Duration(100us), Duration(1ms), Duration(20ms), Duration(45ms)}) {
      for (const Timeouts limits : {Timeouts{.first_byte = 1s}, Timeouts{.idle = 1s},
                                    Timeouts{.max_lifetime = 1s}, Timeouts{.write_idle = 1s}}) {
        // An end of a turn that is asked for in one comes twice a turn: before and after the wait.
        const Duration part = kind == Kind::kTurnEnd ? each / 2 : each;
        const Duration took = time_until_closed(backend, limits, kind, part);
        BOOST_TEST((took >= 1s), "early");
        BOOST_TEST((took <= 1500ms), "late: " << took.count() << " ns, each " << each.count());
      }
    }
  }
}

// A clock that jumps as soon as a wait has been made: the loop slept for so long.
class JumpingClock {
 public:
  explicit JumpingClock(Faults& faults) : faults_(faults) {
    faults.replace<&SystemCalls::clock_gettime>([this](clockid_t, timespec* time) {
      if (faults_.count(Call::kWait) > jumps_after_) {
        now_ += std::exchange(jump_, Duration::zero());
      }
      *time = platform::to_timespec(now_);
      return 0;
    });
  }
  void advance(Duration by) { now_ += by; }
  void jump_with_next_wait(Duration by) {
    jumps_after_ = faults_.count(Call::kWait);
    jump_ = by;
  }

 private:
  Faults& faults_;
  Duration now_ = 1h;
  Duration jump_{};
  std::size_t jumps_after_ = 0;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(time_in_which_a_handler_holds_an_idle_loop_up_does_not_count) {
  Faults faults;
  JumpingClock clock(faults);
  Limited one(backend, {.read_idle = 1s, .idle = 1s});
  one.fall_asleep();
  // The wait ends by its timeout, so that the loop has heard of nothing when the handler runs.
  bool held_up = false;
  const Timer timer = one.loop.after(5ms, [&] {
    clock.advance(10s);
    held_up = true;
  });
  clock.jump_with_next_wait(5ms);
  static_cast<void>(one.loop.run_once(1ms));
  BOOST_TEST_REQUIRE(held_up);
  for (int turn = 0; turn < 5; ++turn) static_cast<void>(one.loop.run_once(1ms));
  BOOST_TEST(!one.closed());
  Duration passed{};
  while (!one.closed() && passed < 10s) {
    clock.advance(25ms);
    passed += 25ms;
    static_cast<void>(one.loop.run_once(1ms));
  }
  BOOST_TEST((passed >= 900ms));
  BOOST_TEST((passed <= 1500ms));
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(limit_spares_connection_whose_data_is_beyond_one_batch,
                                      "it duplicates descriptors") {
  constexpr int kOthers = 520;  // more than one wait gives out, and before the connection
  Faults faults;
  JumpingClock clock(faults);
  const Pair pair = socket_pair();
  std::vector<Descriptor> others;
  for (int i = 0; i < kOthers; ++i) others.emplace_back(::dup(pair.near.get()));
  BOOST_TEST_REQUIRE(others.back().get() < 1000);
  Limited one(backend, {.idle = 1s});
  std::vector<std::unique_ptr<Channel>> channels;
  for (const Descriptor& other : others) {
    channels.push_back(
        std::make_unique<Channel>(one.loop, other.get(), Interest::kRead, [](Readiness) {}));
  }
  for (int times = 0; times < 3; ++times) {
    one.fall_asleep();
    write_text(pair.far.get(), "x");
    write_some(one.peer.get(), "y");
    clock.jump_with_next_wait(2s);
    for (int turn = 0; turn < 3; ++turn) static_cast<void>(one.loop.run_once(1ms));
    BOOST_TEST_REQUIRE(!one.closed());
    BOOST_TEST(one.journal.received == std::string(static_cast<std::size_t>(times) + 1, 'y'));
    read_text(pair.near.get());
  }
  one.fall_asleep();
  clock.jump_with_next_wait(2s);
  one.until_closed();
  BOOST_TEST(one.ended == "timeout: " + make_error_code(Error::kIdleTimeout).message());
}

// However many are always ready: the limits come to their turn.
POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(limits_work_while_more_is_ready_than_one_wait_gives_out,
                                      "it duplicates descriptors") {
  constexpr int kOthers = 700;
  Faults faults;
  JumpingClock clock(faults);
  const Pair pair = socket_pair();
  std::vector<Descriptor> others;
  for (int i = 0; i < kOthers; ++i) others.emplace_back(::dup(pair.near.get()));
  BOOST_TEST_REQUIRE(others.back().get() < 1000);
  Limited one(backend, {.idle = 1s});
  std::vector<std::unique_ptr<Channel>> channels;
  for (const Descriptor& other : others) {
    channels.push_back(
        std::make_unique<Channel>(one.loop, other.get(), Interest::kRead, [](Readiness) {}));
  }
  one.fall_asleep();
  write_text(pair.far.get(), "x");
  clock.jump_with_next_wait(2s);
  for (int turn = 0; turn < 10 && !one.closed(); ++turn) static_cast<void>(one.loop.run_once(1ms));
  BOOST_TEST(one.closed());
}

}  // namespace
}  // namespace pollard::testing
