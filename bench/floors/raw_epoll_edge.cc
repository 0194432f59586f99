// The floor with everything that epoll offers for it: each connection is registered once,
// edge-triggered and for both directions, and one large buffer receives for all of them.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "support/echo.h"
#include "support/report.h"
#include "support/server_options.h"
#include "support/sockets.h"

namespace {

using bench::Step;

constexpr int kBatch = 512;
constexpr std::uint32_t kBothEdges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::uint32_t kHangUp = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

class Server {
 public:
  explicit Server(const bench::ServerOptions& options)
      : echo_(options.buffer_bytes), listener_(bench::listen_on_loopback(options.port)) {
    add(listener_, EPOLLIN);
    add(stop_, EPOLLIN);
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
    if (echo_.blocked(fd)) {
      const Step step = echo_.flush(fd);
      if (step == Step::kEnded) return end(fd);
      if (step == Step::kBlocked) return;
      // What came meanwhile had its edge already.
      return receive(fd, true);
    }
    if ((ready & (EPOLLIN | kHangUp)) != 0) receive(fd, (ready & kHangUp) != 0);
  }

  // A short read is the last, but for what has come with a hang-up: that brings no second edge.
  void receive(int socket, bool to_the_end) {
    for (;;) {
      const Step step = echo_.receive(socket);
      if (step == Step::kEnded) return end(socket);
      if (step == Step::kMore || (step == Step::kAnswered && to_the_end)) continue;
      return;
    }
  }

  void accept() {
    const int socket = bench::accept_one(listener_);
    if (socket < 0) return;
    ++echo_.counts().accepted;
    add(socket, kBothEdges);
  }

  void end(int socket) {
    echo_.forget(socket);
    close(socket);
  }

  void add(int fd, std::uint32_t wanted) const {
    epoll_event event{};
    event.events = wanted;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) bench::die("epoll_ctl");
  }

  bench::Echo echo_;
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  int listener_;
  int stop_ = bench::stop_descriptor();
  bool stopping_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t kLargeBuffer = std::size_t{512} * 1024;
  Server(bench::read_server_options(argc, argv, {.buffer_bytes = kLargeBuffer})).run();
}
