// Fairness between connections on workers: a peer that never stops asking gets its answers, and so
// do the others; a flush waits for its own bytes; limits hold after a reset, too.
#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "pollard/net/requests/request_framing.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20U;
constexpr std::string_view kQuestion = "0123456789abcde\n";
constexpr std::string_view kAnswer = "answer\n";

// Handlers that go on for as long as there is input. `work` is called for each message.
using Work = std::function<void()>;

OnRequest handle_frames(Work work) {
  return framed_requests(LineCodec(), [work](RequestConnection& connection, std::string_view) {
    work();
    connection.writer().append(kAnswer);
  });
}

OnRequest handle_lines(Work work) {
  return [work](RequestConnection& connection) {
    while (const auto line = connection.reader().read_until("\n")) {
      work();
      connection.writer().append(kAnswer);
    }
  };
}

OnRequest handle_records(Work work) {
  return [work](RequestConnection& connection) {
    while (const auto record = connection.reader().read(kQuestion.size())) {
      work();
      connection.writer().append(kAnswer);
    }
  };
}

OnRequest handle_skipped(Work work) {
  return [work](RequestConnection& connection) {
    while (connection.reader().skip(kQuestion.size())) {
      work();
      connection.writer().append(kAnswer);
    }
  };
}

OnRequest handle_what_it_awaits(Work work) {
  return [work](RequestConnection& connection) {
    while (const ReadResult line = connection.reader().read_until("\n", 20s)) {
      work();
      connection.writer().append(kAnswer);
    }
  };
}

OnRequest handle_records_it_awaits(Work work) {
  return [work](RequestConnection& connection) {
    while (const ReadResult record = connection.reader().read(kQuestion.size(), 20s)) {
      work();
      connection.writer().append(kAnswer);
    }
  };
}

using MakeHandler = OnRequest (*)(Work work);

// A peer that always has questions waiting: the handler that takes one gets the next ones.
class Flood {
 public:
  Flood(const BackendCase& backend, MakeHandler make) : service(backend) {
    service.options.workers.workers = 1;
    service.options.time_slice = Duration::zero();
    service.handlers.on_request = make([this] {
      ++handled;
      // Later ones were received, one by one: so the next is there before this one is answered.
      while (!over && received < (handled + 20) * kQuestion.size()) std::this_thread::yield();
    });
    service.start();
    peer = service.connect();
    for (int i = 0; i < 100; ++i) service.say(peer, kQuestion);
  }
  ~Flood() { over = true; }
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;

  // Turns the loop until `done`, with a hundred questions on their way at any time.
  template <class Done>
  void until(Done done) {
    service.until([&] {
      received = service.server->stats().server.bytes_received;
      if (sent < handled + 100) {
        service.say(peer, kQuestion);
        ++sent;
      }
      return done();
    });
  }

  std::atomic<std::size_t> handled{0};
  std::atomic<std::size_t> received{0};  // bytes
  std::atomic<bool> over{false};
  std::size_t sent = 100;
  Service service;  // behind what its handlers use until it has ended
  Descriptor peer;
};

void expect_answers(const BackendCase& backend, MakeHandler make) {
  Flood flood(backend, make);
  std::string heard;
  flood.until([&] {
    heard += read_text(flood.peer.get());
    return heard.size() >= 3 * kAnswer.size();
  });
  BOOST_TEST(heard.starts_with("answer\nanswer\nanswer\n"));
}

void expect_answers_for_others(const BackendCase& backend, MakeHandler make) {
  Flood flood(backend, make);
  flood.until([&] { return flood.handled > 10; });
  const Descriptor other = flood.service.connect();
  flood.service.say(other, kQuestion);
  std::string heard;
  flood.until([&] {
    static_cast<void>(read_text(flood.peer.get()));
    heard += read_text(other.get());
    return heard == kAnswer;
  });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(framed_requests_answer_a_peer_that_never_stops_asking) {
  expect_answers(backend, handle_frames);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_over_lines_answers_a_peer_that_never_stops_asking) {
  expect_answers(backend, handle_lines);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_over_records_answers_a_peer_that_never_stops_asking) {
  expect_answers(backend, handle_records);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_that_skips_answers_a_peer_that_never_stops_asking) {
  expect_answers(backend, handle_skipped);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_over_awaited_lines_answers_a_peer_that_never_stops_asking) {
  expect_answers(backend, handle_what_it_awaits);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_over_awaited_records_answers_who_never_stops_asking) {
  expect_answers(backend, handle_records_it_awaits);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(framed_requests_give_way_to_other_connections) {
  expect_answers_for_others(backend, handle_frames);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_over_lines_gives_way_to_other_connections) {
  expect_answers_for_others(backend, handle_lines);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_over_records_gives_way_to_other_connections) {
  expect_answers_for_others(backend, handle_records);
}
POLLARD_EACH_BACKEND_AND_TRIGGER(a_loop_that_skips_gives_way_to_other_connections) {
  expect_answers_for_others(backend, handle_skipped);
}

POLLARD_EACH_BACKEND(handler_that_has_to_yield_hears_of_the_end_in_its_last_call) {
  Service service({.poller = backend});
  service.options.time_slice = Duration::zero();
  Gate gate;
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    RequestReader& reader = connection.reader();
    while (const auto line = reader.read_until("\n")) service.notes.add(std::string(*line));
    if (reader.ended()) service.notes.add("the end of " + std::string(reader.read_all()));
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "one\nhalf");
  end_sending(peer.get());
  service.until_reached(gate);
  run_until_idle(service.loop);
  gate.open();
  service.expect("connect, one, the end of half, disconnect peer");
}

POLLARD_EACH_BACKEND(on_disconnect_reads_all_that_is_left) {
  Service service({.poller = backend});
  service.options.time_slice = Duration::zero();
  service.handlers.on_request = [](RequestConnection&) {};
  service.handlers.on_disconnect = [&](RequestConnection& connection, const DisconnectReason&) {
    while (const auto line = connection.reader().read_until("\n")) {
      service.notes.add(std::string(*line));
    }
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "one\ntwo\n");
  end_sending(peer.get());
  service.expect("connect, one, two");
}

// ---- Flushing ----

POLLARD_EACH_BACKEND_AND_TRIGGER(flush_waits_for_no_bytes_that_others_send_after_it) {
  Service service(backend);
  RequestConnectionPtr kept;
  Gate gate;
  gate.open();
  const std::string mine = pattern(4 * kMebibyte);
  service.handlers.on_connect = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
    connection.writer().append(mine);
    gate.pass();
    service.notes.add(std::string(to_string(connection.writer().flush(20s))));
  };
  service.start();
  const Descriptor peer = service.connect();
  service.until_reached(gate);
  std::string heard = service.hear(peer, 1);  // so the flush has begun
  const std::string others = pattern(16 * kMebibyte, 2);
  BOOST_TEST(!kept->send(others));
  heard += service.hear(peer, mine.size() - 1);
  service.expect("done");
  heard += service.hear(peer, others.size());
  BOOST_TEST((heard == mine + others));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(flush_that_gives_up_holds_back_no_bytes_of_others) {
  Service service(backend);
  RequestConnectionPtr kept;
  Gate gate;
  gate.open();
  service.options.server.connection.send_buffer_bytes = 65536;
  const std::string mine = pattern(4 * kMebibyte);
  service.handlers.on_connect = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
    connection.writer().append(mine);
    connection.writer().flush();
    gate.pass();
    service.notes.add(std::string(to_string(connection.writer().flush(1ms))));
  };
  service.start();
  const Descriptor peer = service.connect();
  service.until_reached(gate);
  std::string heard = service.hear(peer, 1);
  BOOST_TEST(!kept->send("of another"));
  service.expect("deadline");
  heard += service.hear(peer, mine.size() - 1 + 10);
  BOOST_TEST((heard == mine + "of another"));
}

// ---- Limits after a reset ----

POLLARD_EACH_BACKEND_AND_TRIGGER(input_limit_holds_for_what_a_peer_sent_before_its_reset) {
  Service service(backend);
  service.options.input_limit = 65536;
  service.options.server.connection.receive_buffer_bytes = 4 * kMebibyte;
  Gate gate;
  RequestConnectionPtr kept;
  std::atomic<std::size_t> taken{0};
  service.handlers.on_request = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
    gate.pass();
    taken += connection.reader().read_all().size();
  };
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), ".");
  service.until_reached(gate);
  const std::string much(kMebibyte, '.');
  for (std::size_t more = 1; more > 0;) {
    more = write_some(peer.get(), much);
    run_until_idle(service.loop);
  }
  const std::size_t before = service.server->stats().server.bytes_received;
  reset_connection(peer);
  run_until_idle(service.loop);
  static_cast<void>(kept->send("in vain"));  // which fails, and so tells of the reset
  run_until_idle(service.loop);
  expect_no_spin(service.loop);
  // One read of the loop, and not all that the kernel has kept.
  BOOST_TEST(service.server->stats().server.bytes_received <= before + kMebibyte / 2);
  gate.open();
  service.until_empty();
  BOOST_TEST(taken.load() == service.server->stats().server.bytes_received);
}

}  // namespace
}  // namespace pollard::testing
