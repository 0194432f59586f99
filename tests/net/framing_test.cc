// Connections that speak in messages: each whole, once, in order, and none after the end.
#include "pollard/net/framing/framing.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

/// What the handler of `one` is told in messages.
struct Told {
  std::vector<std::string> messages;

  auto take() {
    return [this](const TcpConnectionPtr&, std::string_view message) {
      messages.emplace_back(message);
    };
  }
};

std::string text_of(const std::vector<std::string>& messages) {
  std::string all;
  for (const std::string& message : messages) all += '[' + message + ']';
  return all;
}

std::string ends_with_error(Error error) {
  return "disconnect error: " + make_error_code(error).message();
}

// ---- Half messages and several ----

POLLARD_EACH_BACKEND_AND_TRIGGER(messages_in_pieces_arrive_whole) {
  Connected one(backend);
  Told told;
  one.handlers.on_message = framed(LengthPrefixedCodec({.bytes = 2}), told.take());
  one.open();
  const std::string stream("\0\5hello\0\0\0\3you", 14);
  for (const char& byte : stream) {
    one.say({&byte, 1});
    run_until_idle(one.loop);
  }
  one.until([&] { return told.messages.size() == 3; });
  BOOST_TEST(text_of(told.messages) == "[hello][][you]");
  BOOST_TEST(one.connection->buffer_memory() == 0U);
}

// Three messages, cut everywhere, and what their connection's handler was told.
template <class Codec>
void expect_whole(const BackendCase& backend, const Codec& codec,
                  const std::vector<std::string>& messages) {
  Buffer stream;
  for (const std::string& message : messages) {
    BOOST_TEST_REQUIRE(!append_framed(stream, codec, message));
  }
  for (std::size_t cut = 1; cut < stream.size(); ++cut) {
    Connected one(backend);
    Told told;
    one.handlers.on_message =
        framed(codec, [&](const TcpConnectionPtr& it, std::string_view message) {
          told.messages.emplace_back(message);
          static_cast<void>(send_framed(*it, codec, message));
        });
    one.open();
    one.say(stream.view().substr(0, cut));
    run_until_idle(one.loop);
    one.say(stream.view().substr(cut));
    BOOST_TEST(one.hear(stream.size()) == stream.view());
    BOOST_TEST(text_of(told.messages) == text_of(messages));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(messages_of_every_codec_arrive_whole_however_they_were_cut) {
  expect_whole(backend, LengthPrefixedCodec({.bytes = 2}), {"one", "", "three"});
  expect_whole(backend, LineCodec(), {"one", "", "three"});
  expect_whole(backend, DelimitedCodec("--"), {"one", "", "-three"});
  expect_whole(backend, FixedSizeCodec(4), {"one.", "two.", "four"});
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_codec_of_any_kind_tells_of_what_is_cut_off) {
  const auto expect_cut_off = [&](const auto& codec, std::string_view stream) {
    Connected one(backend);
    Told told;
    one.handlers.on_message = framed(codec, told.take());
    one.open();
    one.say(stream);
    one.end_peer();
    one.until_closed();
    BOOST_TEST(text_of(told.messages) == "[whole]");
    BOOST_TEST(one.journal.text() == "connect, " + ends_with_error(Error::kTruncatedMessage));
  };
  expect_cut_off(DelimitedCodec("--"), "whole--half-");
  expect_cut_off(FixedSizeCodec(5), "wholehalf");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(many_messages_in_one_read_arrive_one_by_one) {
  Connected one(backend);
  std::size_t count = 0;
  bool in_order = true;
  one.handlers.on_message =
      framed(LineCodec(), [&](const TcpConnectionPtr&, std::string_view line) {
        in_order = in_order && line == std::to_string(count);
        ++count;
      });
  one.open();
  std::string stream;
  for (int i = 0; i < 30'000; ++i) stream += std::to_string(i) + "\r\n";
  one.say(stream);
  one.until([&] { return count == 30'000; });
  BOOST_TEST(in_order);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_framed_message_may_be_larger_than_the_receive_buffer) {
  for (const std::size_t size : {40'000U, 600'000U, 3'000'000U}) {
    Connected one(backend);
    Told told;
    one.handlers.on_message = framed(LengthPrefixedCodec(), told.take());
    one.open();
    const std::string body = pattern(size);
    Buffer stream;
    for (int i = 0; i < 3; ++i) {
      BOOST_TEST(append_framed(stream, LengthPrefixedCodec(), body) == std::error_code());
    }
    one.say(stream.view());
    one.until([&] { return told.messages.size() == 3; });
    BOOST_TEST(std::ranges::all_of(told.messages, [&](const auto& got) { return got == body; }));
    run_until_idle(one.loop);
    BOOST_TEST(one.connection->buffer_memory() == 0U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_message_is_a_view_of_the_input) {
  Connected one(backend);
  const char* place = nullptr;
  const char* input_place = nullptr;
  auto inner = framed(LineCodec(),
                      [&](const TcpConnectionPtr&, std::string_view line) { place = line.data(); });
  one.handlers.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
    input_place = input.view().data();
    inner(connection, input);
  };
  one.open();
  one.say("line\n");
  one.until([&] { return place != nullptr; });
  BOOST_TEST((place == input_place));
}

/// Counts what the codec that it holds is asked to look at.
struct CountingLines {
  [[nodiscard]] Frame decode(std::string_view input, std::size_t examined) const {
    *looked_at += input.size() - examined;
    return LineCodec().decode(input, examined);
  }
  [[nodiscard]] Envelope envelope(std::string_view line) const {
    return LineCodec().envelope(line);
  }

  std::size_t* looked_at;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(a_line_that_comes_byte_by_byte_is_searched_once) {
  Faults faults;
  Connected one(backend, socket_pair());
  Told told;
  std::size_t looked_at = 0;
  one.handlers.on_message = framed(CountingLines{&looked_at}, told.take());
  one.open();
  faults.cap(Call::kRecv, 1);
  const std::string line(5'000, 'x');
  one.say(line + '\n' + line + '\n');
  one.until([&] { return told.messages.size() == 2; });
  BOOST_TEST(text_of(told.messages) == text_of({line, line}));
  BOOST_TEST(looked_at == 2 * (line.size() + 1));
}

// ---- Handlers that end or stop it ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_closes_gets_no_further_message) {
  Connected one(backend);
  Told told;
  one.handlers.on_message =
      framed(LineCodec(), [&](const TcpConnectionPtr& it, std::string_view line) {
        told.messages.emplace_back(line);
        if (line == "2") it->force_close();
      });
  one.open();
  write_text(one.peer.get(), "1\n2\n3\n4\n");
  one.until_closed();
  BOOST_TEST(text_of(told.messages) == "[1][2]");
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_may_end_all_and_read_its_message_on) {
  // In the loop's buffer, and in memory of the connection's own.
  for (const std::size_t size : {10U, 3'000'000U}) {
    Connected one(backend);
    const std::string body = pattern(size);
    std::size_t calls = 0;
    bool same = false;
    one.handlers.on_message =
        framed(LengthPrefixedCodec(), [&](const TcpConnectionPtr&, std::string_view message) {
          ++calls;
          one.group->close_all({});
          same = message == body;
        });
    one.open();
    Buffer stream;
    for (int i = 0; i < 2; ++i) {
      BOOST_TEST(append_framed(stream, LengthPrefixedCodec(), body) == std::error_code());
    }
    std::string_view rest = stream.view();
    one.until([&] {
      if (one.group->open_count() > 0) rest.remove_prefix(write_some(one.peer.get(), rest));
      return one.group->open_count() == 0;
    });
    BOOST_TEST(calls == 1U);
    BOOST_TEST(same);
  }
}

POLLARD_EACH_BACKEND(a_handler_may_destroy_its_server) {
  EventLoop loop({.poller = backend});
  std::unique_ptr<TcpServer> server;
  std::string heard;
  server = std::make_unique<TcpServer>(
      loop, Address::loopback(0),
      ConnectionHandlers{
          .on_message = framed(LineCodec(), [&](const TcpConnectionPtr&, std::string_view line) {
            server.reset();
            heard += line;
          })});
  server->start();
  const Descriptor peer = connect_to(server->address());
  write_text(peer.get(), "first\nsecond\nthird\n");
  run_until(loop, [&] { return server == nullptr; });
  run_until_idle(loop);
  BOOST_TEST(heard == "first");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_throws_gets_no_further_message) {
  Connected one(backend);
  Told told;
  one.handlers.on_message =
      framed(LineCodec(), [&](const TcpConnectionPtr&, std::string_view line) {
        told.messages.emplace_back(line);
        if (line == "2") throw std::runtime_error("no");
      });
  one.open();
  write_text(one.peer.get(), "1\n2\n3\n");
  one.until_closed();
  BOOST_TEST(text_of(told.messages) == "[1][2]");
  BOOST_TEST(one.journal.text() == "connect, disconnect exception: no");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_pauses_gets_the_rest_when_it_resumes) {
  Connected one(backend);
  Told told;
  one.handlers.on_message =
      framed(LineCodec(), [&](const TcpConnectionPtr& it, std::string_view line) {
        told.messages.emplace_back(line);
        it->pause_reading();
      });
  one.open();
  write_text(one.peer.get(), "1\n2\n3\nhalf");
  one.end_peer();
  for (const char* so_far : {"[1]", "[1][2]", "[1][2][3]"}) {
    run_until_idle(one.loop);
    BOOST_TEST(text_of(told.messages) == so_far);
    one.connection->resume_reading();
  }
  one.until_closed();
  BOOST_TEST(text_of(told.messages) == "[1][2][3]");
  BOOST_TEST(one.journal.text() == "connect, " + ends_with_error(Error::kTruncatedMessage));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_pauses_and_resumes_goes_on_at_once) {
  Connected one(backend);
  Told told;
  one.handlers.on_message =
      framed(LineCodec(), [&](const TcpConnectionPtr& it, std::string_view line) {
        told.messages.emplace_back(line);
        it->pause_reading();
        it->resume_reading();
      });
  one.open();
  write_text(one.peer.get(), "1\n2\n3\n");
  one.until([&] { return told.messages.size() == 3; });
  run_until_idle(one.loop);
  BOOST_TEST(text_of(told.messages) == "[1][2][3]");
}

// Little questions, large answers: a peer that doesn't listen can't fill the memory by one read.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_full_output_stops_the_messages_of_an_input) {
  Connected one(backend);
  one.options.pause_reading_when_full = true;
  one.options.high_water = 256U << 10U;
  shrink_buffers(one.near.get());
  shrink_buffers(one.peer.get());
  const std::string answer = pattern(64U << 10U);
  std::uint64_t most = 0;
  std::size_t answered = 0;
  one.handlers.on_message = framed(LineCodec(), [&](const TcpConnectionPtr& it, std::string_view) {
    it->send(answer);
    most = std::max(most, it->unsent());
    ++answered;
  });
  one.open();
  constexpr std::size_t kQuestions = 40;
  write_text(one.peer.get(), std::string(kQuestions, '\n'));
  run_until_idle(one.loop);
  BOOST_TEST(answered < kQuestions / 2, "all are answered although nobody listens");
  for (std::size_t i = 0; i < kQuestions; ++i) {
    BOOST_TEST_REQUIRE((one.hear(answer.size()) == answer));
  }
  BOOST_TEST(answered == kQuestions);
  BOOST_TEST(most <= one.options.high_water + answer.size());
  one.end_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text().ends_with("disconnect peer"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_peer_that_takes_all_gets_all_answers_of_an_input) {
  Connected one(backend);
  one.options.pause_reading_when_full = true;
  one.options.high_water = 1000;  // exceeded by each answer, but not for long
  std::size_t answered = 0;
  one.handlers.on_message = framed(LineCodec(), [&](const TcpConnectionPtr& it, std::string_view) {
    it->send(pattern(2000));
    ++answered;
  });
  one.open();
  write_text(one.peer.get(), std::string(100, '\n'));
  BOOST_TEST(one.hear(200'000).size() == 200'000U);
  BOOST_TEST(answered == 100U);
}

// What waits for its turn is not added to: the sender has to wait, and meets no limit.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_flood_of_questions_is_read_no_faster_than_it_is_answered) {
  Connected one(backend);
  one.options.pause_reading_when_full = true;
  one.options.high_water = 1000;
  one.options.input_limit = 600U << 10U;  // a little more than one read
  const std::string question = std::string(1999, '?') + '\n';
  one.handlers.on_message = framed(
      LineCodec(), [&](const TcpConnectionPtr& it, std::string_view) { it->send(question); });
  one.open();
  constexpr std::size_t kQuestions = 1000;
  std::string stream;
  for (std::size_t i = 0; i < kQuestions; ++i) stream += question;
  std::string_view rest = stream;
  std::size_t heard = 0;
  one.until([&] {
    rest.remove_prefix(write_some(one.peer.get(), rest));
    heard += read_text(one.peer.get()).size();
    return heard == stream.size() || one.group->open_count() == 0;
  });
  BOOST_TEST(heard == stream.size());
}

// ---- The end of the stream, and errors ----

POLLARD_EACH_BACKEND_AND_TRIGGER(an_end_between_messages_is_in_good_order) {
  for (const std::string_view stream : {"", "1\n", "1\n2\r\n"}) {
    Connected one(backend);
    Told told;
    one.handlers.on_message = framed(LineCodec(), told.take());
    one.open();
    one.say(stream);
    one.end_peer();
    one.until_closed();
    BOOST_TEST(one.journal.text() == "connect, disconnect peer");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_end_in_the_middle_of_a_message_is_told) {
  for (const std::string_view rest : {"h", "half", "\r"}) {
    Connected one(backend);
    Told told;
    one.handlers.on_message = framed(LineCodec(), told.take());
    one.open();
    one.say("whole\n");
    one.say(rest);
    one.end_peer();
    one.until_closed();
    BOOST_TEST(text_of(told.messages) == "[whole]");
    BOOST_TEST(one.journal.text() == "connect, " + ends_with_error(Error::kTruncatedMessage));
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(answers_still_leave_when_the_next_message_is_cut_off) {
  Connected one(backend);
  one.handlers.on_message =
      framed(LineCodec(), [](const TcpConnectionPtr& it, std::string_view line) {
        send_framed(*it, LineCodec(), "heard " + std::string(line));
      });
  one.handlers.on_peer_end = [&](const TcpConnectionPtr& it) {
    one.journal.note("peer end");
    it->send("bye");
    it->shutdown();
  };
  one.open();
  write_text(one.peer.get(), "1\n2");
  one.end_peer();
  BOOST_TEST(one.hear_to_the_end() == "heard 1\nbye");
  one.until_closed();
  BOOST_TEST(one.journal.text() ==
             "connect, peer end, " + ends_with_error(Error::kTruncatedMessage));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_message_that_is_too_long_ends_the_connection_with_that_reason) {
  Connected one(backend);
  Told told;
  one.handlers.on_message = framed(LengthPrefixedCodec({.bytes = 1, .limit = 3}), told.take());
  one.open();
  one.say("\3abc\4");
  one.until_closed();
  BOOST_TEST(text_of(told.messages) == "[abc]");
  BOOST_TEST(one.journal.text() == "connect, " + ends_with_error(Error::kMessageTooLong));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_malformed_message_ends_the_connection_after_what_was_sent) {
  Connected one(backend);
  const LengthPrefixedCodec codec({.bytes = 1, .includes_itself = true});
  one.handlers.on_message = framed(
      codec,
      [codec](const TcpConnectionPtr& it, std::string_view message) {
        send_framed(*it, codec, message);
      },
      [](const TcpConnectionPtr& it, std::error_code error) {
        it->send("ended: " + error.message());
      });
  one.open();
  write_text(one.peer.get(), std::string_view("\3ab\3cd\0\3ef", 10));
  const std::string why = make_error_code(Error::kMalformedMessage).message();
  const std::string expected = "\3ab\3cdended: " + why;
  BOOST_TEST(one.hear(expected.size()) == expected);
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect error: " + why);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_may_be_failed_from_anywhere_once) {
  const auto why = std::make_error_code(std::errc::protocol_error);
  const auto fail = [&](const TcpConnectionPtr& it, bool by_other_thread) {
    if (by_other_thread) return std::thread([&] { it->close_with_error(why); }).join();
    it->close_with_error(why);
  };
  for (const bool by_other_thread : {false, true}) {
    Connected one(backend);
    one.open();
    fail(one.connection, by_other_thread);
    fail(one.connection, by_other_thread);
    one.connection->force_close();
    one.until_closed();
    fail(one.connection, by_other_thread);
    run_until_idle(one.loop);
    const std::string reason = by_other_thread ? "local" : "error: " + why.message();
    BOOST_TEST(one.journal.text() == "connect, disconnect " + reason);
  }
}

// ---- Sending ----

POLLARD_EACH_BACKEND(framed_messages_of_many_threads_stay_whole) {
  constexpr int kThreads = 4;
  constexpr int kEach = 200;
  Connected one({.poller = backend});
  one.open();
  const LengthPrefixedCodec codec;
  std::atomic<int> refusals{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      for (int i = 0; i < kEach; ++i) {
        // Long ones are taken over, short ones copied.
        const std::size_t size = i % 2 == 0 ? 10U : 5000U;
        const char letter = static_cast<char>('a' + number);
        std::string message(size, letter);
        const std::error_code refused =
            i % 3 == 0 ? send_framed(*one.connection, codec, std::string_view(message))
                       : send_framed(*one.connection, codec, std::move(message));
        if (refused) ++refusals;
      }
    });
  }
  std::size_t messages = 0;
  std::string stream;
  one.until([&] {
    stream += read_text(one.peer.get());
    for (Frame frame = codec.decode(stream); frame.kind == Frame::Kind::kMessage;
         frame = codec.decode(stream)) {
      const std::string message = stream.substr(frame.skip, frame.size);
      BOOST_TEST_REQUIRE(message.find_first_not_of(message[0]) == std::string::npos);
      stream.erase(0, frame.total);
      ++messages;
    }
    return messages == std::size_t{kThreads} * kEach;
  });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(refusals == 0);
  BOOST_TEST(stream.empty());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(framed_messages_of_a_handler_leave_in_order_and_in_one_call) {
  Faults faults;
  Connected one(backend);
  give_room(one.near.get());
  const LengthPrefixedCodec codec({.bytes = 2});
  const std::string large = pattern(20'000);
  one.handlers.on_message =
      framed(LineCodec(), [&](const TcpConnectionPtr& it, std::string_view line) {
        send_framed(*it, codec, line);
        send_framed(*it, codec, std::string(large));
        send_framed(*it, codec, "text");
      });
  one.open();
  one.say("line\n");
  Buffer expected;
  for (const std::string_view message :
       {std::string_view("line"), std::string_view(large), std::string_view("text")}) {
    BOOST_TEST(append_framed(expected, codec, message) == std::error_code());
  }
  BOOST_TEST((one.hear(expected.size()) == expected.view()));
  BOOST_TEST(faults.count(Call::kAnySend) == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_the_codec_cannot_say_is_not_sent) {
  Connected one(backend);
  one.open();
  const LengthPrefixedCodec codec({.bytes = 1});
  BOOST_TEST(send_framed(*one.connection, codec, std::string(256, 'x')) == Error::kMessageTooLong);
  BOOST_TEST(send_framed(*one.connection, LineCodec(), "a\nb") == Error::kMalformedMessage);
  BOOST_TEST(send_framed(*one.connection, LineCodec(), "fine") == std::error_code());
  BOOST_TEST(one.hear(5) == "fine\n");
  one.connection->force_close();
  BOOST_TEST(send_framed(*one.connection, LineCodec(), "late") == Error::kNotConnected);
  one.until_closed();
}

POLLARD_EACH_BACKEND(a_client_and_a_server_speak_in_messages) {
  EventLoop loop({.poller = backend});
  const LengthPrefixedCodec codec({.bytes = 8, .order = std::endian::little});
  TcpServer server(
      loop, Address::loopback(0),
      {.on_message = framed(codec, [codec](const TcpConnectionPtr& it, std::string_view message) {
         send_framed(*it, codec, message);
       })});
  server.start();
  std::vector<std::string> heard;
  TcpClient client(
      loop, server.address(),
      {.on_connect =
           [codec](const TcpConnectionPtr& it) {
             for (unsigned i = 0; i < 100; ++i) send_framed(*it, codec, pattern(i * 100U, i));
           },
       .on_message = framed(codec, [&](const TcpConnectionPtr&, std::string_view message) {
         heard.emplace_back(message);
       })});
  BOOST_TEST_REQUIRE(client.connect() == std::error_code());
  run_until(loop, [&] { return heard.size() == 100; });
  for (unsigned i = 0; i < 100; ++i) BOOST_TEST((heard[i] == pattern(i * 100U, i)));
}

}  // namespace
}  // namespace pollard::testing
