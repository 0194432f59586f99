// Connections and other threads: sends keep their order, whoever sends, and nothing dangles.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND_AND_TRIGGER(each_threads_sends_arrive_in_its_order) {
  constexpr int kThreads = 4;
  constexpr int kSends = 500;
  Connected one(backend);
  one.open();
  std::vector<std::thread> threads;
  for (int who = 0; who < kThreads; ++who) {
    threads.emplace_back([who, connection = one.connection] {
      for (int i = 0; i < kSends; ++i) {
        std::string record(1, static_cast<char>('a' + who));
        record += static_cast<char>(i / 100);
        record += static_cast<char>(i % 100);
        record += std::string(static_cast<std::size_t>(i % 3) * 700, '.') + '\n';
        switch (i % 4) {
          case 0: static_cast<void>(connection->send(std::string_view(record))); break;
          case 1: static_cast<void>(connection->send(std::move(record))); break;
          case 2: static_cast<void>(connection->send(Buffer(record))); break;
          default: static_cast<void>(connection->send({record.substr(0, 2), record.substr(2)}));
        }
      }
    });
  }
  std::vector<int> next(kThreads);
  std::string heard;
  int records = 0;
  one.until([&] {
    heard += read_text(one.peer.get());
    // A record is three bytes, of which none but the last may be a line's end, and the rest.
    for (std::size_t end; heard.size() > 3 && (end = heard.find('\n', 3)) != std::string::npos;) {
      const auto who = static_cast<std::size_t>(heard[0] - 'a');
      BOOST_TEST_REQUIRE(who < next.size());
      BOOST_TEST_REQUIRE(heard[1] * 100 + heard[2] == next[who]++);
      heard.erase(0, end + 1);
      ++records;
    }
    return records == kThreads * kSends;
  });
  for (std::thread& thread : threads) thread.join();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_another_thread_sent_before_leaves_before) {
  Connected one(backend);
  one.open();
  std::string wanted;
  for (int round = 0; round < 50; ++round) {
    const std::string far = "far" + std::to_string(round) + ' ';
    const std::string near = "near" + std::to_string(round) + ' ';
    std::thread([&] { BOOST_TEST_REQUIRE(!one.connection->send(std::string_view(far))); }).join();
    // It happened before this, although the loop hasn't turned.
    BOOST_TEST(!one.connection->send(std::string_view(near)));
    if (round % 2 == 0) run_until_idle(one.loop);
    wanted += far + near;
  }
  BOOST_TEST(one.hear(wanted.size()) == wanted);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_shutdown_leaves_behind_what_another_thread_sent_before) {
  Connected one(backend);
  one.open();
  std::thread([&] { static_cast<void>(one.connection->send("from afar")); }).join();
  one.connection->shutdown();
  BOOST_TEST(one.connection->send("too late") == Error::kNotConnected);
  BOOST_TEST(one.hear_to_the_end() == "from afar");
  BOOST_TEST(one.group->counts().sends_dropped.load() == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(another_threads_shutdown_comes_behind_its_sends) {
  Connected one(backend);
  one.open();
  std::thread([&] {
    static_cast<void>(one.connection->send("all "));
    static_cast<void>(one.connection->send("of it"));
    one.connection->shutdown(10s);
  }).join();
  BOOST_TEST(one.hear_to_the_end() == "all of it");
  one.end_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_send_from_afar_that_finds_the_end_is_counted) {
  Connected one(backend);
  one.open();
  std::thread([&] { BOOST_TEST_REQUIRE(!one.connection->send("accepted")); }).join();
  one.group->close_all({});
  run_until_idle(one.loop);
  BOOST_TEST(one.group->counts().sends_dropped.load() == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_file_may_be_sent_from_another_thread) {
  Connected one(backend);
  one.open();
  const std::string content = pattern(100'000);
  std::thread([&] {
    static_cast<void>(one.connection->send("head "));
    static_cast<void>(one.connection->send_file({temporary_file(content), 0, content.size()}));
    static_cast<void>(one.connection->send(" tail"));
  }).join();
  BOOST_TEST((one.hear(content.size() + 10) == "head " + content + " tail"));
}

// Every operation of other threads, against a loop that meanwhile closes.
POLLARD_EACH_BACKEND_AND_TRIGGER(threads_may_do_what_they_like_while_the_connection_ends) {
  for (int round = 0; round < 20; ++round) {
    Connected one(backend);
    one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
      static_cast<void>(it->send(input));
    };
    one.open();
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int who = 0; who < 3; ++who) {
      threads.emplace_back([&stop, who, connection = one.connection] {
        // A bounded flood: on a busy machine the loop's thread has to get through it.
        for (int i = 0; !stop && i < 1000; ++i) {
          static_cast<void>(connection->send("text"));
          connection->pause_reading();
          connection->resume_reading();
          static_cast<void>(connection->state());
          if (i > 20 && who == 1) connection->shutdown();
          if (i > 40 && who == 2) connection->force_close_after(1ms);
        }
      });
    }
    write_text(one.peer.get(), "text");
    one.until([&] {
      read_text(one.peer.get());
      return one.group->open_count() == 0;
    });
    stop = true;
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(one.journal.count("connect") == 1U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_outlives_its_loop_and_answers_any_thread) {
  TcpConnectionPtr kept;
  std::string told;
  {
    Connected one(backend);
    one.open();
    kept = one.connection;
    one.handlers = {};
    one.connection->add_close_callback([&] { told += "closed"; });
  }
  BOOST_TEST(told == "closed");
  const auto try_everything = [&] {
    BOOST_TEST_REQUIRE((kept->state() == TcpConnection::State::kDisconnected));
    BOOST_TEST_REQUIRE((kept->send("text") == Error::kNotConnected));
    kept->shutdown();
    kept->shutdown(1ms);
    kept->force_close();
    kept->force_close_after(1ms);
    kept->pause_reading();
    kept->resume_reading();
    BOOST_TEST_REQUIRE(!kept->loop_handle().alive());
    BOOST_TEST_REQUIRE(!kept->peer_address().empty());
  };
  try_everything();
  std::thread(try_everything).join();
  std::thread([last = std::move(kept)]() mutable { last.reset(); }).join();
}

}  // namespace
}  // namespace pollard::testing
