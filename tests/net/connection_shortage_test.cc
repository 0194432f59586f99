// A kernel that is short of memory or buffers for a moment: the connection waits and tries again,
// loses nothing, and doesn't turn the loop in the meantime.
#include <string>
#include <system_error>

#include "pollard/base/error.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

constexpr std::errc kShortages[] = {std::errc::no_buffer_space, std::errc::not_enough_memory};

POLLARD_EACH_BACKEND_AND_TRIGGER(input_arrives_after_a_shortage_of_memory) {
  for (const std::errc shortage : kShortages) {
    Faults faults;
    Connected one(backend);
    one.open();
    faults.fail(Call::kRecv, shortage, {.times = 4});
    const std::size_t before = faults.count(Call::kRecv);
    one.say("first ");
    one.until([&] { return faults.count(Call::kRecv) > before; });
    one.say("second");
    one.until([&] { return one.journal.received == "first second"; });
    one.end_peer();
    one.until_closed();
    BOOST_TEST(one.journal.text() == "connect, message, disconnect peer");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(output_arrives_after_a_shortage_of_memory) {
  for (const std::errc shortage : kShortages) {
    Faults faults;
    Connected one(backend);
    one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
      BOOST_TEST(!it->send(input));
    };
    one.open();
    faults.fail(Call::kAnySend, shortage, {.times = 3});
    one.say("echo");
    BOOST_TEST(one.hear(4) == "echo");
    const std::string much = pattern(4U << 20U);
    faults.fail(Call::kAnySend, shortage, {.after = 2, .times = 3});
    BOOST_TEST(!one.connection->send("head "));
    BOOST_TEST(!one.connection->send(much));
    BOOST_TEST(!one.connection->send_file({temporary_file(much), 0, much.size()}));
    one.connection->shutdown();
    BOOST_TEST((one.hear_to_the_end() == "head " + much + much));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(starving_connection_does_not_spin) {
  Faults faults;
  Connected one(backend);
  one.open();
  faults.fail(Call::kRecv, std::errc::no_buffer_space, {.times = kForever});
  faults.fail(Call::kAnySend, std::errc::no_buffer_space, {.times = kForever});
  one.say("unheard");
  BOOST_TEST(!one.connection->send("unsaid"));
  // 1, 2, 4, 8 and 16 ms after each other, for each direction, and what began it.
  expect_no_spin(one.loop, 20ms, 16);
  BOOST_TEST(one.connection->connected());
  faults.restore(Call::kRecv);
  faults.restore(Call::kAnySend);
  BOOST_TEST(one.hear(6) == "unsaid");
  one.until([&] { return one.journal.received == "unheard"; });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(paused_connection_that_starved_is_read_when_it_resumes) {
  Faults faults;
  Connected one(backend);
  one.open();
  faults.fail(Call::kRecv, std::errc::no_buffer_space, {.times = 2});
  const std::size_t before = faults.count(Call::kRecv);
  one.say("late");
  one.until([&] { return faults.count(Call::kRecv) > before; });
  one.connection->pause_reading();
  const std::size_t paused = faults.count(Call::kRecv);
  expect_no_spin(one.loop, 20ms, 8);
  BOOST_TEST(faults.count(Call::kRecv) == paused);
  one.connection->resume_reading();
  one.until([&] { return one.journal.received == "late"; });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(shortage_that_lasts_ends_the_connection_with_its_error) {
  for (const Call call : {Call::kRecv, Call::kAnySend}) {
    Faults faults;
    StoppedClock clock(faults);
    Connected one(backend);
    one.open();
    faults.fail(call, std::errc::no_buffer_space, {.times = kForever});
    const std::size_t before = faults.count(call);
    call == Call::kRecv ? one.say("unheard") : static_cast<void>(one.connection->send("unsaid"));
    for (int second = 0; second < 200 && one.group->open_count() > 0; ++second) {
      run_until_idle(one.loop);
      clock.advance(1s);
    }
    BOOST_TEST(one.group->open_count() == 0U);
    BOOST_TEST(one.journal.has("disconnect error: " +
                               std::make_error_code(std::errc::no_buffer_space).message()));
    BOOST_TEST(faults.count(call) - before < 60U);
  }
}

}  // namespace
}  // namespace pollard::testing
