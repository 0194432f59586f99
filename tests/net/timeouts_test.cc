// Limits of time: which of them ends a connection, when, and what they cost those that are busy.
#include "pollard/net/tcp/timeouts.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <system_error>

#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

// Its connection notes which limit ended it.
class Limited : public Connected {
 public:
  Limited(const BackendCase& backend, Timeouts limits) : Connected(backend) {
    options.timeouts = limits;
    handlers.on_disconnect = [this](const TcpConnectionPtr&, const DisconnectReason& reason) {
      ended_at = platform::monotonic_now();
      ended = reason;
    };
  }

  void expect_end(Error limit) {
    until_closed();
    BOOST_TEST((ended.kind == DisconnectReason::Kind::kTimeout));
    BOOST_TEST(ended.error == limit);
    BOOST_TEST(ended.error == std::errc::timed_out);
    BOOST_TEST(ended.to_string() == "timeout: " + make_error_code(limit).message());
  }

  void expect_open() { BOOST_TEST(connection->connected()); }

  DisconnectReason ended;
  MonotonicTime ended_at{};
};

void turn_for(EventLoop& loop, Duration time) {
  const MonotonicTime end = platform::monotonic_now() + time;
  for (MonotonicTime now = platform::monotonic_now(); now < end; now = platform::monotonic_now()) {
    static_cast<void>(loop.run_once(end - now));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_sends_nothing_at_all_meets_the_first_byte_limit) {
  Limited one(backend, {.first_byte = 20ms});
  const MonotonicTime opened = platform::monotonic_now();
  one.open();
  one.expect_end(Error::kFirstByteTimeout);
  BOOST_TEST((one.ended_at - opened >= 20ms), "early");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(one_byte_satisfies_the_first_byte_limit_for_ever) {
  Limited one(backend, {.first_byte = 20ms});
  one.open();
  one.say("x");
  one.until([&] { return one.journal.received == "x"; });
  turn_for(one.loop, 60ms);
  one.expect_open();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_falls_silent_meets_the_read_idle_limit_though_we_send) {
  Limited one(backend, {.read_idle = 30ms});
  one.open();
  one.say("x");
  const MonotonicTime said = platform::monotonic_now();
  const Timer sending = one.loop.every(3ms, [&] { one.connection->send("still here"); });
  one.expect_end(Error::kReadIdleTimeout);
  BOOST_TEST((one.ended_at - said >= 30ms), "early");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_is_told_nothing_meets_the_write_idle_limit_though_it_sends) {
  Limited one(backend, {.write_idle = 30ms});
  one.open();
  one.connection->send("last words");
  const MonotonicTime sent = platform::monotonic_now();
  const Timer saying = one.loop.every(3ms, [&] { write_some(one.peer.get(), "x"); });
  one.expect_end(Error::kWriteIdleTimeout);
  BOOST_TEST((one.ended_at - sent >= 30ms), "early");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(either_way_is_enough_for_the_idle_limit_and_neither_is_not) {
  for (const bool we_send : {false, true}) {
    Faults faults;
    StoppedClock clock(faults);
    Limited one(backend, {.idle = 400ms});
    one.open();
    const auto pass_some = [&] {
      clock.advance(10ms);
      static_cast<void>(one.loop.run_once(1ms));
    };
    for (int times = 0; times < 120; ++times) {  // three limits long
      if (we_send) {
        one.connection->send("x");
      } else {
        one.say("x");
      }
      run_until_idle(one.loop);
      pass_some();
      BOOST_TEST_REQUIRE(one.connection->connected());
    }
    const MonotonicTime last = platform::monotonic_now() - 10ms;
    while (one.connection->connected() && platform::monotonic_now() - last < 10s) pass_some();
    one.expect_end(Error::kIdleTimeout);
    BOOST_TEST((one.ended_at - last >= 400ms), "early");
    BOOST_TEST((one.ended_at - last <= 500ms), "late");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_peer_that_does_not_read_meets_the_write_stall_limit) {
  Limited one(backend, {.write_stall = 30ms});
  one.open();
  turn_for(one.loop, 60ms);
  one.expect_open();  // nothing waits
  one.connection->send(std::string(32 << 20, 'x'));
  const MonotonicTime sent = platform::monotonic_now();
  one.expect_end(Error::kWriteStallTimeout);
  BOOST_TEST((one.ended_at - sent >= 30ms), "early");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_peer_that_reads_slowly_does_not_meet_the_write_stall_limit) {
  Faults faults;
  StoppedClock clock(faults);
  Limited one(backend, {.write_stall = 500ms});
  shrink_buffers(one.near.get());
  shrink_buffers(one.peer.get());
  one.open();
  one.connection->send(std::string(16 << 20, 'x'));
  run_until_idle(one.loop);
  // A loop reads the clock of limits after it has slept; after it was busy it believes no more than
  // a sixteenth of the limit.
  const auto pass_some = [&] {
    clock.advance(25ms);
    static_cast<void>(one.loop.run_once(1ms));
  };
  // Several limits long, of which no part is without progress for a whole one.
  for (int times = 0; times < 12; ++times) {
    const std::uint64_t before = one.connection->unsent();
    one.until([&] {
      static_cast<void>(read_text(one.peer.get(), 65536));
      return one.connection->unsent() < before;
    });
    for (int part = 0; part < 16; ++part) pass_some();
    BOOST_TEST_REQUIRE(one.connection->connected());
  }
  BOOST_TEST(one.connection->unsent() > 0U, "it was never kept waiting");
  one.until([&] {
    pass_some();
    return one.group->open_count() == 0;
  });
  one.expect_end(Error::kWriteStallTimeout);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(nobody_outlives_the_life_limit_however_busy) {
  Limited one(backend, {.max_lifetime = 30ms});
  const MonotonicTime opened = platform::monotonic_now();
  one.open();
  const Timer talking = one.loop.every(1ms, [&] {
    one.connection->send("x");
    write_some(one.peer.get(), "x");
  });
  one.expect_end(Error::kLifetimeTimeout);
  BOOST_TEST((one.ended_at - opened >= 30ms), "early");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(while_we_pause_reading_the_peer_is_not_idle) {
  Limited one(backend, {.first_byte = 20ms, .read_idle = 20ms, .idle = 20ms});
  one.open();
  one.connection->pause_reading();
  turn_for(one.loop, 60ms);
  one.expect_open();
  const MonotonicTime resumed = platform::monotonic_now();
  one.connection->resume_reading();
  one.until_closed();
  BOOST_TEST((one.ended_at - resumed >= 20ms), "the limits begin anew");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(limits_may_be_set_changed_and_lifted_in_the_middle_of_a_life) {
  Limited one(backend, {.idle = 20ms});
  one.open();
  one.connection->set_timeouts({});
  turn_for(one.loop, 40ms);
  one.expect_open();
  BOOST_TEST(one.loop.stats().watched == 2U);
  const MonotonicTime set = platform::monotonic_now();
  one.connection->set_timeouts({.max_lifetime = 20ms});
  one.expect_end(Error::kLifetimeTimeout);
  BOOST_TEST((one.ended_at - set >= 20ms), "early");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_may_set_the_limits) {
  Limited one(backend, {});
  one.handlers.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
    input.clear();
    connection->set_timeouts({.read_idle = 10ms});
  };
  one.open();
  one.say("x");
  one.expect_end(Error::kReadIdleTimeout);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(limits_of_an_ended_connection_disturb_nobody) {
  Limited one(backend, {.idle = 10ms, .max_lifetime = 10ms});
  one.open();
  one.connection->force_close();
  one.until_closed();
  one.connection->set_timeouts({.max_lifetime = 1ms});
  turn_for(one.loop, 20ms);
  BOOST_TEST((one.ended.kind == DisconnectReason::Kind::kLocal));
}

// The promise: no timer and no system call for each message. (What it costs in instructions, the
// guards know: bench/limits.)
POLLARD_EACH_BACKEND_AND_TRIGGER(limits_cost_a_busy_connection_no_clock_reading_for_each_message) {
  Faults faults;
  Limited one(
      backend,
      {.first_byte = 1h, .read_idle = 1h, .write_idle = 1h, .idle = 1h, .max_lifetime = 24h});
  std::size_t answers = 0;
  one.handlers.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
    connection->send(input);
    ++answers;
  };
  one.open();
  run_until_idle(one.loop);
  // Where an answer takes its time to arrive, the room that it leaves may be an edge of its own.
  const std::size_t waits_each = loopback_delivers_at_once() ? 1 : 2;
  constexpr std::size_t kMessages = 1000;
  const std::size_t clocks = faults.count(Call::kClockGettime);
  const std::size_t waits = faults.count(Call::kWait);
  for (std::size_t message = 0; message < kMessages; ++message) {
    write_text(one.peer.get(), "ping");
    while (answers == message) static_cast<void>(one.loop.run_once());
    wait_readable(one.peer.get());
    read_text(one.peer.get());
  }
  BOOST_TEST(faults.count(Call::kClockGettime) - clocks <= kMessages / 32);
  BOOST_TEST(faults.count(Call::kWait) - waits <= waits_each * kMessages + kMessages / 32);
}

}  // namespace
}  // namespace pollard::testing
