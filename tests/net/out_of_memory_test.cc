// Each allocation in turn fails, once: nothing dies of it, nobody hears what is meant for others,
// and when there is memory again all goes on, or has ended as it should.
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

// Turns with memory that is short once; what a turn throws is what it was short of.
bool turn_short_of_memory(EventLoop& loop, std::uint64_t which, int turns, Duration pause = {}) {
  const FailingAllocation failing(which);
  for (int i = 0; i < turns; ++i) {
    try {
      static_cast<void>(loop.run_once(pause));
    } catch (const std::bad_alloc&) {
    }
  }
  return failing.has_failed();
}

constexpr const char* kAllocates = "memory of its own: its calls take this thread's";

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(a_connection_that_is_short_of_memory_goes_on_or_ends_once,
                                      kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    Connected it(backend);
    int disconnects = 0;
    const std::string answer(300'000, 'a');
    it.handlers = {.on_message =
                       [&](const TcpConnectionPtr& connection, Buffer& input) {
                         if (!input.find("\n").has_value()) return;  // kept
                         input.clear();
                         connection->send(std::string(answer));
                         connection->send(answer);
                         connection->send("end");
                       },
                   .on_disconnect = [&](const auto&, const auto&) { ++disconnects; }};
    it.options.timeouts = {.idle = 1h};
    it.open();
    it.connection.reset();
    static_cast<void>(write_some(it.peer.get(), "a long beginning of "));
    static_cast<void>(it.loop.run_once(1s));
    static_cast<void>(write_some(it.peer.get(), "a question\n"));
    const bool failed = turn_short_of_memory(it.loop, which, 4);
    std::string heard;
    it.until([&] {
      heard += read_text(it.peer.get());
      return disconnects > 0 || heard.size() == 2 * answer.size() + 3;
    });
    it.end_peer();
    it.until_closed();
    BOOST_TEST(disconnects == 1);
    return failed;
  });
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(a_server_that_was_short_of_memory_serves_the_next,
                                      kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    EventLoop loop({.poller = backend.poller});
    int connects = 0;
    int disconnects = 0;
    TcpServer server(loop, Address::loopback(0),
                     {.on_connect = [&](const auto&) { ++connects; },
                      .on_message = [](const TcpConnectionPtr& connection,
                                       Buffer& input) { connection->send(input); },
                      .on_disconnect = [&](const auto&, const auto&) { ++disconnects; }},
                     {.max_connections = 2, .connection = {.trigger = choice_of(backend)}});
    server.start();
    Descriptor first = connect_to(server.address());
    Descriptor second = connect_to(server.address());
    static_cast<void>(write_some(first.get(), "hello"));
    const bool failed = turn_short_of_memory(loop, which, 4);
    first.reset();
    second.reset();
    run_until(loop, [&] { return server.connection_count() == 0; });
    BOOST_TEST(connects == disconnects);

    const Descriptor next = connect_to(server.address());
    static_cast<void>(write_some(next.get(), "hello"));
    std::string heard;
    run_until(loop, [&] { return (heard += read_text(next.get())) == "hello"; });
    bool stopped = false;
    server.stop_gracefully(10s, [&] { stopped = true; });
    end_sending(next.get());
    run_until(loop, [&] { return stopped; });
    return failed;
  });
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(a_client_that_was_short_of_memory_connects_all_the_same,
                                      kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    const Listener listener = listen_on_loopback();
    EventLoop loop({.poller = backend.poller});
    int connects = 0;
    int disconnects = 0;
    TcpClientOptions options{.reconnect = true, .connection = {.trigger = choice_of(backend)}};
    options.connector.backoff = {.initial = 1ms, .maximum = 1ms};
    ConnectionHandlers handlers{.on_connect = [&](const auto&) { ++connects; },
                                .on_disconnect = [&](const auto&, const auto&) { ++disconnects; }};
    auto client =
        std::make_unique<TcpClient>(loop, Address(listener.endpoint), std::move(handlers), options);
    static_cast<void>(client->connect());
    const bool failed = turn_short_of_memory(loop, which, 4);
    run_until(loop, [&] { return connects > disconnects; });
    client.reset();
    BOOST_TEST(connects == disconnects);
    return failed;
  });
}

// In the loop's thread. What it finds depends on when the worker answers.
POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(a_request_server_that_was_short_of_memory_serves_the_next,
                                      kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    Service service(backend);
    service.start();
    Descriptor peer = connect_to(service.server->address());
    static_cast<void>(write_some(peer.get(), "question\n"));
    const bool failed = turn_short_of_memory(service.loop, which, 6, 1ms);
    peer.reset();
    service.until_empty();

    const Descriptor next = service.connect();
    service.say(next, "question\n");
    BOOST_TEST(service.hear(next, 9) == "question!");
    bool stopped = false;
    end_sending(next.get());
    service.server->stop_gracefully(10s, [&] { stopped = true; });
    service.until([&] { return stopped; });
    return failed;
  });
}

// In the worker's thread, from the middle of a handler on.
POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(a_worker_that_was_short_of_memory_loses_no_connection,
                                      kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    static thread_local std::optional<FailingAllocation> failing;
    std::atomic<bool> failed{false};
    Service service(backend);
    service.options.workers.workers = 1;
    service.handlers.on_request = [&](RequestConnection& connection) {
      failing.emplace(which);
      if (const auto line = connection.reader().read_until("\n")) connection.writer().append(*line);
      connection.add_close_callback([] {});
    };
    service.handlers.on_disconnect = [&](RequestConnection&, const DisconnectReason&) {
      failed = failed || failing->has_failed();
      failing.reset();
    };
    service.start();
    Descriptor peer = connect_to(service.server->address());
    static_cast<void>(write_some(peer.get(), "question\n"));
    std::string heard;
    service.until([&] {
      heard += read_text(peer.get());
      const Meets next = peek(peer.get());
      return heard == "question" || next == Meets::kEnd || next == Meets::kError;
    });
    peer.reset();  // it may have been reset, with half of the answer
    service.until_empty();
    return failed.load();
  });
}

}  // namespace
}  // namespace pollard::testing
