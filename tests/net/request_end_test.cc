// The ends of connections on workers: by us, by the peer, by an exception, by the server, and what
// is told to whom.
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/base/log.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

using ClosedBy = RequestConnection::ClosedBy;

std::string message_of(const std::exception_ptr& exception) {
  return DisconnectReason{.kind = DisconnectReason::Kind::kException, .exception = exception}
      .to_string();
}

// ---- By the peer ----

POLLARD_EACH_BACKEND_AND_TRIGGER(what_the_peer_sent_before_its_end_is_handled_and_answered) {
  Service service(backend);
  Gate gate;
  const OnRequest answer = std::move(service.handlers.on_request);
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    answer(connection);
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "one\n");
  service.until_reached(gate);
  write_text(peer.get(), "two\nrest");
  end_sending(peer.get());
  service.until([&] { return service.server->stats().server.bytes_received == 12; });
  run_until_idle(service.loop);
  gate.open();
  BOOST_TEST(service.hear_to_the_end(peer) == "one!\ntwo!\n");
  service.until_empty();
  BOOST_TEST(service.notes.text() == "connect, request one, request two, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_a_handler_left_comes_a_last_time_when_no_more_will_come) {
  Service service(backend);
  service.handlers.on_request = [&](RequestConnection& connection) {
    RequestReader& reader = connection.reader();
    if (reader.ended()) {
      service.notes.add("the end of " + std::string(reader.read_all()));
    } else {
      service.notes.add("too little");
    }
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "half a line");
  service.expect("connect, too little");
  end_sending(peer.get());
  service.expect("connect, too little, the end of half a line, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_is_left_at_the_last_call_is_dropped) {
  Service service(backend);
  service.handlers.on_request = [&](RequestConnection&) { service.notes.add("untouched"); };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "something");
  service.expect("connect, untouched");
  end_sending(peer.get());
  service.until_empty();
  service.expect("connect, untouched, untouched, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_came_before_a_reset_is_handled) {
  Service service(backend);
  Gate gate;
  const OnRequest answer = std::move(service.handlers.on_request);
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    answer(connection);
    service.notes.add(std::string(to_string(connection.closed_by())));
  };
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "one\n");
  service.until_reached(gate);
  write_text(peer.get(), "two\n");
  service.until([&] { return service.server->stats().server.bytes_received == 8; });
  reset_connection(peer);
  service.until([&] { return service.server->stats().server.open == 0; });
  gate.open();
  service.until_empty();
  const std::string text = service.notes.text();
  BOOST_TEST(text.starts_with("connect, request one"));
  BOOST_TEST(text.ends_with("request two, peer, disconnect error: Connection reset by peer"));
}

// ---- By us ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_close_by_us_lets_answers_leave_and_handles_no_more_requests) {
  Service service(backend);
  service.handlers.on_request = [&](RequestConnection& connection) {
    const auto line = connection.reader().read_until("\n");
    service.notes.add("request " + std::string(*line));
    connection.writer().append("bye\n");
    connection.close();
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "quit\nmore\n");
  BOOST_TEST(service.hear_to_the_end(peer) == "bye\n");
  write_text(peer.get(), "still more\n");
  end_sending(peer.get());
  service.until_empty();
  BOOST_TEST(service.notes.text() == "connect, request quit, disconnect local");
}

// Whether the reader has the next one already, or it came while the handler ran.
POLLARD_EACH_BACKEND_AND_TRIGGER(another_threads_close_stops_requests_that_have_come_already) {
  for (const bool together : {false, true}) {
    Service service(backend);
    RequestConnectionPtr kept;
    Gate gate;
    service.handlers.on_request = [&](RequestConnection& connection) {
      const auto line = connection.reader().read_until("\n");
      service.notes.add("request " + std::string(*line));
      connection.writer().append(*line);
      kept = connection.shared_from_this();
      gate.pass();
    };
    service.start();
    const Descriptor peer = service.connect();
    write_text(peer.get(), together ? "one\ntwo\n" : "one\n");
    service.until_reached(gate);
    if (!together) write_text(peer.get(), "two\n");
    service.until([&] { return service.server->stats().server.bytes_received == 8; });
    std::thread([&] { kept->close(); }).join();
    gate.open();
    BOOST_TEST(service.hear_to_the_end(peer) == "one");
    end_sending(peer.get());
    service.until_empty();
    BOOST_TEST(service.notes.text() == "connect, request one, disconnect local");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_closed_first_is_decided_once) {
  Service service(backend);
  Gate closed;
  Gate ended;
  std::vector<std::string> told;
  service.handlers.on_request = [&](RequestConnection& connection) {
    const auto order = connection.reader().read_until("\n");
    if (*order == "we") {
      connection.close();
      closed.pass();
    } else {
      ended.pass();
      connection.close();
    }
  };
  service.handlers.on_disconnect = [&](RequestConnection& connection,
                                       const DisconnectReason& reason) {
    service.notes.add(std::string(to_string(connection.closed_by())) + " " + reason.to_string());
  };
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "we\n");
  service.until_reached(closed);
  end_sending(peer.get());
  run_until_idle(service.loop);
  closed.open();
  service.expect("connect, local local");

  peer = service.connect();
  write_text(peer.get(), "they\n");
  service.until_reached(ended);
  end_sending(peer.get());
  run_until_idle(service.loop);
  ended.open();
  service.expect("connect, local local, connect, peer peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(another_threads_close_wakes_a_handler_that_waits) {
  Service service(backend);
  std::shared_ptr<RequestConnection> kept;
  Gate waiting;
  service.handlers.on_connect = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
    waiting.open();
    waiting.pass();
    const ReadResult nothing = connection.reader().read(1, 10s);
    service.notes.add(std::string(to_string(nothing.result)));
    connection.writer().append("goodbye");  // what a running handler writes leaves, too
  };
  service.start();
  const Descriptor peer = service.connect();
  service.until_reached(waiting);
  kept->close();
  BOOST_TEST((kept->closed_by() == ClosedBy::kLocal));
  BOOST_TEST(service.hear_to_the_end(peer) == "goodbye");
  BOOST_TEST(kept->send("too late") == Error::kNotConnected);
  end_sending(peer.get());
  service.expect("ended, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(an_idle_connection_is_closed_from_any_thread) {
  Service service(backend);
  RequestConnectionPtr kept;
  service.handlers.on_connect = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
    service.notes.add("connect");
  };
  service.start();
  Descriptor peer = service.connect();
  service.expect("connect");
  service.until([&] { return service.server->stats().workers.completed == 1; });
  BOOST_TEST(!kept->send("news"));
  kept->close();
  BOOST_TEST(service.hear_to_the_end(peer) == "news");
  end_sending(peer.get());
  service.until_empty();

  peer = service.connect();
  service.expect("connect, disconnect local, connect");
  service.until([&] { return service.server->stats().workers.busy == 0; });
  kept->force_close();
  BOOST_TEST(service.hear_to_the_end(peer) == "");
  service.until_empty();
  BOOST_TEST(service.notes.text() == "connect, disconnect local, connect, disconnect local");
}

POLLARD_EACH_BACKEND(a_peer_that_does_not_end_its_side_is_ended_after_the_limit) {
  Service service({.poller = backend});
  service.options.close_limit = 10ms;
  service.handlers.on_request = [](RequestConnection& connection) { connection.close(); };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "x");
  service.expect("connect, disconnect timeout");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_long_handler_learns_that_nobody_waits_for_it) {
  Service service(backend);
  Gate gate;
  service.handlers.on_request = [&](RequestConnection& connection) {
    static_cast<void>(connection.reader().read_all());
    service.notes.add(connection.cancelled() ? "abandoned" : "wanted");
    gate.pass();
    service.notes.add(connection.cancelled() ? "abandoned" : "wanted");
  };
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "x");
  service.until_reached(gate);
  reset_connection(peer);
  service.until([&] { return service.server->stats().server.open == 0; });
  gate.open();
  service.until_empty();
  BOOST_TEST(service.notes.text() ==
             "connect, wanted, abandoned, disconnect error: Connection reset by peer");
}

// ---- Callbacks ----

POLLARD_EACH_BACKEND_AND_TRIGGER(close_callbacks_come_after_on_disconnect_once_in_reverse_order) {
  Service service(backend);
  RequestConnectionPtr kept;
  service.handlers.on_connect = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
    connection.add_close_callback([&] { service.notes.add("first"); });
    connection.add_close_callback([&] {
      service.notes.add("second");
      kept->add_close_callback([&] { service.notes.add("from a callback"); });
    });
    service.notes.add("connect");
  };
  service.start();
  const Descriptor peer = service.connect();
  service.expect("connect");
  std::thread([&] { kept->add_close_callback([&] { service.notes.add("third"); }); }).join();
  end_sending(peer.get());
  service.expect("connect, disconnect peer, third, second, from a callback, first");
  service.until_empty();
  bool ran = false;
  kept->add_close_callback([&] { ran = true; });  // and now at once
  BOOST_TEST(ran);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(handlers_are_replaced_while_the_connection_lives) {
  Service service(backend);
  RequestConnectionPtr kept;
  Gate gate;
  service.handlers.on_connect = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
  };
  service.handlers.on_request = [&](RequestConnection& connection) {
    static_cast<void>(connection.reader().read(1));
    gate.pass();
    service.notes.add("old");
  };
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "12");
  service.until_reached(gate);
  kept->set_on_request([&](RequestConnection& connection) {
    static_cast<void>(connection.reader().read(1));
    service.notes.add("new");
    // Its own successor, while it runs.
    connection.set_on_request([&](RequestConnection& again) {
      static_cast<void>(again.reader().read(1));
      service.notes.add("newest");
    });
  });
  kept->set_on_disconnect(
      [&](RequestConnection&, const DisconnectReason&) { service.notes.add("new end"); });
  gate.open();
  service.expect("old, new");
  write_text(peer.get(), "3");
  service.expect("old, new, newest");
  peer.reset();
  service.expect("old, new, newest, new end");
}

// ---- Exceptions ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_that_throws_closes_its_connection_and_no_other) {
  Service service(backend);
  service.options.workers.workers = 1;
  const auto context = std::make_shared<int>(0);
  const OnRequest answer = std::move(service.handlers.on_request);
  service.handlers.on_connect = [&](RequestConnection& connection) {
    connection.add_close_callback([&] { service.notes.add("close callback"); });
    return context;
  };
  service.handlers.on_request = [&](RequestConnection& connection) {
    if (connection.reader().peek(1) != "!") return answer(connection);
    connection.writer().append("half an answer");
    throw std::runtime_error("a mistake");
  };
  service.handlers.on_error = [&](RequestConnection&, const std::exception_ptr& exception) {
    service.notes.add("error " + message_of(exception));
  };
  service.start();
  const Descriptor bad = service.connect();
  const Descriptor good = service.connect();
  write_text(bad.get(), "!");
  BOOST_TEST(service.hear_to_the_end(bad) == "");
  service.until([&] { return service.server->connection_count() == 1; });
  BOOST_TEST(service.notes.text() ==
             "error exception: a mistake, disconnect exception: a mistake, close callback");
  write_text(good.get(), "text\n");
  BOOST_TEST(service.hear(good, 6) == "text!\n");
  BOOST_TEST(service.server->stats().exceptions == 1U);
  BOOST_TEST(context.use_count() == 2);  // ours and the good one's
}

POLLARD_EACH_BACKEND_AND_TRIGGER(every_handler_may_throw) {
  Service service(backend);
  service.options.workers.workers = 1;
  service.handlers.on_connect = [](RequestConnection& connection) {
    connection.add_close_callback([] { throw std::runtime_error("close callback"); });
    throw std::runtime_error("connect");
  };
  service.handlers.on_disconnect = [&](RequestConnection& connection, const DisconnectReason&) {
    if (connection.context_if<int>() == nullptr) service.notes.add("no context");
    throw std::runtime_error("disconnect");
  };
  service.handlers.on_error = [&](RequestConnection&, const std::exception_ptr& exception) {
    service.notes.add(message_of(exception));
    throw std::runtime_error("even this");
  };
  int logged = 0;
  set_log_sink([&](LogLevel, std::string_view) { ++logged; });
  service.start();
  const Descriptor peer = service.connect();
  service.until([&] { return service.server->stats().exceptions == 3; });
  service.until_empty();
  service.server->stop();
  set_log_sink({});
  BOOST_TEST(service.notes.text() ==
             "exception: connect, no context, exception: disconnect, exception: close callback");
  BOOST_TEST(logged == 3);
}

POLLARD_EACH_BACKEND(an_exception_without_on_error_is_logged) {
  Service service({.poller = backend});
  std::string logged;
  set_log_sink([&](LogLevel, std::string_view message) { logged += message; });
  service.handlers.on_request = [](RequestConnection&) { throw 42; };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "x");
  service.until([&] { return service.notes.size() == 2; });
  service.server->stop();
  set_log_sink({});
  BOOST_TEST(logged == "a handler of a request server threw: exception: not a std::exception");
}

// ---- By the server ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_stop_tells_everybody_and_waits_for_handlers) {
  for (const unsigned threads : {0U, 2U}) {
    Service service(backend);
    service.options.server.threads = threads;
    service.options.workers.workers = 4;
    Gate gate;
    gate.open();
    service.handlers.on_request = [&](RequestConnection& connection) {
      gate.pass();
      service.notes.add(std::string(to_string(connection.reader().read(10, 20s).result)));
    };
    service.start();
    std::vector<Descriptor> peers;
    for (int i = 0; i < 4; ++i) {
      peers.push_back(service.connect());
      write_text(peers.back().get(), "half");
    }
    service.until_reached(gate, 4);
    service.server->stop();
    BOOST_TEST(service.notes.count("ended") == 4U);
    BOOST_TEST(service.notes.count("disconnect local") == 4U);
    BOOST_TEST(service.server->connection_count() == 0U);
    // And again.
    service.server->start();
    const Descriptor next = service.connect();
    write_text(next.get(), "0123456789");
    service.until([&] { return service.notes.has("done"); });
  }
}

// What is written behind the end never leaves, so nobody is told that it did.
POLLARD_EACH_BACKEND_AND_TRIGGER(output_that_is_dropped_is_not_done) {
  Service service(backend);
  service.handlers.on_connect = [&](RequestConnection& connection) {
    connection.force_close();
    connection.writer().append("too late");
    service.notes.add(std::string(to_string(connection.writer().flush(20s))));
  };
  service.handlers.on_disconnect = [&](RequestConnection& connection, const DisconnectReason&) {
    connection.writer().append("much too late");
    service.notes.add(std::string(to_string(connection.writer().flush(20s))));
  };
  service.start();
  const Descriptor peer = service.connect();
  service.expect("ended, ended");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_server_is_destroyed_while_handlers_wait_for_output) {
  Service service(backend);
  Gate gate;
  gate.open();
  service.handlers.on_connect = [&](RequestConnection& connection) {
    connection.writer().append(std::string(32U << 20U, 'x'));
    gate.pass();
    service.notes.add(std::string(to_string(connection.writer().flush(20s))));
  };
  service.start();
  const Descriptor peer = service.connect();
  service.until_reached(gate);
  service.server.reset();
  BOOST_TEST(service.notes.text() == "ended, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_graceful_stop_lets_what_has_come_be_answered) {
  for (const unsigned threads : {0U, 1U}) {
    Service service(backend);
    service.options.server.threads = threads;
    Gate gate;
    const OnRequest answer = std::move(service.handlers.on_request);
    service.handlers.on_request = [&](RequestConnection& connection) {
      gate.pass();
      answer(connection);
    };
    service.start();
    const Descriptor idle = service.connect();
    const Descriptor busy = service.connect();
    write_text(busy.get(), "one\n");
    service.until_reached(gate);
    write_text(busy.get(), "two\n");
    service.until([&] { return service.server->stats().server.bytes_received == 8; });
    bool done = false;
    service.server->stop_gracefully(10s, [&] { done = true; });
    BOOST_TEST(service.hear_to_the_end(idle) == "");
    gate.open();
    BOOST_TEST(service.hear_to_the_end(busy) == "one!\ntwo!\n");
    BOOST_TEST(!done);
    end_sending(idle.get());
    end_sending(busy.get());
    service.until([&] { return done; });
    BOOST_TEST(!service.server->started());
    BOOST_TEST(service.notes.count("disconnect local") == 2U);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_graceful_stop_wakes_who_waits_for_input_and_ends_by_its_limit) {
  Service service(backend);
  Gate gate;
  gate.open();
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    service.notes.add(std::string(to_string(connection.reader().read(100, 20s).result)));
    static_cast<void>(connection.reader().read_all());
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "half");
  service.until_reached(gate);
  bool done = false;
  service.server->stop_gracefully(20ms, [&] { done = true; });
  service.until([&] { return done; });  // although the peer doesn't end
  BOOST_TEST(service.notes.text() == "connect, ended, disconnect timeout");
}

// What the handler left stops the reading, and must not hide the peer's end.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_graceful_stop_hears_the_end_behind_input_that_nobody_took) {
  Service service(backend);
  Gate gate;
  service.options.input_limit = 1000;
  service.handlers.on_request = [&](RequestConnection&) { gate.pass(); };
  service.start();
  Descriptor peer = service.connect();
  service.say(peer, std::string(5000, '.'));
  service.until_reached(gate);
  bool done = false;
  service.server->stop_gracefully(1h, [&] { done = true; });
  gate.open();
  BOOST_TEST(service.hear_to_the_end(peer) == "");
  end_sending(peer.get());
  service.until([&] { return done; });
  BOOST_TEST(service.notes.text() == "connect, disconnect local");
}

POLLARD_EACH_BACKEND(a_graceful_stop_of_an_idle_server_is_done) {
  Service service({.poller = backend});
  service.start();
  for (int i = 1; i <= 2; ++i) {
    bool done = false;
    service.server->stop_gracefully(1s, [&] { done = true; });
    service.until([&] { return done; });
    service.server->start();
  }
  bool done = false;
  service.server->stop_gracefully(1s, [&] { done = true; });
  service.server->stop();
  run_until_idle(service.loop);
  BOOST_TEST(!done);
}

POLLARD_EACH_BACKEND(a_handler_stops_its_server_by_a_task_and_not_by_itself) {
  Service service({.poller = backend});
  service.handlers.on_request = [&](RequestConnection& connection) {
    static_cast<void>(connection.reader().read_all());
    connection.loop_handle().post([&server = service.server] { server.reset(); });
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "x");
  service.until([&] { return !service.server.has_value(); });
  BOOST_TEST(service.notes.text() == "connect, disconnect local");

  // The child begins in a thread that isn't the loop's, as a worker would be.
  RequestServer server(service.loop, Address::loopback(0), {});
  std::thread([&] { BOOST_TEST(aborts([&] { server.stop(); })); }).join();
}

POLLARD_EACH_BACKEND(a_connection_outlives_its_server_and_answers_any_thread) {
  RequestConnectionPtr kept;
  {
    Service service({.poller = backend});
    service.handlers.on_connect = [&](RequestConnection& connection) {
      kept = connection.shared_from_this();
    };
    service.start();
    const Descriptor peer = service.connect();
    service.until([&] { return service.server->stats().workers.completed == 1; });
  }
  BOOST_TEST((kept->closed_by() == ClosedBy::kLocal));
  BOOST_TEST(kept->send("text") == Error::kNotConnected);
  kept->close();
  kept->force_close();
  kept->set_on_request({});
  bool ran = false;
  kept->add_close_callback([&] { ran = true; });
  BOOST_TEST(ran);
}

POLLARD_EACH_BACKEND(a_reader_belongs_to_the_running_handler) {
  Service service({.poller = backend});
  RequestConnectionPtr kept;
  service.handlers.on_connect = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
  };
  service.start();
  const Descriptor peer = service.connect();
  service.until([&] { return service.server->stats().workers.completed == 1; });
  BOOST_TEST(aborts([&] { static_cast<void>(kept->reader()); }));
}

}  // namespace
}  // namespace pollard::testing
