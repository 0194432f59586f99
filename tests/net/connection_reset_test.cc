// The last that a peer sees of a connection: a reset when output was lost, the end of the stream
// when none was. See the table in tcp_connection.h.
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

constexpr std::size_t kMuch = std::size_t{16} << 20U;  // more than the kernel's buffers hold

// Reads at the peer, turning the loop, until its stream is over: by its end or by an error.
Meets last_at_peer(Connected& one) {
  std::array<char, 16 * 1024> block;
  Meets last = Meets::kNothing;
  one.until([&] {
    for (;;) {
      const platform::Result got(
          kernel_calls().recv(one.peer.get(), block.data(), block.size(), MSG_DONTWAIT));
      if (got.ok() && got.count() > 0) continue;
      if (got.ok()) last = Meets::kEnd;
      if (!got.ok() && !got.would_block()) last = Meets::kError;
      return last != Meets::kNothing;
    }
  });
  return last;
}

// Queues more than leaves, and waits until what leaves at once has left.
void queue_much(Connected& one) {
  BOOST_TEST(!one.connection->send(std::string(kMuch, 'x')));
  run_until_idle(one.loop);
  BOOST_TEST_REQUIRE(one.connection->unsent() > 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(output_above_its_limit_ends_by_a_reset) {
  Connected one(backend);
  one.options.output_limit = 1U << 20U;
  one.open();
  BOOST_TEST(!one.connection->send(std::string(kMuch, 'x')));
  one.until_closed();
  BOOST_TEST(
      one.journal.has("disconnect error: " + make_error_code(Error::kOutputLimit).message()));
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(file_that_became_shorter_ends_by_a_reset) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->send_file({temporary_file("half"), 0, 8}));
  BOOST_TEST(last_at_peer(one) == Meets::kError);
  one.until_closed();
  BOOST_TEST(one.journal.text() ==
             "connect, disconnect error: " + std::make_error_code(std::errc::io_error).message());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(time_limit_with_waiting_output_ends_by_a_reset) {
  Connected one(backend);
  one.open();
  queue_much(one);
  one.connection->set_timeouts({.write_stall = 10ms});
  one.until_closed();
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(delayed_close_with_waiting_output_ends_by_a_reset) {
  Connected one(backend);
  one.open();
  queue_much(one);
  one.connection->shutdown(5ms);
  one.until_closed();
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(throwing_handler_with_queued_output_ends_by_a_reset) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    input.clear();
    static_cast<void>(it->send("half an answer"));
    throw std::runtime_error("and no more");
  };
  one.open();
  one.say("ask");
  BOOST_TEST(last_at_peer(one) == Meets::kError);
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect exception: and no more");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(force_close_with_queued_output_ends_by_a_reset) {
  Connected one(backend);
  one.open();
  queue_much(one);
  one.connection->force_close();
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

void send_in_another_thread(TcpConnection& connection) {
  std::thread([&] { BOOST_TEST(!connection.send("accepted")); }).join();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(force_close_before_a_threads_send_has_arrived_ends_by_a_reset) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    input.clear();
    send_in_another_thread(*it);
    it->force_close();  // as soon as this handler is done, before what other threads have posted
  };
  one.open();
  one.say("ask");
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(end_of_the_owner_before_a_threads_send_has_arrived_is_a_reset) {
  Connected one(backend);
  one.open();
  send_in_another_thread(*one.connection);
  one.group->close_all({});
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(end_of_the_owner_with_queued_output_is_a_reset) {
  Connected one(backend);
  one.open();
  queue_much(one);
  one.group->close_all({});
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(failure_with_more_output_than_fits_ends_by_a_reset) {
  Connected one(backend);
  one.open();
  queue_much(one);
  one.connection->close_with_error(Error::kMalformedMessage);
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

// Each of the ends, with nothing left to be sent.
template <class End>
void expect_clean_end(const BackendCase& backend, End end) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    if (input.take() == "throw") throw std::runtime_error("thrown");
    static_cast<void>(it->send("answer"));
  };
  one.open();
  one.say("ask");
  BOOST_TEST(one.hear(6) == "answer");
  end(one);
  BOOST_TEST(last_at_peer(one) == Meets::kEnd);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(each_end_that_loses_nothing_is_the_end_of_the_stream) {
  expect_clean_end(backend, [](Connected& one) { one.connection->force_close(); });
  expect_clean_end(backend, [](Connected& one) { one.connection->shutdown(); });
  expect_clean_end(backend, [](Connected& one) { one.connection->force_close_after(1ms); });
  expect_clean_end(
      backend, [](Connected& one) { one.connection->close_with_error(Error::kMessageTooLong); });
  expect_clean_end(backend, [](Connected& one) { one.group->close_all({}); });
  expect_clean_end(backend, [](Connected& one) { one.say("throw"); });
  expect_clean_end(backend,
                   [](Connected& one) { one.connection->set_timeouts({.max_lifetime = 1ms}); });
  expect_clean_end(backend, [](Connected& one) { one.end_peer(); });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(last_word_of_a_failure_arrives_before_the_end_of_the_stream) {
  Connected one(backend);
  one.open();
  static_cast<void>(one.connection->send("you broke it"));
  one.connection->close_with_error(Error::kMalformedMessage);
  BOOST_TEST(one.hear(12) == "you broke it");
  BOOST_TEST(last_at_peer(one) == Meets::kEnd);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(passed_on_reset_comes_behind_what_was_queued) {
  Connected one(backend);
  one.open();
  queue_much(one);
  one.connection->reset_when_sent(std::make_error_code(std::errc::connection_reset), 1h);
  BOOST_TEST(one.connection->send("too late") == Error::kNotConnected);
  BOOST_TEST(one.hear(one.connection->unsent()).size() > 0U);
  BOOST_TEST(last_at_peer(one) == Meets::kError);
  one.until_closed();
  BOOST_TEST(one.journal.text().ends_with("disconnect error: Connection reset by peer"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(passed_on_reset_follows_an_end_that_was_sent) {
  Connected one(backend);
  one.open();
  one.connection->shutdown();
  one.until([&] { return peek(one.peer.get()) == Meets::kEnd; });
  one.connection->reset_when_sent(std::make_error_code(std::errc::connection_reset), 10s);
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect error: Connection reset by peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(linger_interval_above_zero_is_refused) {
  Connected one(backend);
  one.open();
  BOOST_TEST(one.connection->set_linger(1s) == Error::kLingerBlocks);
  BOOST_TEST(one.connection->set_linger(-1s) == Error::kLingerBlocks);
  BOOST_TEST(!one.connection->set_linger(std::nullopt));
  BOOST_TEST(!one.connection->set_linger(0s));
  one.connection->force_close();
  BOOST_TEST(last_at_peer(one) == Meets::kError);
}

// With levels nothing tells of it, for the end that came before is reported no more.
POLLARD_EACH_BACKEND_AND_TRIGGER(reset_behind_the_peers_end_ends_the_connection) {
  Connected one(backend);
  one.handlers.on_peer_end = [&](const TcpConnectionPtr&) { one.journal.note("peer end"); };
  one.open();
  one.end_peer();
  one.until([&] { return one.journal.has("peer end"); });
  expect_no_spin(one.loop);
  one.reset_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text().starts_with("connect, peer end, disconnect error: "));
}

}  // namespace
}  // namespace pollard::testing
