// The edges of connections on workers: exactly a limit, the earliest and the latest times, input
// behind the end, and memory that is short in the thread of a caller.
#include <array>
#include <atomic>
#include <new>
#include <string>
#include <thread>

#include "pollard/base/error.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20U;
constexpr std::array kShortest = {Duration::min(), Duration(-1), Duration::zero(), Duration(1)};
constexpr std::array kEarliest = {MonotonicTime::min(), MonotonicTime(Duration(-1)),
                                  MonotonicTime(), MonotonicTime(Duration(1))};

// ---- Limits of size ----

POLLARD_EACH_BACKEND_AND_TRIGGER(input_of_exactly_the_limit_that_is_left_ends_the_connection) {
  Service service(backend);
  service.options.input_limit = 1000;
  service.handlers.on_request = [&](RequestConnection& connection) {
    service.notes.add(std::to_string(connection.reader().size()));
  };
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), std::string(999, '.'));
  service.expect("connect, 999");
  run_until_idle(service.loop);
  BOOST_TEST(service.server->connection_count() == 1U);
  write_text(peer.get(), ".");
  service.expect("connect, 999, 1000, disconnect error: " +
                 make_error_code(Error::kInputLimit).message());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(connection_that_waited_for_a_worker_is_read_again) {
  Service service(backend);
  service.options.workers = {.workers = 1, .queue_limit = 1};
  Gate gate;
  std::atomic<std::size_t> taken{0};
  service.handlers.on_request = [&](RequestConnection& connection) {
    gate.pass();
    taken += connection.reader().read_all().size();
  };
  service.start();
  const Descriptor busy = service.connect();
  const Descriptor queued = service.connect();
  const Descriptor waiting = service.connect();
  service.expect("connect, connect, connect");
  service.until([&] { return service.server->stats().workers.busy == 0; });
  write_text(busy.get(), ".");
  service.until_reached(gate);
  write_text(queued.get(), ".");
  service.until([&] { return service.server->stats().workers.queued == 1; });
  write_text(waiting.get(), ".");
  service.until([&] { return service.server->stats().workers.waiting == 1; });
  run_until_idle(service.loop);
  write_text(waiting.get(), "..");
  run_until_idle(service.loop);
  BOOST_TEST(service.server->stats().server.bytes_received == 3U);
  gate.open();
  service.until([&] { return taken.load() == 5U; });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(input_behind_a_graceful_end_is_not_handled) {
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
  bool done = false;
  service.server->stop_gracefully(10s, [&] { done = true; });
  write_text(peer.get(), "late\n");
  service.until([&] { return service.server->stats().server.bytes_received == 9; });
  gate.open();
  BOOST_TEST(service.hear_to_the_end(peer) == "one!\n");
  end_sending(peer.get());
  service.until([&] { return done; });
  BOOST_TEST(service.notes.text() == "connect, request one, disconnect local");
}

// ---- Limits of time ----

POLLARD_EACH_BACKEND_AND_TRIGGER(waits_take_the_shortest_and_earliest_times) {
  Service service(backend);
  std::atomic<int> wrong{0};
  service.handlers.on_connect = [&](RequestConnection& connection) {
    RequestReader& reader = connection.reader();
    RequestWriter& writer = connection.writer();
    const auto expect = [&wrong](WaitResult result, WaitResult expected) {
      if (result != expected) ++wrong;
    };
    for (const Duration limit : kShortest) {
      expect(reader.read(1, limit).result, WaitResult::kDeadline);
      expect(reader.read_until("\n", limit).result, WaitResult::kDeadline);
      expect(writer.flush(limit), WaitResult::kDone);
    }
    for (const MonotonicTime deadline : kEarliest) {
      expect(reader.read(1, deadline).result, WaitResult::kDeadline);
      expect(reader.read_until("\n", deadline).result, WaitResult::kDeadline);
      expect(writer.flush(deadline), WaitResult::kDone);
    }
    writer.append(std::string(32 * kMebibyte, 'x'));
    for (const Duration limit : kShortest) expect(writer.flush(limit), WaitResult::kDeadline);
    for (const MonotonicTime deadline : kEarliest) {
      expect(writer.flush(deadline), WaitResult::kDeadline);
    }
    service.notes.add("short");
    expect(reader.read(1, Duration::max()).result, WaitResult::kDone);
    expect(reader.read_until("\n", MonotonicTime::max()).result, WaitResult::kDone);
    expect(writer.flush(Duration::max()), WaitResult::kDone);
    expect(writer.flush(MonotonicTime::max()), WaitResult::kDone);
    service.notes.add("long");
  };
  service.start();
  const Descriptor peer = service.connect();
  service.expect("short");
  write_text(peer.get(), "a line\n");
  static_cast<void>(service.hear(peer, 32 * kMebibyte));
  service.expect("short, long");
  BOOST_TEST(wrong.load() == 0);
}

POLLARD_EACH_BACKEND(time_slice_of_any_length_answers_all_requests) {
  for (const Duration slice :
       {Duration::min(), Duration(-1), Duration::zero(), Duration(1), Duration::max()}) {
    Service service({.poller = backend});
    service.options.time_slice = slice;
    service.start();
    const Descriptor peer = service.connect();
    service.say(peer, "one\ntwo\nthree\n");
    BOOST_TEST(service.hear(peer, 17) == "one!\ntwo!\nthree!\n");
  }
}

POLLARD_EACH_BACKEND(shortest_limits_of_an_end_are_over_at_once) {
  for (const Duration limit : kShortest) {
    if (limit == Duration::zero()) continue;
    Service service({.poller = backend});
    service.options.close_limit = limit;
    service.handlers.on_request = [](RequestConnection& connection) { connection.close(); };
    service.start();
    const Descriptor peer = service.connect();
    write_text(peer.get(), "x");
    service.expect("connect, disconnect timeout");
    const Descriptor other = service.connect();
    bool done = false;
    service.until([&] { return service.server->connection_count() == 1; });
    service.server->stop_gracefully(limit, [&] { done = true; });
    service.until([&] { return done; });
  }
}

// ---- Memory ----

// In a thread that is neither the loop's nor a worker's.
template <class Call>
bool throws_for_want_of_memory(std::uint64_t which, bool& failed, Call call) {
  bool threw = false;
  std::thread([&] {
    const FailingAllocation failing(which);
    try {
      call();
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    failed = failing.has_failed();
  }).join();
  return threw;
}

constexpr const char* kAllocates = "memory of its own: its calls take this thread's";

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(send_that_throws_has_sent_nothing, kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    Service service(backend);
    RequestConnectionPtr kept;
    service.handlers.on_connect = [&](RequestConnection& connection) {
      kept = connection.shared_from_this();
    };
    service.start();
    const Descriptor peer = service.connect();
    service.until([&] { return service.server->stats().workers.completed == 1; });
    bool failed = false;
    const auto send = [&] { static_cast<void>(kept->send("hello")); };
    if (throws_for_want_of_memory(which, failed, send)) send();
    kept->close();
    BOOST_TEST(service.hear_to_the_end(peer) == "hello");
    return failed;
  });
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(close_that_throws_can_be_repeated, kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    Service service(backend);
    RequestConnectionPtr kept;
    service.handlers.on_connect = [&](RequestConnection& connection) {
      kept = connection.shared_from_this();
    };
    service.start();
    const Descriptor peer = service.connect();
    service.until([&] { return service.server->stats().workers.completed == 1; });
    bool failed = false;
    const auto close = [&] { kept->close(); };
    if (throws_for_want_of_memory(which, failed, close)) {
      std::thread([&] { kept->close(); }).join();
    }
    BOOST_TEST(service.hear_to_the_end(peer) == "");
    return failed;
  });
}

}  // namespace
}  // namespace pollard::testing
