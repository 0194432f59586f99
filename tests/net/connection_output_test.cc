// What goes out: in order, in few calls, uncopied where it is large, within limits, and reported.
#include <algorithm>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// ---- Order and calls ----

POLLARD_EACH_BACKEND_AND_TRIGGER(all_that_one_handler_sends_leaves_in_one_call) {
  Faults faults;
  Connected one(backend);
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    BOOST_TEST(!it->send(input));
    BOOST_TEST(!it->send("-text-"));
    BOOST_TEST(!it->send(std::string(2000, 's')));
    BOOST_TEST(!it->send({"a", "bc", "", "d"}));
    Buffer buffer(std::string(3000, 'b'));
    BOOST_TEST(!it->send(buffer));
    BOOST_TEST(buffer.empty());
    BOOST_TEST(!it->send(Buffer("end")));
    BOOST_TEST(faults.count(Call::kAnySend) == 0U);
  };
  give_room(one.near.get());
  one.open();
  one.say("input");
  const std::string wanted =
      "input-text-" + std::string(2000, 's') + "abcd" + std::string(3000, 'b') + "end";
  BOOST_TEST(one.hear(wanted.size()) == wanted);
  BOOST_TEST(faults.count(Call::kAnySend) == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_echo_goes_out_from_where_it_came_in) {
  Faults faults;
  const void* received = nullptr;
  const void* sent = nullptr;
  faults.replace<&platform::SystemCalls::recv>(
      [&](int fd, void* bytes, std::size_t size, int flags) {
        received = bytes;
        return faults.underlying().recv(fd, bytes, size, flags);
      });
  faults.replace<&platform::SystemCalls::send>(
      [&](int fd, const void* bytes, std::size_t size, int flags) {
        sent = bytes;
        return faults.underlying().send(fd, bytes, size, flags);
      });
  Connected one(backend);
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    BOOST_TEST(!it->send(input));
    BOOST_TEST(input.empty());
  };
  one.open();
  one.say("echo");
  BOOST_TEST(one.hear(4) == "echo");
  BOOST_TEST(received == sent);
  BOOST_TEST(one.connection->buffer_memory() == 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_large_string_or_buffer_is_taken_over_and_not_copied) {
  Faults faults;
  const void* sent = nullptr;
  faults.replace<&platform::SystemCalls::send>(
      [&](int fd, const void* bytes, std::size_t size, int flags) {
        sent = bytes;
        return faults.underlying().send(fd, bytes, size, flags);
      });
  Connected one(backend);
  give_room(one.near.get());
  one.open();
  std::string text(10'000, 'x');
  const void* where = text.data();
  BOOST_TEST(!one.connection->send(std::move(text)));
  one.hear(10'000);
  BOOST_TEST(sent == where);
  Buffer buffer(std::string(10'000, 'y'));
  where = buffer.view().data();
  BOOST_TEST(!one.connection->send(std::move(buffer)));
  one.hear(10'000);
  BOOST_TEST(sent == where);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_is_sent_cut_short_arrives_whole) {
  for (const std::size_t most : {1U, 7U, 1000U}) {
    Faults faults;
    Connected one(backend);
    one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
      const std::string text = input.take();
      BOOST_TEST(!it->send({text, "|", text}));
      BOOST_TEST(!it->send(std::string(3000, 'x')));
      BOOST_TEST(!it->send(std::string(1500, 'y') + text));
    };
    one.open();
    faults.cap(Call::kSend, most);
    faults.cap(Call::kSendmsg, most);
    one.say("abc");
    const std::string wanted = "abc|abc" + std::string(3000, 'x') + std::string(1500, 'y') + "abc";
    BOOST_TEST((one.hear(wanted.size()) == wanted));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_interrupted_or_refused_send_is_made_again) {
  for (const std::errc error :
       {std::errc::interrupted, std::errc::resource_unavailable_try_again}) {
    Faults faults;
    Connected one(backend);
    one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
      BOOST_TEST(!it->send(input));
    };
    one.open();
    for (int round = 0; round < 3; ++round) {
      faults.fail(Call::kAnySend, error, {.times = 1});
      one.say("echo");
      // A send that was refused though there is room brings no edge: another arrival does.
      if (error != std::errc::interrupted) one.say("echo");
      BOOST_TEST(one.hear(4) == "echo");
      if (error != std::errc::interrupted) BOOST_TEST(one.hear(4) == "echo");
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(much_more_than_fits_arrives_whole_and_in_order) {
  Connected one(backend);
  one.options.output_limit = 200U << 20U;
  one.open();
  std::string wanted;
  for (unsigned i = 0; i < 300; ++i) {
    std::string piece = pattern(1 + i * 137 % 90'000, i);
    wanted += piece;
    if (i % 3 == 0) {
      BOOST_TEST(!one.connection->send(std::string_view(piece)));
    } else if (i % 3 == 1) {
      BOOST_TEST(!one.connection->send(std::move(piece)));
    } else {
      BOOST_TEST(!one.connection->send(Buffer(piece)));
    }
  }
  BOOST_TEST((one.hear(wanted.size()) == wanted));
  run_until_idle(one.loop);
  BOOST_TEST(one.connection->unsent() == 0U);
  BOOST_TEST(one.connection->buffer_memory() == 0U, "what has left is released");
  BOOST_TEST(one.group->counts().bytes_sent.get() == wanted.size());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_echo_that_the_peer_takes_slowly_is_kept) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    BOOST_TEST(!it->send(input));
  };
  one.options.output_limit = 200U << 20U;
  one.open();
  const std::string sent = pattern(30U << 20U);
  one.say(sent);  // and nobody reads meanwhile
  BOOST_TEST((one.hear(sent.size()) == sent));
}

// ---- Files ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_file_leaves_between_what_was_sent_before_and_behind) {
  for (const std::size_t most : {std::size_t{3}, std::size_t{1000}, SIZE_MAX}) {
    Faults faults;
    Connected one(backend);
    one.open();
    faults.cap(Call::kSendfile, most);
    const std::string content = pattern(5000);
    BOOST_TEST(!one.connection->send("before"));
    BOOST_TEST(!one.connection->send_file({temporary_file(content), 1000, 3000}));
    BOOST_TEST(!one.connection->send_file({temporary_file(content), 0, 0}));
    BOOST_TEST(!one.connection->send("behind"));
    const std::string wanted = "before" + content.substr(1000, 3000) + "behind";
    BOOST_TEST((one.hear(wanted.size()) == wanted));
    BOOST_TEST(faults.count(Call::kSendfile) > 0U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_file_is_read_and_sent_where_there_is_no_sendfile) {
  Faults faults;
  Connected one(backend);
  one.open();
  faults.fail(Call::kSendfile, std::errc::function_not_supported, {.times = kForever});
  faults.cap(Call::kSend, 1000);
  const std::string content = pattern(300'000);
  BOOST_TEST(!one.connection->send_file({temporary_file(content), 0, content.size()}));
  BOOST_TEST((one.hear(content.size()) == content));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_large_file_arrives_whole) {
  Connected one(backend);
  one.open();
  const std::string content = pattern(8U << 20U);
  BOOST_TEST(!one.connection->send_file({temporary_file(content), 0, content.size()}));
  one.connection->shutdown();
  BOOST_TEST((one.hear_to_the_end() == content));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_file_that_is_shorter_than_promised_ends_the_connection) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->send_file({temporary_file("short"), 0, 500}));
  one.until_closed();
  BOOST_TEST(one.journal.text() ==
             "connect, disconnect error: " + std::make_error_code(std::errc::io_error).message());
  BOOST_TEST(one.hear_to_the_end() == "short");
}

// ---- What is reported ----

POLLARD_EACH_BACKEND_AND_TRIGGER(on_write_complete_comes_once_when_all_has_left) {
  Connected one(backend);
  std::vector<std::uint64_t> unsent;
  one.handlers.on_write_complete = [&](const TcpConnectionPtr& it) {
    unsent.push_back(it->unsent());
  };
  one.open();
  run_until_idle(one.loop);
  BOOST_TEST(unsent.empty());
  BOOST_TEST(!one.connection->send("a"));
  BOOST_TEST(!one.connection->send("b"));
  one.hear(2);
  run_until_idle(one.loop);
  BOOST_TEST_REQUIRE(unsent.size() == 1U);
  const std::size_t size = 12U << 20U;
  BOOST_TEST(!one.connection->send(std::string(size, 'x')));
  run_until_idle(one.loop);
  BOOST_TEST(unsent.size() == 1U, "not before the last byte has left");
  one.hear(size);
  run_until_idle(one.loop);
  BOOST_TEST_REQUIRE(unsent.size() == 2U);
  BOOST_TEST(unsent[1] == 0U);
}

// Whatever the size: below what is sent at once, above it, and above what the kernel takes.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_sender_that_lives_by_on_write_complete_goes_on) {
  for (const std::size_t size : {10U, 5000U, 300'000U, 2'000'000U}) {
    Connected one(backend);
    std::size_t rounds = 0;
    one.handlers.on_write_complete = [&](const TcpConnectionPtr& it) {
      if (++rounds <= 10) BOOST_TEST(!it->send(std::string(size, 'x')));
    };
    one.open();
    BOOST_TEST(!one.connection->send("go"));
    one.until([&] {
      read_text(one.peer.get(), 100U << 20U);
      return rounds == 11;
    });
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_sender_that_never_runs_dry_leaves_the_others_their_turn) {
  Faults faults;  // the kernel takes everything
  faults.replace<&platform::SystemCalls::send>(
      [](int, const void*, std::size_t size, int) { return static_cast<std::ptrdiff_t>(size); });
  for (const std::size_t size : {10U, 300'000U}) {
    Connected one(backend);
    std::size_t rounds = 0;
    one.handlers.on_write_complete = [&](const TcpConnectionPtr& it) {
      ++rounds;
      BOOST_TEST(!it->send(std::string(size, 'x')));
    };
    one.open();
    BOOST_TEST(!one.connection->send("go"));
    one.until([&] { return rounds > 10; });
    bool timer = false;
    const Timer soon = one.loop.after(1ms, [&] { timer = true; });
    one.say("hello");
    one.until([&] { return one.journal.received == "hello" && timer; });
    const std::uint64_t turns = one.loop.stats().iterations;
    rounds = 0;
    one.until([&] { return one.loop.stats().iterations >= turns + 100; });
    BOOST_TEST(rounds >= 50U);
    BOOST_TEST(rounds <= 500U);
    one.group->close_all({});
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_water_marks_are_told_once_a_crossing) {
  Connected one(backend);
  shrink_buffers(one.near.get());
  shrink_buffers(one.peer.get());
  one.options.high_water = 1'000'000;
  one.options.low_water = 200'000;
  std::vector<std::uint64_t> at;
  one.handlers.on_high_water = [&](const TcpConnectionPtr& it) {
    one.journal.note("high water");
    at.push_back(it->unsent());
  };
  one.handlers.on_low_water = [&](const TcpConnectionPtr& it) {
    one.journal.note("low water");
    at.push_back(it->unsent());
  };
  one.open();
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      BOOST_TEST(!one.connection->send(std::string(600'000, 'x')));
      run_until_idle(one.loop);
    }
    one.hear(4 * 600'000);
    run_until_idle(one.loop);
  }
  BOOST_TEST(one.journal.text() ==
             "connect, high water, low water, high water, low water, high water, low water");
  for (std::size_t i = 0; i < at.size(); ++i) {
    BOOST_TEST((i % 2 == 0 ? at[i] > 1'000'000U : at[i] <= 200'000U));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_on_low_water_sends_is_not_complete_before_it_has_left) {
  Connected one(backend);
  shrink_buffers(one.near.get());
  shrink_buffers(one.peer.get());
  one.options.high_water = 100'000;
  one.options.low_water = 0;
  std::size_t more = 2;
  one.handlers.on_low_water = [&](const TcpConnectionPtr& it) {
    if (more-- > 0) BOOST_TEST(!it->send(std::string(3'000'000, 'y')));
  };
  std::size_t complete = 0;
  one.handlers.on_write_complete = [&](const TcpConnectionPtr& it) {
    ++complete;
    BOOST_TEST(it->unsent() == 0U);
  };
  one.open();
  BOOST_TEST(!one.connection->send(std::string(3'000'000, 'x')));
  one.hear(9'000'000);
  one.until([&] { return complete == 1; });
}

// ---- Limits ----

POLLARD_EACH_BACKEND_AND_TRIGGER(output_that_the_peer_never_takes_meets_a_limit) {
  Connected one(backend);
  one.options.output_limit = 2'000'000;
  one.open();
  std::size_t sent = 0;
  one.until([&] {
    if (!one.connection->send(std::string(100'000, 'x'))) sent += 100'000;
    return one.group->open_count() == 0;
  });
  BOOST_TEST(sent >= 2'000'000U);
  BOOST_TEST(
      one.journal.has("disconnect error: " + make_error_code(Error::kOutputLimit).message()));
  BOOST_TEST(one.connection->buffer_memory() == 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(pausing_while_full_bounds_the_memory_and_ends_nothing) {
  Connected one(backend);
  one.options.high_water = 500'000;
  one.options.low_water = 100'000;
  one.options.pause_reading_when_full = true;
  std::size_t most = 0;
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    BOOST_TEST(!it->send(input));
    most = std::max(most, it->buffer_memory());
  };
  one.open();
  const std::string sent = pattern(30U << 20U);
  std::string_view rest = sent;
  std::string heard;
  // First nobody reads the echo, until the way is full both ways.
  for (int stuck = 0; stuck < 5;) {
    const std::size_t said = write_some(one.peer.get(), rest);
    rest.remove_prefix(said);
    run_until_idle(one.loop);
    stuck = said == 0 ? stuck + 1 : 0;
  }
  BOOST_TEST(rest.size() > 0U);
  expect_no_spin(one.loop);
  one.until([&] {
    heard += read_text(one.peer.get(), 300'000);
    rest.remove_prefix(write_some(one.peer.get(), rest));
    return heard.size() == sent.size();
  });
  BOOST_TEST((heard == sent));
  BOOST_TEST(most < 3'000'000U, most);
  BOOST_TEST(one.connection->connected());
}

// ---- Cost ----

// Three system calls a round trip: wait, recv, send; and none to change what is watched.
POLLARD_EACH_BACKEND_AND_TRIGGER(an_echo_costs_a_wait_a_receive_and_a_send) {
  constexpr std::size_t kTrips = 10'000;
  Faults faults;
  Connected one(backend);
  std::size_t answers = 0;
  one.handlers.on_message = [&](const TcpConnectionPtr& it, Buffer& input) {
    it->send(input);
    ++answers;
  };
  one.open();
  run_until_idle(one.loop);
  const bool at_once = loopback_delivers_at_once();
  std::map<Call, std::size_t> before;
  const Call kCounted[] = {Call::kAny, Call::kWait, Call::kRecv, Call::kAnySend, Call::kEpollCtl};
  for (const Call call : kCounted) before[call] = faults.count(call);
  for (std::size_t trip = 0; trip < kTrips; ++trip) {
    write_text(one.peer.get(), "ping");
    while (answers == trip) static_cast<void>(one.loop.run_once());
    wait_readable(one.peer.get());  // by the kernel's own poll, which isn't counted
    BOOST_TEST_REQUIRE(read_text(one.peer.get(), 100).size() == 4U);
  }
  const auto made = [&](Call call) { return faults.count(call) - before[call]; };
  // Where an answer takes its time to arrive, the room that it leaves may be an edge of its own.
  BOOST_TEST((made(Call::kWait) == kTrips || (!at_once && made(Call::kWait) <= 2 * kTrips)));
  BOOST_TEST(made(Call::kRecv) == kTrips);
  BOOST_TEST(made(Call::kAnySend) == kTrips);
  BOOST_TEST(made(Call::kEpollCtl) == 0U);
  BOOST_TEST(made(Call::kAny) == 2 * kTrips + made(Call::kWait));
}

}  // namespace
}  // namespace pollard::testing
