// Memory that is short at the moment when a server's connection ends: a full server has room again,
// and a graceful stop comes to its end.
#include <cstdint>
#include <new>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/quiet.h"
#include "pollard/tests/support/short_memory.h"

namespace pollard::testing {
namespace {

constexpr const char* kAllocates = "memory of its own: its calls take this thread's";

// Turns with memory that is short once.
void turn_short_of_memory(EventLoop& loop, std::uint64_t which) {
  const FailingAllocation failing(which);
  for (int i = 0; i < 4; ++i) {
    try {
      static_cast<void>(loop.run_once(Duration::zero()));
    } catch (const std::bad_alloc&) {
    }
  }
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(full_server_that_was_short_of_memory_has_room_again,
                                      kAllocates) {
  for (const std::uint64_t which : {1U, 2U}) {
    const Quiet quiet;
    EventLoop loop({.poller = backend.poller});
    TcpServer server(loop, Address::loopback(0),
                     {.on_message = [](const TcpConnectionPtr& connection,
                                       Buffer& input) { connection->send(input); }},
                     {.max_connections = 1,
                      .when_full = WhenFull::kWait,
                      .connection = {.trigger = choice_of(backend)}});
    server.start();
    Descriptor first = connect_to(server.address());
    run_until(loop, [&] { return server.connection_count() == 1; });
    first.reset();
    turn_short_of_memory(loop, which);
    run_until(loop, [&] { return server.connection_count() == 0; });
    const Descriptor next = connect_to(server.address());
    write_text(next.get(), "x");
    run_until(loop, [&] { return read_text(next.get()) == "x"; });
  }
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(graceful_stop_that_was_short_of_memory_comes_to_its_end,
                                      kAllocates) {
  for (const std::uint64_t which : {1U, 2U}) {
    const Quiet quiet;
    EventLoop loop({.poller = backend.poller});
    TcpServer server(loop, Address::loopback(0),
                     {.on_connect = [](const auto& connection) { connection->set_busy(true); }},
                     {.connection = {.trigger = choice_of(backend)}});
    server.start();
    Descriptor first = connect_to(server.address());
    run_until(loop, [&] { return server.connection_count() == 1; });
    bool done = false;
    server.stop_gracefully(1h, [&] { done = true; });
    run_until_idle(loop);
    first.reset();
    turn_short_of_memory(loop, which);
    run_until(loop, [&] { return done; });
  }
}

}  // namespace
}  // namespace pollard::testing
