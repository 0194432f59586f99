// The floor for poll: an array of descriptors, and nothing around it.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "support/echo.h"
#include "support/report.h"
#include "support/server_options.h"
#include "support/sockets.h"

namespace {

using bench::Step;

class Server {
 public:
  explicit Server(const bench::ServerOptions& options) : echo_(options.buffer_bytes) {
    watched_ = {{bench::stop_descriptor(), POLLIN, 0},
                {bench::listen_on_loopback(options.port), POLLIN, 0}};
    bench::announce(bench::port_of(watched_[kListener].fd));
  }

  void run() {
    for (;;) {
      int ready = poll(watched_.data(), watched_.size(), -1);
      if (ready < 0 && errno != EINTR) bench::die("poll");
      if (watched_[kStop].revents != 0) break;
      // From the back: who ends changes places with the last, whose turn has been.
      for (std::size_t at = watched_.size(); ready > 0 && at-- > kFirstConnection;) {
        if (watched_[at].revents == 0) continue;
        --ready;
        handle(at);
      }
      if (watched_[kListener].revents != 0) accept();
    }
    bench::report(echo_.counts());
  }

 private:
  static constexpr std::size_t kStop = 0;
  static constexpr std::size_t kListener = 1;
  static constexpr std::size_t kFirstConnection = 2;

  void handle(std::size_t at) {
    pollfd& connection = watched_[at];
    const bool flushes = (connection.revents & POLLOUT) != 0;
    const Step step = flushes ? echo_.flush(connection.fd) : echo_.receive(connection.fd);
    if (step == Step::kEnded) return end(at);
    if (step == Step::kBlocked) connection.events = POLLOUT;
    if (flushes && step == Step::kAnswered) connection.events = POLLIN;
  }

  void accept() {
    const int socket = bench::accept_one(watched_[kListener].fd);
    if (socket < 0) return;
    ++echo_.counts().accepted;
    watched_.push_back({socket, POLLIN, 0});
  }

  void end(std::size_t at) {
    echo_.forget(watched_[at].fd);
    close(watched_[at].fd);
    watched_[at] = watched_.back();
    watched_.pop_back();
  }

  bench::Echo echo_;
  std::vector<pollfd> watched_;
};

}  // namespace

int main(int argc, char** argv) { Server(bench::read_server_options(argc, argv)).run(); }
