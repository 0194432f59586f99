// How much one connection does in one iteration of its loop, however busy it is.
#include <algorithm>
#include <string>

#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

constexpr std::size_t kReadBytes = 4096;

// The most calls of one iteration, while the peer always has more.
template <class Fill>
std::size_t most_calls_in_a_turn(Connected& one, Faults& faults, Call call, Fill fill) {
  std::size_t most = 0;
  for (int turn = 0; turn < 40; ++turn) {
    fill();
    const Duration arriving = let_arrive();
    const std::size_t before = faults.count(call);
    static_cast<void>(one.loop.run_once(arriving));
    most = std::max(most, faults.count(call) - before);
  }
  return most;
}

POLLARD_EACH_BACKEND_AND_TRIGGER(flooding_peer_is_read_a_few_times_in_an_iteration) {
  Faults faults;
  Connected one(backend, tcp_pair(), {.receive_buffer_bytes = kReadBytes});
  one.open();
  const std::string flood(64 * 1024, 'x');
  const std::size_t most =
      most_calls_in_a_turn(one, faults, Call::kRecv, [&] { write_some(one.peer.get(), flood); });
  // Four for an event, and four for what goes on.
  BOOST_TEST(most <= 8U);
  BOOST_TEST(most > 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(pauses_in_a_handler_bring_no_more_reads) {
  Faults faults;
  Connected one(backend, tcp_pair(), {.receive_buffer_bytes = kReadBytes});
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    input.clear();
    it->pause_reading();
    it->resume_reading();
  };
  one.open();
  const std::string flood(64 * 1024, 'x');
  const std::size_t most =
      most_calls_in_a_turn(one, faults, Call::kRecv, [&] { write_some(one.peer.get(), flood); });
  BOOST_TEST(most <= 8U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(greedy_peer_is_sent_to_a_few_times_in_an_iteration) {
  Faults faults;
  Connected one(backend);
  one.open();
  faults.cap(Call::kAnySend, 1000);
  BOOST_TEST(!one.connection->send(std::string(4U << 20U, 'x')));
  std::size_t heard = 0;
  const std::size_t most = most_calls_in_a_turn(one, faults, Call::kAnySend,
                                                [&] { heard += read_text(one.peer.get()).size(); });
  BOOST_TEST(most <= 32U);
  BOOST_TEST(heard > 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(yielding_sender_is_done_at_last) {
  Faults faults;
  Connected one(backend);
  one.open();
  faults.cap(Call::kAnySend, 1000);
  const std::string much = pattern(200'000);
  BOOST_TEST(!one.connection->send(much));
  one.connection->shutdown();
  BOOST_TEST((one.hear_to_the_end() == much));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(input_of_exactly_the_limit_may_be_left) {
  for (const std::size_t more : {0U, 1U}) {
    Connected one(backend);
    one.options.input_limit = 1000;
    std::size_t left = 0;
    one.handlers.on_message = [&](const TcpConnectionPtr&, Buffer& input) { left = input.size(); };
    one.open();
    one.say(std::string(1000 + more, 'x'));
    one.until([&] { return left == 1000 + more || one.group->open_count() == 0; });
    run_until_idle(one.loop);
    BOOST_TEST(one.group->open_count() == (more == 0 ? 1U : 0U));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(end_of_the_peer_is_reported_once_however_often_reading_resumes) {
  Connected one(backend);
  one.handlers.on_peer_end = [&](const TcpConnectionPtr&) { one.journal.note("peer end"); };
  one.open();
  one.end_peer();
  one.until([&] { return one.journal.has("peer end"); });
  for (int i = 0; i < 3; ++i) {
    one.connection->pause_reading();
    run_until_idle(one.loop);
    one.connection->resume_reading();
    run_until_idle(one.loop);
  }
  BOOST_TEST(one.journal.text() == "connect, peer end");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(write_stall_begins_when_limits_are_set_while_output_waits) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->send(std::string(16U << 20U, 'x')));
  run_until_idle(one.loop);
  one.connection->set_timeouts({.write_stall = 20ms});
  one.until_closed();
  BOOST_TEST(one.journal.has("disconnect timeout: " +
                             make_error_code(Error::kWriteStallTimeout).message()));
}

}  // namespace
}  // namespace pollard::testing
