// libev: one watcher for each connection. It says when to read; the calls are ours.
#include <ev.h>
#include <unistd.h>

#include <csignal>

#include "support/echo.h"
#include "support/report.h"
#include "support/server_options.h"
#include "support/sockets.h"

namespace {

using bench::Step;

// What its macros do by casts of the old kind is spelt out here.
class Server {
 public:
  explicit Server(const bench::ServerOptions& options)
      : echo_(options.buffer_bytes), listener_(bench::listen_on_loopback(options.port)) {
    prepare(accepts_, on_accept, listener_, EV_READ, this);
    ev_io_start(loop_, &accepts_);
    stops_.cb = on_stop;
    stops_.signum = SIGTERM;
    ev_signal_start(loop_, &stops_);
    bench::announce(bench::port_of(listener_));
  }

  void run() {
    ev_run(loop_, 0);
    bench::report(echo_.counts());
  }

 private:
  using Callback = void (*)(struct ev_loop*, ev_io*, int);

  static void prepare(ev_io& watch, Callback callback, int fd, int wanted, void* data) {
    watch = {};
    watch.cb = callback;
    watch.data = data;
    watch.fd = fd;
    watch.events = wanted | EV__IOFDSET;
  }

  static void on_accept(struct ev_loop* loop, ev_io* watch, int /*ready*/) {
    auto& server = *static_cast<Server*>(watch->data);
    const int socket = bench::accept_one(watch->fd);
    if (socket < 0) return;
    ++server.echo_.counts().accepted;
    auto* connection = new ev_io;
    prepare(*connection, on_ready, socket, EV_READ, &server);
    ev_io_start(loop, connection);
  }

  static void on_ready(struct ev_loop* loop, ev_io* watch, int ready) {
    auto& server = *static_cast<Server*>(watch->data);
    const bool flushes = (ready & EV_WRITE) != 0;
    const Step step = flushes ? server.echo_.flush(watch->fd) : server.echo_.receive(watch->fd);
    if (step == Step::kEnded) return server.end(watch);
    if (step == Step::kBlocked && !flushes) change(loop, watch, EV_WRITE);
    if (step == Step::kAnswered && flushes) change(loop, watch, EV_READ);
  }

  static void on_stop(struct ev_loop* loop, ev_signal* /*watch*/, int /*ready*/) {
    ev_break(loop, EVBREAK_ALL);
  }

  static void change(struct ev_loop* loop, ev_io* watch, int wanted) {
    ev_io_stop(loop, watch);
    prepare(*watch, on_ready, watch->fd, wanted, watch->data);
    ev_io_start(loop, watch);
  }

  void end(ev_io* watch) {
    echo_.forget(watch->fd);
    ev_io_stop(loop_, watch);
    close(watch->fd);
    delete watch;
  }

  bench::Echo echo_;
  struct ev_loop* loop_ = ev_default_loop(EVFLAG_AUTO);
  int listener_;
  ev_io accepts_{};
  ev_signal stops_{};
};

}  // namespace

int main(int argc, char** argv) { Server(bench::read_server_options(argc, argv)).run(); }
