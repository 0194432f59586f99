// Every function of the public headers that says "any thread", called from two threads beside all
// that a loop may do: starting, accepting, serving, closing and stopping. For ThreadSanitizer most
// of all. A function that gets those words in its header gets a line in the table here.
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/log.h"
#include "pollard/base/version.h"
#include "pollard/net/framing/codec.h"
#include "pollard/net/framing/framing.h"
#include "pollard/net/loop/worker_pool.h"
#include "pollard/net/names/resolver.h"
#include "pollard/net/requests/request_server.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/poller/registry.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// What other threads may still hold when the loop has ended it: the last one that was connected.
template <class Pointer>
class Latest {
 public:
  void set(const Pointer& pointer) {
    const std::lock_guard lock(mutex_);
    pointer_ = pointer;
  }
  Pointer get() const {
    const std::lock_guard lock(mutex_);
    return pointer_;
  }

 private:
  mutable std::mutex mutex_;
  Pointer pointer_;
};

struct Scene {
  Scene(const std::string& backend, unsigned threads)
      : loop({.poller = backend}),
        server(loop, Address::loopback(0),
               {.on_connect = [this](const TcpConnectionPtr& it) { latest.set(it); },
                .on_message = [](const TcpConnectionPtr& it,
                                 Buffer& input) { static_cast<void>(it->send(input)); }},
               {.threads = threads}),
        requests(loop, Address::loopback(0),
                 {.on_connect = [this](RequestConnection& it) { asked.set(it.shared_from_this()); },
                  .on_request =
                      [](RequestConnection& it) {
                        while (const auto line = it.reader().read_until("\n"))
                          it.writer().append(*line);
                      }},
                 {.workers = {.workers = 1}, .server = {.threads = threads}}) {}

  // One life of the servers: they start, serve some clients, and stop in the middle of it.
  void live() {
    server.start();
    requests.start();
    std::vector<Descriptor> clients;
    for (int i = 0; i < 2; ++i) {
      clients.push_back(connect_to(server.address()));
      clients.push_back(connect_to(requests.address()));
    }
    for (const Descriptor& client : clients) write_text(client.get(), "one line\n");
    run_until(loop, [&] { return server.stats().accepted >= clients.size() / 2; });
    for (int turns = 0; turns < 10; ++turns) static_cast<void>(loop.run_once(1ms));
    reset_connection(clients.front());
    for (int turns = 0; turns < 3; ++turns) static_cast<void>(loop.run_once(1ms));
    server.stop();
    requests.stop();
  }

  Latest<TcpConnectionPtr> latest;
  Latest<RequestConnectionPtr> asked;
  WorkerPool pool{{.workers = 1}};
  EventLoop loop;
  LoopHandle handle = loop.handle();
  TcpServer server;
  RequestServer requests;
};

// Boost.Test's own checks are for one thread.
void expect(bool truth) { POLLARD_ASSERT(truth, "what any thread may ask has an answer"); }

void ignore(const std::error_code& /*the bytes may have been dropped*/) {}

struct Entry {
  std::string_view name;
  void (*call)(Scene&);
};

const Entry kOfLoops[] = {
    {"EventLoop::post", [](Scene& it) { it.loop.post([] {}); }},
    {"EventLoop::dispatch", [](Scene& it) { it.loop.dispatch([] {}); }},
    {"EventLoop::stop", [](Scene& it) { it.loop.stop(); }},
    {"EventLoop::in_loop_thread", [](Scene& it) { expect(!it.loop.in_loop_thread()); }},
    {"EventLoop::handle", [](Scene& it) { static_cast<void>(it.loop.handle().alive()); }},
    {"LoopHandle::post", [](Scene& it) { static_cast<void>(it.handle.post([] {})); }},
    {"LoopHandle::stop", [](Scene& it) { it.handle.stop(); }},
    {"LoopHandle::alive", [](Scene& it) { expect(it.handle.alive()); }},
    {"LoopHandle::in_loop_thread", [](Scene& it) { expect(!it.handle.in_loop_thread()); }},
    {"Resolver::shared", [](Scene&) { static_cast<void>(Resolver::shared()); }},
    {"Resolver::resolve_blocking",
     [](Scene&) { static_cast<void>(Resolver::resolve_blocking("127.0.0.1:80")); }},
    {"Resolver::join_left_behind",
     [](Scene&) { static_cast<void>(Resolver::join_left_behind(0ms)); }},
    {"WorkerPool::submit", [](Scene& it) { static_cast<void>(it.pool.submit([] {})); }},
    {"WorkerPool::try_submit", [](Scene& it) { static_cast<void>(it.pool.try_submit([] {})); }},
    {"WorkerPool::queue_size", [](Scene& it) { static_cast<void>(it.pool.queue_size()); }},
    {"WorkerPool::stats", [](Scene& it) { static_cast<void>(it.pool.stats()); }},
    {"registered_pollers", [](Scene&) { static_cast<void>(registered_pollers()); }},
    {"log_enabled, log",
     [](Scene&) {
       if (log_enabled(LogLevel::kDebug)) log(LogLevel::kDebug, "never shown");
     }},
    {"set_log_sink", [](Scene&) { set_log_sink({}); }},
    {"version", [](Scene&) { static_cast<void>(version()); }},
};

const Entry kOfServers[] = {
    {"TcpServer::address", [](Scene& it) { expect(it.server.address().is_ipv4()); }},
    {"TcpServer::addresses", [](Scene& it) { expect(it.server.addresses().size() == 1); }},
    {"TcpServer::connection_count", [](Scene& it) { expect(it.server.connection_count() <= 100); }},
    {"TcpServer::stats", [](Scene& it) { expect(it.server.stats().open <= 100); }},
    {"TcpServer::for_each_connection",
     [](Scene& it) {
       it.server.for_each_connection(
           [](const TcpConnectionPtr& each) { ignore(each->send("visited")); });
     }},
    {"RequestServer::address", [](Scene& it) { expect(it.requests.address().is_ipv4()); }},
    {"RequestServer::addresses", [](Scene& it) { expect(it.requests.addresses().size() == 1); }},
    {"RequestServer::connection_count",
     [](Scene& it) { expect(it.requests.connection_count() <= 100); }},
};

// Calls it with the latest connection, while there has been one.
template <auto call>
void on_latest(Scene& scene) {
  if (const TcpConnectionPtr connection = scene.latest.get()) call(*connection);
}

const Entry kOfConnections[] = {
    {"send(string_view)",
     on_latest<[](TcpConnection& it) { ignore(it.send(std::string_view("view"))); }>},
    {"send(text)", on_latest<[](TcpConnection& it) { ignore(it.send("text")); }>},
    {"send(bytes)",
     on_latest<[](TcpConnection& it) { ignore(it.send(std::as_bytes(std::span("bytes")))); }>},
    {"send(string)", on_latest<[](TcpConnection& it) { ignore(it.send(std::string(3000, 'x'))); }>},
    {"send(Buffer)", on_latest<[](TcpConnection& it) { ignore(it.send(Buffer())); }>},
    {"send(pieces)", on_latest<[](TcpConnection& it) {
       ignore(it.send({"one", "two"}));
     }>},
    {"send(head, body)",
     on_latest<[](TcpConnection& it) { ignore(it.send("head", std::string("body"))); }>},
    {"send_file", on_latest<[](TcpConnection& it) {
       ignore(it.send_file({temporary_file("file"), 0, 4}));
     }>},
    {"send_framed",
     on_latest<[](TcpConnection& it) { ignore(send_framed(it, DelimitedCodec("\n"), "framed")); }>},
    {"shutdown", on_latest<[](TcpConnection& it) { it.shutdown(); }>},
    {"shutdown(limit)", on_latest<[](TcpConnection& it) { it.shutdown(1ms); }>},
    {"force_close", on_latest<[](TcpConnection& it) { it.force_close(); }>},
    {"force_close_after", on_latest<[](TcpConnection& it) { it.force_close_after(1ms); }>},
    {"fail", on_latest<[](TcpConnection& it) {
       it.close_with_error(make_error_code(std::errc::protocol_error));
     }>},
    {"set_busy", on_latest<[](TcpConnection& it) { it.set_busy(true); }>},
    {"pause_reading", on_latest<[](TcpConnection& it) { it.pause_reading(); }>},
    {"resume_reading", on_latest<[](TcpConnection& it) { it.resume_reading(); }>},
    {"state", on_latest<[](TcpConnection& it) { static_cast<void>(it.state()); }>},
    {"connected", on_latest<[](TcpConnection& it) { static_cast<void>(it.connected()); }>},
    {"peer_address", on_latest<[](TcpConnection& it) { expect(it.peer_address().is_ipv4()); }>},
    {"loop_handle",
     on_latest<[](TcpConnection& it) { static_cast<void>(it.loop_handle().alive()); }>},
};

template <auto call>
void on_asked(Scene& scene) {
  if (const RequestConnectionPtr connection = scene.asked.get()) call(*connection);
}

const Entry kOfRequestConnections[] = {
    {"send", on_asked<[](RequestConnection& it) { ignore(it.send("sent")); }>},
    {"close", on_asked<[](RequestConnection& it) { it.close(); }>},
    {"force_close", on_asked<[](RequestConnection& it) { it.force_close(); }>},
    {"fail", on_asked<[](RequestConnection& it) {
       it.close_with_error(make_error_code(std::errc::protocol_error));
     }>},
    {"abandoned", on_asked<[](RequestConnection& it) { static_cast<void>(it.cancelled()); }>},
    {"stopped", on_asked<[](RequestConnection& it) { static_cast<void>(it.stopped()); }>},
    {"closed_by", on_asked<[](RequestConnection& it) { static_cast<void>(it.closed_by()); }>},
    {"add_close_callback", on_asked<[](RequestConnection& it) { it.add_close_callback([] {}); }>},
    {"set_on_request",
     on_asked<[](RequestConnection& it) { it.set_on_request([](RequestConnection&) {}); }>},
    {"set_on_disconnect", on_asked<[](RequestConnection& it) {
       it.set_on_disconnect([](RequestConnection&, const DisconnectReason&) {});
     }>},
    {"peer_address", on_asked<[](RequestConnection& it) { expect(it.peer_address().is_ipv4()); }>},
    {"loop_handle",
     on_asked<[](RequestConnection& it) { static_cast<void>(it.loop_handle().alive()); }>},
};

// Two threads call it again and again during two lives of the servers; not so often that what they
// post is all that the loop does.
void call_beside_everything(Scene& scene, const Entry& entry) {
  std::atomic<bool> done{false};
  const auto call = [&] {
    for (int calls = 0; calls < 300 && !done; ++calls) {
      entry.call(scene);
      std::this_thread::yield();
    }
  };
  struct Callers {  // join, whatever the scene throws
    ~Callers() {
      done = true;
      for (std::thread& each : threads) each.join();
    }
    std::atomic<bool>& done;
    std::array<std::thread, 2> threads;
  };
  const Callers callers{done, {std::thread(call), std::thread(call)}};
  scene.live();
  scene.live();
}

template <class Entries>
void call_all(const std::string& backend, const Entries& entries) {
  for (const unsigned threads : {0U, 2U}) {
    Scene scene(backend, threads);
    for (const Entry& entry : entries) {
      BOOST_TEST_CONTEXT(entry.name) { call_beside_everything(scene, entry); }
    }
    BOOST_TEST(scene.server.connection_count() == 0U);
  }
}

constexpr const char* kWhy = "the simulated kernel has one lock, which would hide races";

POLLARD_EACH_REAL_BACKEND(any_thread_may_call_loops_pools_and_resolvers_beside_everything, kWhy) {
  call_all(backend, kOfLoops);
}

POLLARD_EACH_REAL_BACKEND(any_thread_may_call_servers_beside_start_and_stop, kWhy) {
  call_all(backend, kOfServers);
}

POLLARD_EACH_REAL_BACKEND(any_thread_may_call_connections_beside_everything, kWhy) {
  call_all(backend, kOfConnections);
}

POLLARD_EACH_REAL_BACKEND(any_thread_may_call_request_connections_beside_everything, kWhy) {
  call_all(backend, kOfRequestConnections);
}

}  // namespace
}  // namespace pollard::testing
