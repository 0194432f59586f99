// A connection's life: what its handlers are told and in which order, its states, its ends.
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

using State = TcpConnection::State;

POLLARD_EACH_BACKEND_AND_TRIGGER(a_life_is_connect_then_messages_then_disconnect) {
  Connected one(backend);
  one.open();
  BOOST_TEST(one.connection->connected());
  BOOST_TEST(one.connection->edge_triggered() == (backend.trigger == Trigger::kEdge));
  one.say("hello");
  one.until([&] { return one.journal.received == "hello"; });
  one.peer.reset();
  one.until_closed();
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() == "connect, message, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(
    input_that_came_before_the_connection_was_registered_is_delivered) {
  Connected one(backend);
  write_text(one.peer.get(), "early");
  wait_readable(one.near.get());
  one.open();
  one.until([&] { return one.journal.received == "early"; });
  BOOST_TEST(one.journal.text() == "connect, message");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_that_died_before_it_was_registered_is_told_whole) {
  Connected one(backend);
  write_text(one.peer.get(), "last words");
  one.peer.reset();
  wait_for_end(one.near.get());
  one.open();
  one.until_closed();
  BOOST_TEST(one.journal.received == "last words");
  BOOST_TEST(one.journal.text() == "connect, message, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_that_was_reset_before_it_was_registered_is_told_so) {
  Connected one(backend);
  one.reset_peer();
  wait_readable(one.near.get());
  one.open();
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect error: Connection reset by peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(close_callbacks_run_last_once_and_in_reverse_order) {
  Connected one(backend);
  one.open();
  for (const char* name : {"first", "second", "third"}) {
    one.connection->add_close_callback([&, name] { one.journal.note(name); });
  }
  one.connection->force_close();
  one.until_closed();
  one.connection->add_close_callback([&] { one.journal.note("late"); });
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() == "connect, disconnect local, third, second, first, late");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(force_close_ends_both_sides_without_reading_on) {
  Connected one(backend);
  one.open();
  write_text(one.peer.get(), "too late");
  one.connection->force_close();
  BOOST_TEST(one.connection->send("neither") == Error::kNotConnected);
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
  BOOST_TEST(one.hear_to_the_end() == "");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_linger_of_zero_makes_force_close_a_reset) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->set_linger(0s));
  one.connection->force_close();
  one.until_closed();
  wait_readable(one.peer.get());
  BOOST_TEST(read_error(one.peer.get()) == std::errc::connection_reset);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(shutdown_ends_our_side_and_hears_theirs_out) {
  Connected one(backend);
  one.open();
  BOOST_TEST(!one.connection->send("answer"));
  one.connection->shutdown();
  BOOST_TEST((one.connection->state() == State::kDisconnecting));
  BOOST_TEST(one.connection->send("more") == Error::kNotConnected);
  BOOST_TEST(one.hear_to_the_end() == "answer");
  one.say("still here");
  one.until([&] { return one.journal.received == "still here"; });
  one.end_peer();
  one.until_closed();
  BOOST_TEST((one.connection->state() == State::kDisconnected));
  BOOST_TEST(one.journal.text() == "connect, message, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(shutdown_with_a_limit_closes_a_peer_that_doesnt_end) {
  Connected one(backend);
  one.open();
  one.connection->shutdown(5ms);
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect timeout");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(shutdown_with_a_limit_closes_a_peer_that_doesnt_read) {
  Connected one(backend);
  shrink_buffers(one.near.get());
  one.open();
  BOOST_TEST(!one.connection->send(std::string(8U << 20U, 'x')));
  one.connection->shutdown(20ms);
  one.until_closed();
  BOOST_TEST(one.journal.has("disconnect timeout"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_peer_that_ends_in_time_meets_no_limit) {
  Connected one(backend);
  one.open();
  one.connection->shutdown(10s);
  one.end_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(of_several_limits_the_earliest_holds) {
  Connected one(backend);
  one.open();
  one.connection->force_close_after(5ms);
  one.connection->force_close_after(1h);
  one.connection->shutdown(1h);
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect timeout");

  Connected other(backend);
  other.open();
  other.connection->force_close_after(1h);
  other.connection->force_close_after(5ms);
  other.until_closed();
  BOOST_TEST(other.journal.text() == "connect, disconnect timeout");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_that_ended_takes_nothing_any_more_and_says_so) {
  Connected one(backend);
  one.open();
  one.connection->force_close();
  one.until_closed();
  Buffer buffer("bytes");
  BOOST_TEST(one.connection->send("text") == Error::kNotConnected);
  BOOST_TEST(one.connection->send(std::string(5000, 'x')) == Error::kNotConnected);
  BOOST_TEST(one.connection->send(buffer) == Error::kNotConnected);
  BOOST_TEST(one.connection->send({"a", "b"}) == Error::kNotConnected);
  BOOST_TEST(one.connection->send_file({temporary_file(), 0, 7}) == Error::kNotConnected);
  BOOST_TEST(one.group->counts().sends_dropped.load() == 5U);
  one.connection->shutdown();
  one.connection->shutdown(1ms);
  one.connection->force_close();
  one.connection->force_close_after(1ms);
  one.connection->pause_reading();
  one.connection->resume_reading();
  BOOST_TEST(one.connection->set_no_delay(true));
  BOOST_TEST(one.connection->local_address().empty());
  BOOST_TEST(one.connection->unsent() == 0U);
  BOOST_TEST(one.connection->buffer_memory() == 0U);
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(both_addresses_are_known_and_the_context_is_the_users) {
  Connected one(backend);
  one.open();
  BOOST_TEST(one.connection->peer_address().is_ipv4());
  BOOST_TEST(one.connection->local_address().port() != one.connection->peer_address().port());
  one.connection->context() = std::string("mine");
  BOOST_TEST(std::any_cast<std::string>(one.connection->context()) == "mine");
  BOOST_TEST(&one.connection->loop() == &one.loop);
  BOOST_TEST(!one.connection->set_no_delay(false));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(of_two_threads_that_force_close_one_does) {
  Connected one(backend);
  one.open();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([connection = one.connection] { connection->force_close(); });
  }
  for (std::thread& thread : threads) thread.join();
  one.until_closed();
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
}

// The state is moved by the peer's end in one thread and by shutdown() in another, at the same
// time.
POLLARD_EACH_BACKEND_AND_TRIGGER(shutdown_in_a_thread_may_meet_the_peers_end) {
  for (int round = 0; round < 100; ++round) {
    Connected one(backend);
    one.open();
    one.until([&] { return one.connection->connected(); });
    std::thread thread([peer = std::move(one.peer), connection = one.connection]() mutable {
      peer.reset();
      connection->shutdown();
    });
    one.until_closed();
    thread.join();
    const bool ended = one.journal.has("disconnect peer") || one.journal.has("disconnect local");
    BOOST_TEST(ended, one.journal.text());
  }
}

// ---- Handlers that end what calls them ----

// What may be done to a connection by one of its own handlers, and what it makes of the reason.
struct Deed {
  const char* name;
  void (*act)(Connected& one, const TcpConnectionPtr& connection);
  const char* reason;
};

const Deed kDeeds[] = {
    {"force_close", [](Connected&, const TcpConnectionPtr& it) { it->force_close(); }, "local"},
    {"close_all", [](Connected& one, const TcpConnectionPtr&) { one.group->close_all({}); },
     "local"},
    {"throw a word",
     [](Connected&, const TcpConnectionPtr&) { throw std::runtime_error("enough"); },
     "exception: enough"},
    {"throw a number", [](Connected&, const TcpConnectionPtr&) { throw 7; },
     "exception: not a std::exception"},
    {"send, then force_close",
     [](Connected&, const TcpConnectionPtr& it) {
       static_cast<void>(it->send("bye"));
       it->force_close();
       it->force_close();
       it->shutdown();
     },
     "local"},
};

// One connection for each deed: `prepare` installs it in a handler, `provoke` makes that run.
template <class Prepare, class Provoke>
void try_deeds(const BackendCase& backend, Prepare prepare, Provoke provoke) {
  for (const Deed& deed : kDeeds) {
    BOOST_TEST_CONTEXT(deed.name) {
      Connected one(backend);
      std::size_t done = 0;
      prepare(one, [&one, &deed, &done](const TcpConnectionPtr& connection) {
        // The handler's own argument outlives what it does.
        struct Check {
          const TcpConnectionPtr& connection;
          ~Check() { BOOST_TEST(connection != nullptr); }
        } const check{connection};
        ++done;
        deed.act(one, connection);
      });
      one.open();
      provoke(one);
      one.until_closed();
      run_until_idle(one.loop);
      BOOST_TEST(done == 1U);
      BOOST_TEST(one.journal.count(std::string("disconnect ") + deed.reason) == 1U,
                 one.journal.text());
      BOOST_TEST(one.loop.stats().watched == 1U, "only the loop's own descriptor is left");
    }
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_connect_may_end_its_connection) {
  try_deeds(
      backend, [](Connected& one, auto deed) { one.handlers.on_connect = deed; },
      [](Connected&) {});
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_message_may_end_its_connection) {
  try_deeds(
      backend,
      [](Connected& one, auto deed) {
        one.handlers.on_message = [deed](const TcpConnectionPtr& it, Buffer&) { deed(it); };
      },
      [](Connected& one) { one.say_as_much_as_is_taken(pattern(2U << 20U)); });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_peer_end_may_end_its_connection) {
  try_deeds(
      backend, [](Connected& one, auto deed) { one.handlers.on_peer_end = deed; },
      [](Connected& one) { one.end_peer(); });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_write_complete_may_end_its_connection) {
  try_deeds(
      backend, [](Connected& one, auto deed) { one.handlers.on_write_complete = deed; },
      [](Connected& one) { BOOST_TEST(!one.connection->send("text")); });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_high_water_may_end_its_connection) {
  try_deeds(
      backend, [](Connected& one, auto deed) { one.handlers.on_high_water = deed; },
      [](Connected& one) { BOOST_TEST(!one.connection->send(std::string(20U << 20U, 'x'))); });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_low_water_may_end_its_connection) {
  try_deeds(
      backend, [](Connected& one, auto deed) { one.handlers.on_low_water = deed; },
      [](Connected& one) {
        BOOST_TEST(!one.connection->send(std::string(12U << 20U, 'x')));
        one.until([&] {
          read_text(one.peer.get());
          return one.group->open_count() == 0;
        });
      });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(shutdown_inside_each_handler_ends_in_good_order) {
  Connected one(backend);
  const auto shut = [](const TcpConnectionPtr& it) { it->shutdown(); };
  one.handlers.on_connect = shut;
  one.handlers.on_peer_end = shut;
  one.handlers.on_message = [shut](const TcpConnectionPtr& it, Buffer& input) {
    input.clear();
    shut(it);
  };
  one.open();
  one.say("text");
  BOOST_TEST(one.hear_to_the_end() == "");
  one.end_peer();
  one.until_closed();
  BOOST_TEST(one.journal.text() == "disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_the_last_handlers_throw_reaches_run_and_stops_no_other) {
  Connected one(backend);
  one.handlers.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) {
    one.journal.note("disconnect");
    throw std::runtime_error("from on_disconnect");
  };
  one.open();
  one.connection->add_close_callback([&] { one.journal.note("first"); });
  one.connection->force_close();
  BOOST_CHECK_THROW(one.until_closed(), std::runtime_error);
  BOOST_TEST(one.journal.text() == "connect, disconnect, first");
  run_until_idle(one.loop);

  Connected other(backend);
  other.open();
  other.connection->add_close_callback([&] { other.journal.note("first"); });
  other.connection->add_close_callback([&] { throw std::runtime_error("from a callback"); });
  other.connection->force_close();
  BOOST_CHECK_THROW(other.until_closed(), std::runtime_error);
  BOOST_TEST(other.journal.text() == "connect, disconnect local, first");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_last_handlers_may_do_anything_to_the_connection) {
  Connected one(backend);
  const auto everything = [](const TcpConnectionPtr& it) {
    BOOST_TEST((it->state() == State::kDisconnected));
    BOOST_TEST(it->send("text") == Error::kNotConnected);
    it->shutdown();
    it->force_close();
    it->force_close_after(1ms);
    it->pause_reading();
    it->resume_reading();
    BOOST_TEST(!it->peer_address().empty());
  };
  one.handlers.on_disconnect = [&](const TcpConnectionPtr& it, const DisconnectReason&) {
    everything(it);
    it->add_close_callback([&] { one.journal.note("at once"); });
    one.group->close_all({});
  };
  one.open();
  one.connection->add_close_callback([&] {
    everything(one.connection);
    one.journal.note("callback");
  });
  one.connection->force_close();
  one.until_closed();
  run_until_idle(one.loop);
  BOOST_TEST(one.journal.text() == "connect, at once, callback");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_exception_after_force_close_changes_no_reason) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer&) {
    it->force_close();
    throw std::runtime_error("too late");
  };
  one.open();
  one.say("text");
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_may_end_another_connection_that_is_ready_too) {
  EventLoop loop({.poller = backend.poller});
  std::vector<TcpConnectionPtr> connections;
  std::size_t messages = 0;
  std::size_t ends = 0;
  const auto handlers = share_handlers(ConnectionHandlers{
      .on_connect = [&](const TcpConnectionPtr& it) { connections.push_back(it); },
      .on_message =
          [&](const TcpConnectionPtr& it, Buffer& input) {
            input.clear();
            ++messages;
            for (const TcpConnectionPtr& other : connections) {
              if (other != it) other->force_close();
            }
          },
      .on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) { ++ends; },
  });
  const auto group = std::make_shared<ConnectionGroup>(
      loop, handlers, ConnectionOptions{.trigger = choice_of(backend)});
  std::vector<Pair> pairs(5);
  loop.post([&] {
    for (Pair& pair : pairs) {
      pair = tcp_pair();
      BOOST_TEST(!group->open(std::move(pair.near), Address::loopback(1)));
    }
  });
  run_until(loop, [&] { return connections.size() == pairs.size(); });
  for (Pair& pair : pairs) write_text(pair.far.get(), "all at once");
  run_until(loop, [&] { return ends == 4; });
  run_until_idle(loop);
  BOOST_TEST(messages == 1U);
  BOOST_TEST(group->open_count() == 1U);
  connections.clear();
  group->close_all({});
}

}  // namespace
}  // namespace pollard::testing
