// The floor: epoll as its manual page shows it, level-triggered, and nothing around it.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>

#include "support/echo.h"
#include "support/report.h"
#include "support/server_options.h"
#include "support/sockets.h"

namespace {

using bench::Step;

constexpr int kBatch = 512;

class Server {
 public:
  explicit Server(const bench::ServerOptions& options)
      : echo_(options.buffer_bytes), listener_(bench::listen_on_loopback(options.port)) {
    control(EPOLL_CTL_ADD, listener_, EPOLLIN);
    control(EPOLL_CTL_ADD, stop_, EPOLLIN);
    bench::announce(bench::port_of(listener_));
  }

  void run() {
    std::array<epoll_event, kBatch> events;
    while (!stopping_) {
      const int ready = epoll_wait(epoll_, events.data(), kBatch, -1);
      if (ready < 0 && errno != EINTR) bench::die("epoll_wait");
      for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        handle(event.data.fd, event.events);
      }
    }
    bench::report(echo_.counts());
  }

 private:
  void handle(int fd, std::uint32_t ready) {
    if (fd == listener_) return accept();
    if (fd == stop_) {
      stopping_ = true;
      return;
    }
    if ((ready & EPOLLOUT) != 0) return flush(fd);
    const Step step = echo_.receive(fd);
    if (step == Step::kEnded) return end(fd);
    if (step == Step::kBlocked) control(EPOLL_CTL_MOD, fd, EPOLLOUT);
  }

  void accept() {
    const int socket = bench::accept_one(listener_);
    if (socket < 0) return;
    ++echo_.counts().accepted;
    control(EPOLL_CTL_ADD, socket, EPOLLIN);
  }

  void flush(int socket) {
    const Step step = echo_.flush(socket);
    if (step == Step::kEnded) return end(socket);
    if (step == Step::kAnswered) control(EPOLL_CTL_MOD, socket, EPOLLIN);
  }

  void end(int socket) {
    echo_.forget(socket);
    close(socket);
  }

  void control(int operation, int fd, std::uint32_t wanted) const {
    epoll_event event{};
    event.events = wanted;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, operation, fd, &event) != 0) bench::die("epoll_ctl");
  }

  bench::Echo echo_;
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  int listener_;
  int stop_ = bench::stop_descriptor();
  bool stopping_ = false;
};

}  // namespace

int main(int argc, char** argv) { Server(bench::read_server_options(argc, argv)).run(); }
