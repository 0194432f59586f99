// What handlers on workers read and write: in place, in pieces, with deadlines, and against peers
// that are slow.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/platform/time.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20U;

POLLARD_EACH_BACKEND(a_reader_shows_and_takes) {
  Service service({.poller = backend});
  std::atomic<bool> right{false};
  service.handlers.on_request = [&](RequestConnection& connection) {
    RequestReader& reader = connection.reader();
    if (reader.size() < 12) return;
    bool all = reader.peek(3) == "abc" && reader.size() == 12 && !reader.empty();
    const char* where = reader.peek(3)->data();
    all &= reader.read(2) == "ab" && reader.skip(1) && reader.read_until("::") == "d";
    all &= reader.peek(1)->data() == where + 6;  // nothing was copied
    all &= !reader.read(7).has_value() && !reader.peek(7).has_value() && !reader.skip(7);
    all &= !reader.read_until("\n").has_value() && reader.size() == 6;
    all &= !reader.ended() && reader.read_all() == "efghij" && reader.empty();
    reader.release();
    right = all && !reader.peek(1).has_value() && reader.peek(0) == "";
    service.notes.add("done");
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "abcd::efghij");
  service.expect("connect, done");
  BOOST_TEST(right.load());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_handler_waits_for_input_and_the_loop_does_not) {
  Service service(backend);
  service.options.workers.workers = 1;
  Gate gate;
  gate.open();
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    const ReadResult four = connection.reader().read(4, 20s);
    const ReadResult line = connection.reader().read_until("\r\n", 20s);
    service.notes.add(std::string(four.bytes) + "|" + std::string(line.bytes));
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "a");
  service.until_reached(gate);
  for (const char* piece : {"bc", "d", "li", "ne\r", "\n"}) {
    write_text(peer.get(), piece);
    run_until_idle(service.loop);
  }
  service.expect("connect, abcd|line");
  BOOST_TEST(gate.reached() == 1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_wait_tells_the_deadline_from_the_end_and_takes_nothing) {
  Service service(backend);
  Gate gate;
  service.handlers.on_request = [&](RequestConnection& connection) {
    RequestReader& reader = connection.reader();
    const MonotonicTime deadline = platform::monotonic_now() + 5ms;
    service.notes.add(std::string(to_string(reader.read(10, deadline).result)));
    service.notes.add(platform::monotonic_now() >= deadline ? "in time" : "early");
    service.notes.add(std::string(to_string(reader.read_until("\n", Duration::zero()).result)));
    gate.pass();
    service.notes.add(std::string(to_string(reader.read(10, 20s).result)));
    service.notes.add(std::string(to_string(reader.read_until("\n", 20s).result)));
    service.notes.add(std::string(reader.read(5, 20s).bytes));
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "hallo");
  service.until_reached(gate);
  end_sending(peer.get());
  run_until_idle(service.loop);
  gate.open();
  service.expect("connect, deadline, in time, deadline, ended, ended, hallo, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_wait_for_a_delimiter_keeps_no_more_than_the_limit) {
  Service service(backend);
  service.options.input_limit = 1000;
  service.handlers.on_request = [&](RequestConnection& connection) {
    RequestReader& reader = connection.reader();
    const ReadResult line = reader.read_until("\n", 20s);
    service.notes.add(std::string(to_string(line.result)));
    if (line) connection.close();
  };
  service.start();
  const Descriptor good = service.connect();
  service.say(good, std::string(999, '.') + "\n");
  end_sending(good.get());
  service.expect("connect, done, disconnect local");
  const Descriptor bad = service.connect();
  service.say(bad, std::string(3000, '.'));
  const std::string why = make_error_code(Error::kInputLimit).message();
  service.until([&] { return service.notes.has("disconnect error: " + why); });
  BOOST_TEST(service.notes.has("limit"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_was_written_leaves_before_a_wait_for_input) {
  Service service(backend);
  service.handlers.on_connect = [&](RequestConnection& connection) {
    connection.writer().append("name? ");
    const ReadResult name = connection.reader().read_until("\n", 20s);
    return std::string(name.bytes);
  };
  service.handlers.on_request = [](RequestConnection& connection) {
    static_cast<void>(connection.reader().read_all());
    connection.writer().append("hello " + connection.context<std::string>());
  };
  service.start();
  const Descriptor peer = service.connect();
  BOOST_TEST(service.hear(peer, 6) == "name? ");
  write_text(peer.get(), "Ada\nx");
  BOOST_TEST(service.hear(peer, 9) == "hello Ada");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_writer_writes_in_place_and_flushes_when_told) {
  Service service(backend);
  Gate gate;
  service.handlers.on_request = [&](RequestConnection& connection) {
    static_cast<void>(connection.reader().read_all());
    RequestWriter& writer = connection.writer();
    writer.append("ab");
    const std::span<std::byte> space = writer.reserve(100);
    std::memcpy(space.data(), "cd", 2);
    writer.commit(2);
    writer.append(std::as_bytes(std::span("ef", 2)));
    service.notes.add(std::to_string(writer.size()));
    writer.flush();
    service.notes.add(std::to_string(writer.size()));
    gate.pass();
    writer.append("g");
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "x");
  service.until_reached(gate);
  BOOST_TEST(service.hear(peer, 6) == "abcdef");
  gate.open();
  BOOST_TEST(service.hear(peer, 1) == "g");
  BOOST_TEST(service.notes.text() == "connect, 6, 0");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_flush_waits_until_all_has_left) {
  Service service(backend);
  const std::size_t size = 8 * kMebibyte;
  Gate gate;
  gate.open();
  service.handlers.on_connect = [&](RequestConnection& connection) {
    RequestWriter& writer = connection.writer();
    service.notes.add(std::string(to_string(writer.flush(20s))));  // of nothing
    writer.append(pattern(size));
    service.notes.add(std::string(to_string(writer.flush(5ms))));
    gate.pass();
    service.notes.add(std::string(to_string(writer.flush(20s))));
  };
  service.start();
  const Descriptor peer = service.connect();
  service.until_reached(gate);
  run_until_idle(service.loop);
  BOOST_TEST(service.notes.text() == "done, deadline");
  BOOST_TEST((service.hear(peer, size) == pattern(size)));
  service.expect("done, deadline, done");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_flush_is_told_of_a_peer_that_vanishes) {
  Service service(backend);
  Gate gate;
  gate.open();
  service.handlers.on_connect = [&](RequestConnection& connection) {
    connection.writer().append(std::string(32 * kMebibyte, 'x'));
    gate.pass();
    service.notes.add(std::string(to_string(connection.writer().flush(20s))));
  };
  service.start();
  Descriptor peer = service.connect();
  service.until_reached(gate);
  run_until_idle(service.loop);
  reset_connection(peer);
  service.until_empty();
  BOOST_TEST(service.notes.text().starts_with("ended, disconnect error"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(sends_of_other_threads_come_behind_what_was_flushed) {
  Service service(backend);
  RequestConnectionPtr kept;
  Gate gate;
  service.handlers.on_request = [&](RequestConnection& connection) {
    kept = connection.shared_from_this();
    static_cast<void>(connection.reader().read_all());
    static_cast<void>(connection.send("flushed "));  // by its own handler: the writer's
    connection.writer().flush();
    connection.writer().append("last");
    gate.pass();
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), "x");
  service.until_reached(gate);
  BOOST_TEST(!kept->send("between "));
  gate.open();
  BOOST_TEST(service.hear(peer, 20) == "flushed between last");
}

// ---- Pressure ----

POLLARD_EACH_BACKEND_AND_TRIGGER(a_slow_handler_stops_the_reading_of_its_connection_alone) {
  Service service(backend);
  service.options.input_limit = 65536;
  Gate gate;
  std::atomic<std::size_t> taken{0};
  service.handlers.on_request = [&](RequestConnection& connection) {
    if (connection.reader().peek(1) == "q") {
      connection.writer().append(connection.reader().read_all());
      return;
    }
    gate.pass();
    taken += connection.reader().read_all().size();
  };
  service.start();
  const Descriptor slow = service.connect();
  shrink_buffers(slow.get());
  const Descriptor quick = service.connect();
  write_text(slow.get(), ".");
  service.until_reached(gate);
  // The way to it fills up: its kernel's buffers, and the limit.
  const std::string much(kMebibyte, '.');
  std::size_t sent = 1;
  for (std::size_t more = 1; more > 0;) {
    more = write_some(slow.get(), much);
    sent += more;
    run_until_idle(service.loop);
  }
  const RequestServerStats stats = service.server->stats();
  BOOST_TEST(stats.read_pauses == 1U);
  BOOST_TEST(stats.server.bytes_received < sent);
  BOOST_TEST(stats.server.bytes_received <= 65536U + 512 * 1024U);
  expect_no_spin(service.loop);
  write_text(quick.get(), "quick");
  BOOST_TEST(service.hear(quick, 5) == "quick");
  gate.open();
  service.until([&] { return taken.load() == sent; });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_wait_for_more_than_the_limit_is_served) {
  Service service(backend);
  service.options.input_limit = 1000;
  service.handlers.on_request = [&](RequestConnection& connection) {
    const ReadResult all = connection.reader().read(kMebibyte, 20s);
    service.notes.add(all.bytes == pattern(kMebibyte) ? "right" : "wrong");
  };
  service.start();
  const Descriptor peer = service.connect();
  service.say(peer, pattern(kMebibyte));
  service.expect("connect, right");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_takes_nothing_of_a_full_input_loses_the_connection) {
  Service service(backend);
  service.options.input_limit = 1000;
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), std::string(999, '.'));
  service.until([&] { return service.server->stats().requests == 1; });
  run_until_idle(service.loop);
  BOOST_TEST(service.notes.text() == "connect");
  write_text(peer.get(), "...");
  service.expect("connect, disconnect error: " + make_error_code(Error::kInputLimit).message());
  service.until_empty();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_full_queue_stops_the_reading_of_who_waits_behind_it) {
  Service service(backend);
  service.options.workers = {.workers = 1, .queue_limit = 1};
  Gate gate;
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    service.notes.add(std::string(connection.reader().read_all()));
  };
  service.start();
  const Descriptor busy = service.connect();
  const Descriptor queued = service.connect();
  const Descriptor waiting = service.connect();
  service.expect("connect, connect, connect");
  service.until([&] { return service.server->stats().workers.busy == 0; });
  write_text(busy.get(), "busy");
  service.until_reached(gate);
  write_text(queued.get(), "queued");
  service.until([&] { return service.server->stats().workers.queued == 1; });
  write_text(waiting.get(), "waiting");
  service.until([&] { return service.server->stats().workers.waiting == 1; });
  write_text(waiting.get(), " still");
  write_text(queued.get(), " more");
  run_until_idle(service.loop);
  const RequestServerStats stats = service.server->stats();
  BOOST_TEST(stats.workers.queue_full >= 1U);
  BOOST_TEST(stats.read_pauses >= 1U);
  BOOST_TEST(stats.server.bytes_received == 22U);  // all but " still"
  gate.open();
  service.until([&] { return service.server->stats().server.bytes_received == 28; });
  service.until([&] { return service.server->stats().workers.busy == 0; });
  BOOST_TEST(service.notes.text().starts_with("connect, connect, connect, busy, queued more"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_full_queue_may_close_newcomers_and_nobody_else) {
  Service service(backend);
  service.options.workers = {.workers = 1, .queue_limit = 1};
  service.options.when_full = WhenWorkersFull::kCloseNewcomers;
  Gate gate;
  const OnRequest answer = std::move(service.handlers.on_request);
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    answer(connection);
  };
  service.start();
  const Descriptor busy = service.connect();
  service.expect("connect");
  const Descriptor queued = service.connect();
  service.expect("connect, connect");
  service.until([&] { return service.server->stats().workers.busy == 0; });
  write_text(busy.get(), "busy\n");
  service.until_reached(gate);
  write_text(queued.get(), "queued\n");
  service.until([&] { return service.server->stats().workers.queued == 1; });
  const Descriptor newcomer = service.connect();
  BOOST_TEST(service.hear_to_the_end(newcomer) == "");
  BOOST_TEST(service.server->stats().rejected_queue_full == 1U);
  BOOST_TEST(service.server->connection_count() == 2U);
  gate.open();
  BOOST_TEST(service.hear(queued, 8) == "queued!\n");
  const Descriptor late = service.connect();
  write_text(late.get(), "late\n");
  BOOST_TEST(service.hear(late, 6) == "late!\n");
  // The one worker would have come to the newcomer before it came to the last.
  BOOST_TEST(service.notes.text() ==
             "connect, connect, request busy, request queued, connect, request late");
}

}  // namespace
}  // namespace pollard::testing
