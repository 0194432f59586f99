// The life of connections on workers: which handler runs when, how often, and beside which.
#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND_AND_TRIGGER(a_request_is_answered_by_a_worker) {
  Service service(backend);
  std::atomic<bool> elsewhere{false};
  service.handlers.on_connect = [&, here = std::this_thread::get_id()](RequestConnection&) {
    elsewhere = std::this_thread::get_id() != here;
  };
  service.start();
  const Descriptor peer = service.connect();
  service.say(peer, "one\ntwo\nthr");
  BOOST_TEST(service.hear(peer, 10) == "one!\ntwo!\n");
  service.say(peer, "ee\n");
  BOOST_TEST(service.hear(peer, 7) == "three!\n");
  BOOST_TEST(elsewhere.load());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_handlers_of_a_connection_come_in_their_order) {
  Service service(backend);
  service.start();
  Descriptor peer = service.connect();
  service.say(peer, "a\n");
  BOOST_TEST(service.hear(peer, 3) == "a!\n");
  BOOST_TEST(service.notes.text() == "connect, request a");
  peer.reset();
  service.expect("connect, request a, disconnect peer");
  service.until_empty();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(on_connect_ends_before_the_first_request_also_when_data_is_first) {
  Service service(backend);
  Gate gate;
  service.handlers.on_connect = [&](RequestConnection&) {
    gate.pass();
    service.notes.add("connected");
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "early\n");
  service.until_reached(gate);
  service.until([&] { return service.server->stats().server.bytes_received == 6; });
  run_until_idle(service.loop);
  BOOST_TEST(service.notes.text() == "");
  gate.open();
  service.expect("connected, request early");
}

POLLARD_EACH_BACKEND(what_on_connect_returns_is_the_connections_context) {
  Service service({.poller = backend});
  service.handlers.on_connect = [](RequestConnection&) { return std::string("context"); };
  service.handlers.on_request = [&](RequestConnection& connection) {
    static_cast<void>(connection.reader().read_all());
    service.notes.add(connection.context<std::string>());
    connection.context<std::string>() += "'";
    if (connection.context_if<int>() != nullptr) service.notes.add("wrong type");
  };
  service.handlers.on_disconnect = [&](RequestConnection& connection, const DisconnectReason&) {
    service.notes.add(connection.context<std::string>());
  };
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "1");
  service.expect("context");
  write_text(peer.get(), "2");
  service.expect("context, context'");
  peer.reset();
  service.expect("context, context', context''");
}

POLLARD_EACH_BACKEND(a_context_ends_after_the_last_callback) {
  Service service({.poller = backend});
  auto context = std::make_shared<int>(1);
  service.handlers.on_connect = [&](RequestConnection& connection) {
    connection.add_close_callback(
        [&] { service.notes.add(std::to_string(context.use_count()) + " have it"); });
    return context;
  };
  service.start();
  Descriptor peer = service.connect();
  service.until([&] { return service.server->connection_count() == 1; });
  peer.reset();
  service.expect("disconnect peer, 2 have it");
  service.until_empty();
  BOOST_TEST(context.use_count() == 1);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connections_requests_are_serial_and_others_run_beside_them) {
  Service service(backend);
  Gate gate;
  std::atomic<int> running{0};
  std::atomic<bool> overlapped{false};
  service.handlers.on_connect = [](RequestConnection&) { return std::atomic<int>(0).load(); };
  service.handlers.on_request = [&](RequestConnection& connection) {
    if (connection.context<int>()++ != 0) overlapped = true;
    ++running;
    while (const auto line = connection.reader().read_until("\n")) {
      if (*line == "wait") gate.pass();
      connection.writer().append(std::string(*line) + "\n");
    }
    --running;
    if (--connection.context<int>() != 0) overlapped = true;
  };
  service.start();
  const Descriptor slow = service.connect();
  const Descriptor quick = service.connect();
  write_text(slow.get(), "wait\n");
  service.until_reached(gate);
  write_text(slow.get(), "next\n");  // has to wait for its own connection,
  write_text(quick.get(), "now\n");  // this not
  BOOST_TEST(service.hear(quick, 4) == "now\n");
  BOOST_TEST(running.load() == 1);
  BOOST_TEST((peek(slow.get()) == Meets::kNothing));
  gate.open();
  BOOST_TEST(service.hear(slow, 10) == "wait\nnext\n");
  BOOST_TEST(!overlapped);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_that_works_is_never_queued_again) {
  Service service(backend);
  Gate gate;
  std::atomic<int> queued{0};
  service.options.on_step = [&](const RequestConnection&, RequestStep step) {
    if (step == RequestStep::kQueued) ++queued;
  };
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    service.notes.add(std::string(connection.reader().read_all()));
  };
  service.start();
  Descriptor peer = service.connect();
  service.expect("connect");
  service.until([&] { return service.server->stats().workers.busy == 0; });
  for (std::uint64_t sent = 1; sent <= 5; ++sent) {
    write_text(peer.get(), "x");
    service.until([&] { return service.server->stats().server.bytes_received == sent; });
    service.until_reached(gate);
  }
  peer.reset();
  run_until_idle(service.loop);
  BOOST_TEST(queued.load() == 2);  // for on_connect, and for the first byte
  BOOST_TEST(service.server->stats().workers.queued == 0U);
  gate.open();
  service.expect("connect, xxxxx, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_takes_some_and_leaves_some_is_called_again) {
  Service service(backend);
  service.handlers.on_request = [&](RequestConnection& connection) {
    const auto two = connection.reader().read(2);
    service.notes.add(two.has_value() ? std::string(*two) : "too little");
  };
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "aabbcc.");
  service.expect("connect, aa, bb, cc, too little");
  // Nothing new, no call; then the rest comes again with more behind it.
  run_until_idle(service.loop);
  BOOST_TEST(service.notes.size() == 5U);
  write_text(peer.get(), ".d");
  service.expect("connect, aa, bb, cc, too little, .., too little");
  peer.reset();
  service.expect("connect, aa, bb, cc, too little, .., too little, too little, disconnect peer");
}

POLLARD_EACH_BACKEND(what_was_taken_before_something_new_came_counts_as_progress) {
  Service service({.poller = backend});
  Gate gate;
  service.handlers.on_request = [&](RequestConnection& connection) {
    service.notes.add(std::string(*connection.reader().read(2)));
    gate.pass();
    service.notes.add(std::to_string(connection.reader().size()));
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "aabb");
  service.until_reached(gate);
  write_text(peer.get(), "cc");
  service.until([&] { return service.server->stats().server.bytes_received == 6; });
  gate.open();
  service.expect("connect, aa, 4, bb, 2, cc, 0");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_comes_between_done_and_left_is_not_lost) {
  Service service(backend);
  Gate gate;
  std::atomic<bool> armed{false};
  service.options.on_step = [&](const RequestConnection&, RequestStep step) {
    if (step == RequestStep::kReturned && armed.exchange(false)) gate.pass();
  };
  service.start();
  const Descriptor peer = service.connect();
  service.expect("connect");
  armed = true;
  write_text(peer.get(), "first\n");
  service.until_reached(gate);  // the handler has returned, and nothing was decided
  write_text(peer.get(), "second\n");
  service.until([&] { return service.server->stats().server.bytes_received == 13; });
  run_until_idle(service.loop);
  gate.open();
  service.expect("connect, request first, request second");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_close_between_done_and_left_is_not_lost) {
  Service service(backend);
  Gate gate;
  std::atomic<bool> armed{false};
  service.options.on_step = [&](const RequestConnection&, RequestStep step) {
    if (step == RequestStep::kReturned && armed.exchange(false)) gate.pass();
  };
  service.start();
  Descriptor peer = service.connect();
  service.expect("connect");
  armed = true;
  write_text(peer.get(), "first\n");
  service.until_reached(gate);
  reset_connection(peer);
  service.until([&] { return service.server->stats().server.open == 0; });
  gate.open();
  service.until_empty();
  BOOST_TEST(service.notes.text() ==
             "connect, request first, disconnect error: Connection reset by peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_comes_just_after_a_worker_left_is_taken_by_the_next) {
  Service service(backend);
  Gate gate;
  std::atomic<bool> armed{false};
  service.options.on_step = [&](const RequestConnection&, RequestStep step) {
    if (step == RequestStep::kIdle && armed.exchange(false)) gate.pass();
  };
  service.start();
  const Descriptor peer = service.connect();
  service.until([&] { return service.server->stats().workers.completed == 1; });
  armed = true;
  write_text(peer.get(), "first\n");
  service.until_reached(gate);  // one worker is held in its last step
  write_text(peer.get(), "second\n");
  service.expect("connect, request first, request second");
  gate.open();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(
    who_dies_during_on_connect_is_disconnected_after_it_by_its_worker) {
  Service service(backend);
  Gate gate;
  std::atomic<std::thread::id> worker;
  service.handlers.on_connect = [&](RequestConnection&) {
    worker = std::this_thread::get_id();
    gate.pass();
    service.notes.add("connected");
  };
  service.handlers.on_disconnect = [&](RequestConnection&, const DisconnectReason&) {
    const bool same = worker.load() == std::this_thread::get_id();
    service.notes.add(same ? "the same worker" : "another worker");
  };
  service.start();
  Descriptor peer = service.connect();
  service.until_reached(gate);
  reset_connection(peer);
  service.until([&] { return service.server->stats().server.open == 0; });
  BOOST_TEST(service.notes.text() == "");
  gate.open();
  service.expect("connected, the same worker");
  service.until_empty();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_is_closed_before_on_connect_gets_neither_that_nor_the_other) {
  Service service(backend);
  service.options.workers.workers = 1;
  Gate gate;
  service.handlers.on_connect = [&](RequestConnection& connection) {
    gate.pass();
    const ReadResult nothing = connection.reader().read(1, 10s);  // ends when the server does
    service.notes.add("connect " + std::string(to_string(nothing.result)));
  };
  service.start();
  const Descriptor first = service.connect();
  service.until_reached(gate);
  gate.open();
  const Descriptor second = service.connect();
  write_text(second.get(), "text\n");
  service.until([&] { return service.server->stats().workers.queued == 1; });
  service.server->stop();
  BOOST_TEST(service.notes.text() == "connect ended, disconnect local");
  BOOST_TEST(service.server->connection_count() == 0U);
}

POLLARD_EACH_BACKEND(handlers_may_be_left_out) {
  Service service({.poller = backend});
  service.handlers = {};
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "whatever");
  end_sending(peer.get());
  BOOST_TEST(service.hear_to_the_end(peer) == "");
  service.until_empty();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_busy_connection_gives_way_to_those_in_line) {
  Service service(backend);
  service.options.workers.workers = 1;
  Gate gate;
  std::atomic<int> calls{0};
  std::atomic<int> calls_before_the_other{0};
  service.handlers.on_request = [&](RequestConnection& connection) {
    if (connection.reader().peek(1) == "o") {
      calls_before_the_other = calls.load();
      static_cast<void>(connection.reader().read_all());
      return;
    }
    if (calls++ == 0) gate.pass();
    connection.reader().skip(1);
  };
  service.start();
  const Descriptor busy = service.connect();
  const Descriptor other = service.connect();
  service.expect("connect, connect");
  write_text(busy.get(), std::string(1000, '.'));
  service.until_reached(gate);
  service.until([&] { return service.server->stats().server.bytes_received == 1000; });
  write_text(other.get(), "other");
  service.until([&] { return service.server->stats().workers.queued == 1; });
  gate.open();
  service.until([&] { return calls.load() == 1000 && calls_before_the_other.load() > 0; });
  BOOST_TEST(calls_before_the_other.load() < 100);
}

}  // namespace
}  // namespace pollard::testing
