// What comes in: whole, in order, before the end, in bounded memory, and fairly among many.
#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

constexpr Pair (*kPairs[])() = {tcp_pair, socket_pair};

// Takes lines, leaves what is not a whole line.
void take_lines(Buffer& input, std::vector<std::string>& lines) {
  while (const auto end = input.find("\n")) {
    lines.push_back(input.take(*end));
    input.consume(1);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_a_handler_leaves_comes_again_with_more_behind_it) {
  Connected one(backend);
  std::vector<std::string> lines;
  one.handlers.on_message = [&](const TcpConnectionPtr&, Buffer& input) {
    take_lines(input, lines);
  };
  one.open();
  std::string sent;
  for (int i = 0; i < 20; ++i) sent += "line " + std::to_string(i) + '\n';
  for (const char byte : sent) {
    one.say({&byte, 1});
    run_until_idle(one.loop);
  }
  one.until([&] { return lines.size() == 20; });
  BOOST_TEST(lines.front() == "line 0");
  BOOST_TEST(lines.back() == "line 19");
  BOOST_TEST(one.connection->buffer_memory() == 0U, "an idle connection holds no memory");
}

// A Unix-domain stream may always read short; over TCP, a level is reported again.
POLLARD_EACH_BACKEND_AND_TRIGGER(receiving_byte_by_byte_loses_nothing) {
  const bool edge = backend.trigger == Trigger::kEdge;
  Faults faults;
  Connected one(backend, edge ? socket_pair() : tcp_pair());
  std::vector<std::string> lines;
  one.handlers.on_message = [&](const TcpConnectionPtr&, Buffer& input) {
    take_lines(input, lines);
  };
  one.open();
  faults.cap(Call::kRecv, 1);
  for (int i = 0; i < 50; ++i) one.say("line " + std::to_string(i) + '\n');
  one.end_peer();
  one.until_closed();
  BOOST_TEST_REQUIRE(lines.size() == 50U);
  BOOST_TEST(lines[49] == "line 49");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_interrupted_receive_is_made_again) {
  Faults faults;
  Connected one(backend);
  one.open();
  faults.fail(Call::kRecv, std::errc::interrupted, {.times = 50});
  one.say("hello");
  one.until([&] { return one.journal.received == "hello"; });
}

// Larger than an eighth of the receive buffer, and than all of it: kept and grown, not copied
// about.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_message_may_be_larger_than_the_receive_buffer) {
  for (const std::size_t size : {40'000U, 70'000U, 600'000U, 3'000'000U}) {
    Connected one(backend);
    std::string got;
    one.handlers.on_message = [&](const TcpConnectionPtr&, Buffer& input) {
      if (input.size() >= size) got = input.take();
    };
    one.open();
    const std::string sent = pattern(size);
    one.say(sent);
    one.until([&] { return !got.empty(); });
    BOOST_TEST((got == sent));
    BOOST_TEST(one.connection->buffer_memory() == 0U);
  }
}

// The sizes of the pieces in which all of a flood is read, until one is larger than `wanted`.
std::vector<std::size_t> pieces_of_a_flood(const BackendCase& backend, EventLoopOptions loop,
                                           std::size_t wanted) {
  Connected one(backend, tcp_pair(), std::move(loop));
  static_cast<void>(platform::set_receive_buffer(one.near.get(), 1 << 20));
  static_cast<void>(platform::set_send_buffer(one.peer.get(), 1 << 20));
  std::vector<std::size_t> pieces;
  one.handlers.on_message = [&](const TcpConnectionPtr&, Buffer& input) {
    pieces.push_back(input.size());
    one.journal.received += input.take();
  };
  one.open();
  const std::string all = pattern(32U << 20U);
  std::size_t sent = 0;
  one.until([&] {
    const bool enough = !pieces.empty() && std::ranges::max(pieces) > wanted;
    if (!enough) sent += write_some(one.peer.get(), std::string_view(all).substr(sent));
    return enough || sent == all.size();
  });
  one.until([&] { return one.journal.received.size() == sent; });
  BOOST_TEST((one.journal.received == std::string_view(all).substr(0, sent)));
  return pieces;
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_receive_buffer_grows_when_it_is_filled) {
  constexpr std::size_t kFirst = std::size_t{64} * 1024;
  const std::vector<std::size_t> pieces = pieces_of_a_flood(backend, {}, kFirst);
  const auto larger = std::ranges::find_if(pieces, [](std::size_t size) { return size > kFirst; });
  BOOST_TEST_REQUIRE((larger != pieces.end() && larger != pieces.begin()));
  BOOST_TEST(*std::prev(larger) == kFirst);
}

// A message that is put together in memory of the connection's own.
POLLARD_EACH_BACKEND_AND_TRIGGER(the_receive_buffer_stays_small_while_nobody_fills_it) {
  Connected one(backend);
  std::vector<std::size_t> pieces;
  std::size_t whole = 40'000;
  one.handlers.on_message = [&](const TcpConnectionPtr&, Buffer& input) {
    pieces.push_back(input.size());
    if (input.size() >= whole) input.clear();
  };
  one.open();
  one.say(pattern(9'000));
  one.until([&] { return !pieces.empty(); });
  one.say(pattern(31'000));
  one.until([&] { return pieces.back() == whole; });
  whole = 1;
  pieces.clear();
  one.say(pattern(200'000));
  one.until([&] { return one.group->counts().bytes_received.get() == 240'000U; });
  BOOST_TEST(pieces.front() <= std::size_t{64} * 1024);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_receive_buffer_is_no_larger_than_asked_for) {
  for (const std::size_t size : {5000U, 70'000U}) {
    const auto pieces = pieces_of_a_flood(backend, {.receive_buffer_bytes = size}, size - 1);
    BOOST_TEST(std::ranges::max(pieces) == size);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_flood_arrives_whole_over_both_kinds_of_socket) {
  for (const auto make : kPairs) {
    Connected one(backend, make());
    one.open();
    const std::string sent = pattern(20U << 20U);
    one.say(sent);
    one.end_peer();
    one.until_closed();
    BOOST_TEST((one.journal.received == sent));
    BOOST_TEST(one.group->counts().bytes_received.get() == sent.size());
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(without_on_message_input_is_dropped) {
  Connected one(backend);
  one.handlers.on_message = {};
  one.open();
  one.say(pattern(3U << 20U));
  one.until([&] { return one.group->counts().bytes_received.get() == 3U << 20U; });
  BOOST_TEST(one.connection->buffer_memory() == 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(input_that_nobody_takes_meets_a_limit) {
  Connected one(backend);
  one.options.input_limit = 100'000;
  one.handlers.on_message = {[](const TcpConnectionPtr&, Buffer&) {}};
  one.open();
  one.until([&] {
    write_some(one.peer.get(), pattern(10'000));
    return one.group->open_count() == 0;
  });
  BOOST_TEST(one.journal.text() ==
             "connect, disconnect error: " + make_error_code(Error::kInputLimit).message());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(input_at_the_limit_is_within_it) {
  Connected one(backend);
  one.options.input_limit = 5;
  std::size_t most = 0;
  one.handlers.on_message = [&](const TcpConnectionPtr&, Buffer& input) {
    most = std::max(most, input.size());
  };
  one.open();
  one.say("12345");
  one.until([&] { return most == 5; });
  BOOST_TEST(one.connection->connected());
  one.say("6");
  one.until_closed();
}

// ---- Fairness ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_flood_leaves_the_others_their_turn) {
  Faults faults;
  Connected one(backend);
  // The flood never ends: whatever is received of it, there is as much behind.
  int flooded = -1;
  std::size_t receives = 0;
  faults.replace<&platform::SystemCalls::recv>(
      [&](int fd, void* bytes, std::size_t size, int flags) -> std::ptrdiff_t {
        if (fd != flooded) return faults.underlying().recv(fd, bytes, size, flags);
        ++receives;
        return static_cast<std::ptrdiff_t>(size);
      });
  one.handlers.on_message = [](const TcpConnectionPtr&, Buffer& input) { input.clear(); };
  flooded = one.near.get();
  one.open();
  write_text(one.peer.get(), "flood");
  one.until([&] { return receives > 20; });

  Pair other = tcp_pair();
  std::string heard;
  const auto group = std::make_shared<ConnectionGroup>(
      one.loop,
      share_handlers(ConnectionHandlers{
          .on_message = [&](const TcpConnectionPtr&, Buffer& input) { heard += input.take(); }}),
      one.options);
  bool timer = false;
  bool task = false;
  const Timer soon = one.loop.after(1ms, [&] { timer = true; });
  one.loop.post([&] {
    task = true;
    BOOST_TEST(!group->open(std::move(other.near), Address::loopback(1)));
  });
  write_text(other.far.get(), "me too");
  one.until([&] { return heard == "me too" && timer && task; });
  const std::uint64_t turns = one.loop.stats().iterations;
  receives = 0;
  one.until([&] { return one.loop.stats().iterations >= turns + 100; });
  BOOST_TEST(receives >= 50U, "the flood goes on, without another edge");
  BOOST_TEST(receives <= 1000U, "a turn has a budget");
  group->close_all({});
  one.group->close_all({});
}

// ---- Traps ----

POLLARD_EACH_BACKEND_AND_TRIGGER(an_end_that_comes_together_with_data_is_found) {
  for (const auto make : kPairs) {
    for (int round = 0; round < 10; ++round) {
      Connected one(backend, make());
      one.open();
      write_text(one.peer.get(), "last");
      one.peer.reset();
      one.until_closed();
      BOOST_TEST(one.journal.text() == "connect, message, disconnect peer");
      BOOST_TEST(one.journal.received == "last");
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_end_behind_much_data_is_found) {
  for (const auto make : kPairs) {
    Connected one(backend, make());
    one.open();
    const std::size_t sent = fill(one.peer.get());
    one.peer.reset();
    one.until_closed();
    BOOST_TEST(one.journal.received.size() == sent);
    BOOST_TEST(one.journal.text() == "connect, message, disconnect peer");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_reset_behind_data_leaves_the_data) {
  Connected one(backend);
  one.open();
  write_text(one.peer.get(), "before");
  one.reset_peer();
  one.until_closed();
  BOOST_TEST(one.journal.received == "before");
  BOOST_TEST(one.journal.text() == "connect, message, disconnect error: Connection reset by peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(urgent_data_in_the_stream_hides_nothing_behind_it) {
  // A read ends at the urgent byte. epoll's edges tell of it; kqueue's don't, so there what is
  // behind waits for the next edge.
  if (backend.poller.starts_with("kqueue") && backend.trigger == Trigger::kEdge) return;
  Connected one(backend);
  one.open();
  for (int round = 0; round < 5; ++round) {
    one.journal.received.clear();
    write_text(one.peer.get(), "before");
    send_urgent(one.peer.get(), '!');
    write_text(one.peer.get(), "behind");
    one.until([&] { return one.journal.received == "beforebehind"; });
  }
  expect_no_spin(one.loop);
  one.end_peer();
  one.until_closed();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_descriptor_in_a_unix_stream_hides_nothing_behind_it) {
  Connected one(backend, socket_pair());
  one.open();
  const Pipe pipe = open_pipe();
  write_text(one.peer.get(), "before ");
  send_descriptor(one.peer.get(), "with ", pipe.read.get());
  write_text(one.peer.get(), "behind");
  one.until([&] { return one.journal.received == "before with behind"; });
}

// ---- Pausing ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_paused_connection_is_silent_and_loses_nothing) {
  Connected one(backend);
  one.open();
  one.connection->pause_reading();
  write_text(one.peer.get(), "patience");
  run_until_idle(one.loop);
  expect_no_spin(one.loop);
  BOOST_TEST(one.journal.text() == "connect");
  one.connection->resume_reading();
  one.until([&] { return one.journal.received == "patience"; });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_paused_connection_whose_peer_hangs_up_sleeps) {
  for (const bool reset : {false, true}) {
    Connected one(backend);
    one.open();
    one.connection->pause_reading();
    write_text(one.peer.get(), "and goes");
    run_until_idle(one.loop);
    if (reset) {
      one.reset_peer();
    } else {
      one.peer.reset();
    }
    run_until_idle(one.loop);
    expect_no_spin(one.loop);
    BOOST_TEST(one.journal.text() == "connect");
    one.connection->resume_reading();
    one.until_closed();
    BOOST_TEST(one.journal.received == "and goes");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_was_left_when_reading_paused_comes_again_on_resuming) {
  Connected one(backend);
  std::vector<std::string> offered;
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    offered.emplace_back(input.view());
    if (offered.size() == 1) {
      input.consume(2);
      it->pause_reading();
    } else {
      input.clear();
    }
  };
  one.open();
  write_text(one.peer.get(), "abcd");
  one.until([&] { return offered.size() == 1; });
  run_until_idle(one.loop);
  BOOST_TEST(offered.size() == 1U);
  one.connection->resume_reading();
  one.until([&] { return offered.size() == 2; });
  BOOST_TEST(offered[1] == "cd");
  run_until_idle(one.loop);
  BOOST_TEST(offered.size() == 2U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(pausing_and_resuming_in_one_handler_goes_on) {
  Connected one(backend);
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    one.journal.received += input.take();
    it->pause_reading();
    it->resume_reading();
    it->pause_reading();
    it->resume_reading();
  };
  one.open();
  for (const char* text : {"a", "b", "c"}) {
    one.say(text);
    one.until([&] { return one.journal.received.ends_with(text); });
  }
  BOOST_TEST(one.journal.received == "abc");
  expect_no_spin(one.loop);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(pausing_in_the_middle_of_a_flood_stops_at_once) {
  Connected one(backend);
  std::size_t calls = 0;
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    ++calls;
    one.journal.received += input.take();
    it->pause_reading();
  };
  one.open();
  const std::string sent = pattern(4U << 20U);
  std::string_view rest = sent;
  std::size_t resumed = 0;
  one.until([&] {
    rest.remove_prefix(write_some(one.peer.get(), rest));
    BOOST_TEST_REQUIRE(calls <= resumed + 1);
    if (calls > resumed) {
      ++resumed;
      one.connection->resume_reading();
    }
    return one.journal.received.size() == sent.size();
  });
  BOOST_TEST((one.journal.received == sent));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(another_thread_may_pause_and_resume) {
  Connected one(backend);
  one.open();
  std::thread([&] { one.connection->pause_reading(); }).join();
  run_until_idle(one.loop);
  write_text(one.peer.get(), "later");
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() == "connect");
  std::thread([&] { one.connection->resume_reading(); }).join();
  one.until([&] { return one.journal.received == "later"; });
}

}  // namespace
}  // namespace pollard::testing
