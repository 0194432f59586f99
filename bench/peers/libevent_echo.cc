// libevent: one persistent event for each connection. It says when to read; the calls are ours.
#include <event2/event.h>
#include <event2/event_struct.h>
#include <unistd.h>

#include <csignal>

#include "support/echo.h"
#include "support/report.h"
#include "support/server_options.h"
#include "support/sockets.h"

namespace {

using bench::Step;

class Server {
 public:
  explicit Server(const bench::ServerOptions& options)
      : echo_(options.buffer_bytes),
        base_(event_base_new()),
        listener_(bench::listen_on_loopback(options.port)) {
    event_assign(&accepts_, base_, listener_, EV_READ | EV_PERSIST, on_accept, this);
    event_add(&accepts_, nullptr);
    evsignal_assign(&stops_, base_, SIGTERM, on_stop, this);
    event_add(&stops_, nullptr);
    bench::announce(bench::port_of(listener_));
  }

  void run() {
    event_base_dispatch(base_);
    bench::report(echo_.counts());
  }

 private:
  struct Connection {
    Server& server;
    event watch;
  };

  static void on_accept(int listener, short /*ready*/, void* argument) {
    auto& server = *static_cast<Server*>(argument);
    const int socket = bench::accept_one(listener);
    if (socket < 0) return;
    ++server.echo_.counts().accepted;
    auto* connection = new Connection{server, {}};
    event_assign(&connection->watch, server.base_, socket, EV_READ | EV_PERSIST, on_ready,
                 connection);
    event_add(&connection->watch, nullptr);
  }

  static void on_ready(int socket, short ready, void* argument) {
    auto* connection = static_cast<Connection*>(argument);
    Server& server = connection->server;
    const bool flushes = (ready & EV_WRITE) != 0;
    const Step step = flushes ? server.echo_.flush(socket) : server.echo_.receive(socket);
    if (step == Step::kEnded) return server.end(connection, socket);
    if (step == Step::kBlocked && !flushes) server.watch(connection, socket, EV_WRITE);
    if (step == Step::kAnswered && flushes) server.watch(connection, socket, EV_READ);
  }

  static void on_stop(int /*signal*/, short /*ready*/, void* argument) {
    event_base_loopbreak(static_cast<Server*>(argument)->base_);
  }

  void watch(Connection* connection, int socket, int wanted) const {
    event_del(&connection->watch);
    event_assign(&connection->watch, base_, socket, static_cast<short>(wanted | EV_PERSIST),
                 on_ready, connection);
    event_add(&connection->watch, nullptr);
  }

  void end(Connection* connection, int socket) {
    echo_.forget(socket);
    event_del(&connection->watch);
    close(socket);
    delete connection;
  }

  bench::Echo echo_;
  event_base* base_;
  int listener_;
  event accepts_{};
  event stops_{};
};

}  // namespace

int main(int argc, char** argv) { Server(bench::read_server_options(argc, argv)).run(); }
