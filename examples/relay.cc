// Passes connections on to another server: a TCP proxy that never holds more than a few buffers of
// any of them, however fast one side is and however slow the other.
//
//     relay --listen=127.0.0.1:7009 --connect=127.0.0.1:7007
//
// It restarts without a gap where the kernel lets several processes listen on one port
// (SO_REUSEPORT): start the new one with the same --listen, then send SIGHUP to the old one, which
// stops listening and ends when its last connection has. (Whoever stands in the old one's backlog
// at that very moment is refused, and comes again.) SIGTERM and SIGINT do the same but for the time
// that they give: see --drain. A second signal ends it at once.
#include "pollard/net/tcp/relay.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/signal_watcher.h"
#include "pollard/net/names/host_port.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/options.h"
#include "support/where.h"

using namespace std::chrono_literals;

namespace {

struct Options {
  std::string listen = "127.0.0.1:7009";
  std::string connect;
  unsigned threads = 0;
  double drain = 30;  // seconds
};

pollard::ConnectionOptions connection_options() {
  return {.high_water = 256U * 1024, .low_water = 64U * 1024, .timeouts = {.write_stall = 5min}};
}

// How many passages there are, in whatever thread.
using PassageCount = std::shared_ptr<std::atomic<std::size_t>>;

// The way from one client to the other server. It lives for as long as either of its ends.
class Passage : public std::enable_shared_from_this<Passage> {
 public:
  Passage(const pollard::TcpConnectionPtr& client, PassageCount count)
      : client_(client), count_(std::move(count)) {
    ++*count_;
  }
  ~Passage() { --*count_; }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  void open(const pollard::HostPort& server) {
    client_->add_close_callback([keep = shared_from_this()] {});
    const std::weak_ptr<Passage> weak = weak_from_this();
    upstream_.emplace(
        client_->loop(), server,
        pollard::relay_handlers({.on_connect =
                                     [weak](const pollard::TcpConnectionPtr& upstream) {
                                       if (const auto passage = weak.lock())
                                         passage->connected(upstream);
                                     },
                                 .on_give_up =
                                     [weak](std::error_code error) {
                                       if (const auto passage = weak.lock()) passage->failed(error);
                                     }}),
        pollard::TcpClientOptions{.connector = {.connect_timeout = 10s, .max_attempts = 1},
                                  .connection = connection_options()});
    if (const std::error_code error = upstream_->connect()) failed(error);
  }

 private:
  void connected(const pollard::TcpConnectionPtr& upstream) {
    upstream->add_close_callback([keep = shared_from_this()] {});
    pollard::couple(std::exchange(client_, nullptr), upstream);
  }

  void failed(std::error_code error) {
    std::cerr << "relay: no connection for " + client_->peer_address().to_string() + ": " +
                     error.message() + "\n";
    std::exchange(client_, nullptr)->force_close();
  }

  pollard::TcpConnectionPtr client_;  // until it is coupled
  PassageCount count_;
  std::optional<pollard::TcpClient> upstream_;
};

class Relay {
 public:
  Relay(pollard::EventLoop& loop, const Options& options) : loop_(loop), options_(options) {
    const pollard::HostPort target = pollard::HostPort::parse(options.connect);
    const auto make = [&](bool shared) {
      server_.emplace(
          loop_, pollard::HostPort::parse(options_.listen),
          pollard::relay_handlers({.on_connect =
                                       [target, count = passages_](const auto& client) {
                                         std::make_shared<Passage>(client, count)->open(target);
                                       }}),
          pollard::TcpServerOptions{.threads = options_.threads,
                                    .listen = {.reuse_port_balanced = shared},
                                    .connection = connection_options()});
    };
    try {
      make(true);
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::operation_not_supported) throw;
      make(false);  // here the old one has to end before the new one begins
    }
    server_->start();
  }

  [[nodiscard]] std::string where() const { return examples::where(*server_); }

  // Listens no more, and ends when the last connection has: a client may have gone before all that
  // it sent has left for the other side.
  void drain(std::optional<pollard::Duration> limit) {
    if (waiting_.active()) return loop_.stop();
    server_->stop_listening();
    if (limit.has_value()) end_ = loop_.after(*limit, [this] { loop_.stop(); });
    waiting_ = loop_.every(20ms, [this] {
      if (server_->connection_count() == 0 && *passages_ == 0) loop_.stop();
    });
  }

 private:
  pollard::EventLoop& loop_;
  Options options_;
  PassageCount passages_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::optional<pollard::TcpServer> server_;
  pollard::Timer waiting_;
  pollard::Timer end_;
};

void serve(const Options& options, const pollard::PollerChoice& poller) {
  pollard::raise_descriptor_limit(1U << 20U);
  pollard::EventLoop loop({.poller = poller});
  Relay relay(loop, options);
  const auto limit =
      std::chrono::duration_cast<pollard::Duration>(std::chrono::duration<double>(options.drain));
  const pollard::SignalWatcher signals(loop, {SIGINT, SIGTERM, SIGHUP}, [&](int signal) {
    relay.drain(signal == SIGHUP ? std::nullopt : std::optional(limit));
  });
  std::cout << "relaying on " << relay.where() << " with " << loop.poller_name() << std::endl;
  loop.run();
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app("Passes connections on to another server.");
  app.add("--listen", options.listen,
          "127.0.0.1:7009, [::1]:7009, *:7009 (every interface) or unix:/path; 0: any port");
  app.add_required("--connect", options.connect,
                   "the other server: example.org:7007, 127.0.0.1:7007 or unix:/path");
  app.add_threads(options.threads);
  app.add("--drain", options.drain,
          "seconds that SIGINT and SIGTERM leave to open connections; SIGHUP leaves them all "
          "the time that they want",
          0.0, 1e6);
  if (const auto status = app.parse(argc, argv)) return *status;

  serve(options, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "relay: " << error.what() << '\n';
  return 1;
}
