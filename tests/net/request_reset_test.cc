// The last that a peer sees of a connection on workers: a reset when output was lost, the end of
// the stream when none was. See the table in tcp_connection.h.
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <string>
#include <thread>

#include "pollard/testkit/faults.h"
#include "pollard/tests/support/quiet.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

// Reads at the peer, turning the loop, until its stream is over: by its end or by an error.
Meets last_at_peer(Service& service, const Descriptor& peer) {
  std::array<char, 16 * 1024> block;
  Meets last = Meets::kNothing;
  service.until([&] {
    for (;;) {
      const platform::Result got(
          kernel_calls().recv(peer.get(), block.data(), block.size(), MSG_DONTWAIT));
      if (got.ok() && got.count() > 0) continue;
      if (got.ok()) last = Meets::kEnd;
      if (!got.ok() && !got.would_block()) last = Meets::kError;
      return last != Meets::kNothing;
    }
  });
  return last;
}

POLLARD_EACH_BACKEND_AND_TRIGGER(handler_that_throws_resets_what_it_had_half_written) {
  for (const bool writes : {true, false}) {
    const Quiet quiet;
    Service service(backend);
    service.handlers.on_request = [&](RequestConnection& connection) {
      if (writes) connection.writer().append("half of an answer");
      throw std::runtime_error("a mistake");
    };
    service.start();
    const Descriptor peer = service.connect();
    write_text(peer.get(), "x");
    BOOST_TEST(last_at_peer(service, peer) == (writes ? Meets::kError : Meets::kEnd));
    service.expect("connect, disconnect exception: a mistake");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(handler_that_closes_by_force_resets_what_it_had_written) {
  for (const bool writes : {true, false}) {
    Service service(backend);
    service.handlers.on_request = [&](RequestConnection& connection) {
      static_cast<void>(connection.reader().read_all());
      if (writes) connection.writer().append("an answer");
      connection.force_close();
    };
    service.start();
    const Descriptor peer = service.connect();
    write_text(peer.get(), "x");
    BOOST_TEST(last_at_peer(service, peer) == (writes ? Meets::kError : Meets::kEnd));
    service.expect("connect, disconnect local");
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(thread_that_closes_by_force_resets_what_it_had_sent) {
  for (const bool sends : {true, false}) {
    Service service(backend);
    RequestConnectionPtr kept;
    service.handlers.on_connect = [&](RequestConnection& connection) {
      kept = connection.shared_from_this();
      service.notes.add("connect");
    };
    service.start();
    const Descriptor peer = service.connect();
    service.expect("connect");
    service.until([&] { return service.server->stats().workers.completed == 1; });
    std::thread([&] {
      if (sends) static_cast<void>(kept->send("news"));
      kept->force_close();
    }).join();
    BOOST_TEST(last_at_peer(service, peer) == (sends ? Meets::kError : Meets::kEnd));
    service.expect("connect, disconnect local");
  }
}

// A connection with a handler that has written a part of its answer and waits.
struct Halfway {
  explicit Halfway(const BackendCase& backend) : service(backend) {
    service.handlers.on_request = [this](RequestConnection& connection) {
      static_cast<void>(connection.reader().read_all());
      connection.writer().append("half of an answer");
      kept = connection.shared_from_this();
      gate.pass();
    };
  }
  ~Halfway() { gate.open(); }  // for a test that has failed

  void start() {
    service.start();
    peer = service.connect();
    write_text(peer.get(), "x");
    service.until_reached(gate);
  }

  Gate gate;
  RequestConnectionPtr kept;
  Service service;
  Descriptor peer;
};

POLLARD_EACH_BACKEND_AND_TRIGGER(thread_that_closes_by_force_resets_what_a_handler_writes) {
  Halfway one(backend);
  one.start();
  std::thread([&] { one.kept->force_close(); }).join();
  BOOST_TEST(last_at_peer(one.service, one.peer) == Meets::kError);
  one.gate.open();
  one.service.expect("connect, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(graceful_stop_at_its_limit_resets_what_a_handler_writes) {
  Halfway one(backend);
  one.start();
  bool stopped = false;
  one.service.server->stop_gracefully(5ms, [&] { stopped = true; });
  BOOST_TEST(last_at_peer(one.service, one.peer) == Meets::kError);
  one.gate.open();
  one.service.until([&] { return stopped; });
  BOOST_TEST(one.service.notes.has("disconnect timeout"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(time_limit_between_requests_ends_in_good_order) {
  Service service(backend);
  service.options.server.connection.timeouts.idle = 20ms;
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "one\n");
  BOOST_TEST(service.hear(peer, 5) == "one!\n");
  BOOST_TEST(last_at_peer(service, peer) == Meets::kEnd);
  service.until_empty();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(stop_with_a_handler_that_waits_for_input_ends_in_good_order) {
  Service service(backend);
  service.handlers.on_request = [&](RequestConnection& connection) {
    connection.writer().append(connection.reader().read_until("\n").value());
    static_cast<void>(connection.reader().read(10, 10s));
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "one\n");
  BOOST_TEST(service.hear(peer, 3) == "one");
  service.server->stop();
  BOOST_TEST(last_at_peer(service, peer) == Meets::kEnd);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(close_lets_a_running_handler_end_its_answer_in_good_order) {
  Halfway one(backend);
  one.start();
  std::thread([&] { one.kept->close(); }).join();
  run_until_idle(one.service.loop);
  one.gate.open();
  BOOST_TEST(one.service.hear(one.peer, 17) == "half of an answer");
  BOOST_TEST(last_at_peer(one.service, one.peer) == Meets::kEnd);
}

}  // namespace
}  // namespace pollard::testing
