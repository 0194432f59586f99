// What a peer may do at any time: end one half or both, reset, say nothing, take nothing.
#include <string>
#include <system_error>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

using State = TcpConnection::State;

const std::string kReset = "disconnect error: Connection reset by peer";

// ---- Half a connection ----

POLLARD_EACH_BACKEND_AND_TRIGGER(without_on_peer_end_what_is_queued_leaves_before_the_end) {
  Connected one(backend);
  const std::string answer = pattern(12U << 20U);
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    input.clear();
    BOOST_TEST(!it->send(std::string_view(answer)));
  };
  one.open();
  write_text(one.peer.get(), "question");
  one.end_peer();
  BOOST_TEST((one.hear_to_the_end() == answer));
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, high water, low water, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(with_on_peer_end_the_connection_stays_open_for_answers) {
  Connected one(backend);
  one.handlers.on_peer_end = [&](const TcpConnectionPtr&) { one.journal.note("peer end"); };
  one.open();
  write_text(one.peer.get(), "question");
  one.end_peer();
  one.until([&] { return one.journal.has("peer end"); });
  run_until_idle(one.loop);
  expect_no_spin(one.loop);
  BOOST_TEST(one.connection->connected());
  for (const char* answer : {"first ", "second "}) {
    BOOST_TEST(!one.connection->send(answer));
    BOOST_TEST(one.hear(std::string_view(answer).size()) == answer);
  }
  const std::string last = pattern(8U << 20U);
  BOOST_TEST(!one.connection->send(std::string_view(last)));
  one.connection->shutdown();
  BOOST_TEST((one.hear_to_the_end() == last));
  one.until_closed();
  BOOST_TEST(one.journal.text() ==
             "connect, message, peer end, high water, low water, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_end_of_the_peer_is_told_once_whatever_else_happens) {
  Connected one(backend);
  one.handlers.on_peer_end = [&](const TcpConnectionPtr& it) {
    one.journal.note("peer end");
    BOOST_TEST(!it->send("thanks"));
    it->pause_reading();
    it->resume_reading();
  };
  one.open();
  one.end_peer();
  BOOST_TEST(one.hear(6) == "thanks");
  one.connection->pause_reading();
  one.connection->resume_reading();
  run_until_idle(one.loop);
  expect_no_spin(one.loop);
  BOOST_TEST(one.journal.text() == "connect, peer end");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_peer_that_goes_after_its_end_ends_the_answers) {
  Connected one(backend);
  one.handlers.on_peer_end = [&](const TcpConnectionPtr&) { one.journal.note("peer end"); };
  one.open();
  one.end_peer();
  one.until([&] { return one.journal.has("peer end"); });
  one.peer.reset();
  one.until([&] {
    static_cast<void>(one.connection->send("is anybody there?"));
    return one.group->open_count() == 0;
  });
  BOOST_TEST(one.journal.text().starts_with("connect, peer end, disconnect error: "));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(ends_that_cross_are_one_end) {
  Connected one(backend);
  one.open();
  one.end_peer();
  one.connection->shutdown();
  one.until_closed();
  BOOST_TEST(one.journal.count("connect") == 1U);
  BOOST_TEST(one.hear_to_the_end() == "");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(input_is_delivered_behind_our_shutdown_until_the_peers_end) {
  for (const auto make : {tcp_pair, socket_pair}) {
    Connected one(backend, make());
    one.open();
    one.connection->shutdown();
    BOOST_TEST(one.hear_to_the_end() == "");
    const std::string sent = pattern(5U << 20U);
    one.say(sent);
    one.peer.reset();
    one.until_closed();
    BOOST_TEST((one.journal.received == sent));
    BOOST_TEST(one.journal.text() == "connect, message, disconnect local");
  }
}

// ---- Resets ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_reset_of_an_idle_connection_is_told) {
  Connected one(backend);
  one.open();
  run_until_idle(one.loop);
  one.reset_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, " + kReset);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_reset_with_our_output_queued_is_told_and_completes_nothing) {
  Connected one(backend);
  one.handlers.on_write_complete = [&](const TcpConnectionPtr&) { one.journal.note("complete"); };
  one.open();
  BOOST_TEST(!one.connection->send(std::string(20U << 20U, 'x')));
  run_until_idle(one.loop);
  BOOST_TEST(one.connection->unsent() > 0U);
  one.reset_peer();
  one.until_closed();
  BOOST_TEST(!one.journal.has("complete"));
  BOOST_TEST(one.journal.text().starts_with("connect, high water"));
  BOOST_TEST(one.journal.text().ends_with(kReset), one.journal.text());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_reset_while_disconnecting_is_told) {
  Connected one(backend);
  one.open();
  one.connection->shutdown();
  BOOST_TEST(one.hear_to_the_end() == "");
  one.reset_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, " + kReset);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_reset_while_shutdown_waits_for_the_output_is_told) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->send(std::string(20U << 20U, 'x')));
  one.connection->shutdown();
  run_until_idle(one.loop);
  BOOST_TEST((one.connection->state() == State::kDisconnecting));
  one.reset_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text().ends_with(kReset), one.journal.text());
}

// What the peer said before it went is still to be heard, whether it goes with a reset of its own
// or with input of ours unread, which makes a reset on Linux and macOS and none on the BSDs.
POLLARD_EACH_BACKEND_AND_TRIGGER(what_the_peer_said_before_its_reset_is_delivered) {
  for (const bool resets : {true, false}) {
    Connected one(backend);
    one.open();
    BOOST_TEST(!one.connection->send("never read"));
    run_until_idle(one.loop);
    write_text(one.peer.get(), "last words");
    resets ? one.reset_peer() : one.peer.reset();
    one.until_closed();
    BOOST_TEST(one.journal.received == "last words");
    const bool peer_ended = one.journal.text() == "connect, message, disconnect peer";
    BOOST_TEST((one.journal.text() == "connect, message, " + kReset || (!resets && peer_ended)));
  }
}

// A send meets the broken connection before the input is read.
POLLARD_EACH_BACKEND_AND_TRIGGER(input_is_delivered_first_when_a_send_fails) {
  const bool at_once = loopback_delivers_at_once();  // else, what has arrived is delivered
  for (const std::errc error : {std::errc::broken_pipe, std::errc::connection_reset}) {
    for (const bool queued : {false, true}) {
      Faults faults;
      Connected one(backend);
      one.handlers.on_write_complete = [&](const TcpConnectionPtr&) {
        one.journal.note("complete");
      };
      one.open();
      run_until_idle(one.loop);
      const std::string sent = pattern(1'500'000);
      std::string_view rest = sent;
      rest.remove_prefix(write_some(one.peer.get(), rest));
      static_cast<void>(let_arrive());
      faults.fail(Call::kAnySend, error, {.times = kForever});
      BOOST_TEST(!one.connection->send("hello"));
      if (queued) BOOST_TEST(!one.connection->send(std::string(1'000'000, 'x')));
      one.until_closed();
      BOOST_TEST(sent.starts_with(one.journal.received));
      if (at_once) BOOST_TEST(one.journal.received.size() == sent.size() - rest.size());
      const std::string message = std::make_error_code(error).message();
      BOOST_TEST(one.journal.text() == "connect, message, disconnect error: " + message);
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_send_that_fails_in_a_handler_ends_the_connection_once) {
  Faults faults;
  Connected one(backend);
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    one.journal.note("message");
    static_cast<void>(it->send(input));
  };
  one.open();
  faults.fail(Call::kAnySend, std::errc::broken_pipe, {.times = kForever});
  write_text(one.peer.get(), "one");
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, message, disconnect error: Broken pipe");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_receive_that_fails_ends_the_connection_with_its_error) {
  Faults faults;
  Connected one(backend);
  one.open();
  faults.fail(Call::kRecv, std::errc::timed_out);
  write_text(one.peer.get(), "text");
  one.until_closed();
  BOOST_TEST(one.journal.text() ==
             "connect, disconnect error: " + std::make_error_code(std::errc::timed_out).message());
}

// ---- A peer that takes nothing ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_peer_that_takes_nothing_spins_nobody_and_may_still_be_heard) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->send(std::string(10U << 20U, 'x')));
  run_until_idle(one.loop);
  expect_no_spin(one.loop);
  one.say("but I talk");
  one.until([&] { return one.journal.received == "but I talk"; });
  expect_no_spin(one.loop);
  one.peer.reset();
  one.until_closed();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_peer_that_ends_and_takes_nothing_spins_nobody) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->send(std::string(10U << 20U, 'x')));
  run_until_idle(one.loop);
  one.end_peer();
  one.until([&] { return !one.connection->connected(); });
  run_until_idle(one.loop);
  expect_no_spin(one.loop);
  BOOST_TEST(one.group->open_count() == 1U);
  BOOST_TEST(one.hear_to_the_end().size() == 10U << 20U);
  one.until_closed();
  BOOST_TEST(one.journal.has("disconnect peer"));
}

}  // namespace
}  // namespace pollard::testing
