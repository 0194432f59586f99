// Keeps values under keys, and speaks a part of Redis' protocol: for redis-cli,
// redis-benchmark, or a person with nc.
//
//     key_value_server --listen=127.0.0.1:6379 --threads=2
//     redis-benchmark -t set,get -P 16
#include <any>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "key_value_server/commands.h"
#include "key_value_server/resp.h"
#include "key_value_server/store.h"
#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/options.h"
#include "support/serve.h"

using namespace std::chrono_literals;
using pollard::Buffer;
using pollard::TcpConnection;
using pollard::TcpConnectionPtr;

namespace {

struct Options {
  std::string listen = "127.0.0.1:6379";
  unsigned threads = 0;
};

// What a connection keeps between its inputs.
class Session {
 public:
  explicit Session(key_value::Store& store) : store_(store) {}

  // Answers all commands of an input, with one send as far as that is
  // reasonable.
  void answer(TcpConnection& connection, Buffer& input) {
    const std::string_view all = input.view();
    std::size_t taken = 0;
    connection.set_unfinished(std::nullopt);
    while (taken < all.size() && !ended_) {
      const auto result = parser_.parse(all.substr(taken));
      if (result == key_value::CommandParser::Result::kNeedMore) {
        connection.set_unfinished(all.size() - taken);
        break;
      }
      if (result == key_value::CommandParser::Result::kError) {
        replies_.error(parser_.error());
        end(connection);
        break;
      }
      taken += parser_.size();
      execute(connection);
      if (replies_.text().size() >= kSendEarly) {
        send(connection);
        if (!connection.takes_input()) break;
      }
    }
    if (!replies_.text().empty()) send(connection);
    ended_ ? input.clear() : input.consume(taken);
  }

 private:
  static constexpr std::size_t kSendEarly = std::size_t{64} * 1024;
  static constexpr std::size_t kKept = 2048;  // of memory, by each connection

  void execute(TcpConnection& connection) {
    if (parser_.arguments().empty()) return;
    const auto afterwards = key_value::execute(parser_.arguments(), store_, replies_);
    if (afterwards == key_value::Afterwards::kQuit) end(connection);
  }

  void send(TcpConnection& connection) {
    std::string& text = replies_.text();
    if (text.capacity() <= kKept) {
      connection.send(std::string_view(text));
      text.clear();
    } else {
      connection.send(std::move(text));
      text = std::string();
    }
  }

  // The last reply leaves; what the peer still says is not listened to.
  void end(TcpConnection& connection) {
    ended_ = true;
    send(connection);
    connection.shutdown(1s);
  }

  key_value::Store& store_;
  key_value::CommandParser parser_;
  key_value::Replies replies_;
  bool ended_ = false;
};

pollard::ConnectionHandlers handlers(key_value::Store& store) {
  return {.on_connect =
              [&store](const TcpConnectionPtr& connection) {
                connection->context() = std::make_shared<Session>(store);
              },
          .on_message =
              [](const TcpConnectionPtr& connection, Buffer& input) {
                auto& session = std::any_cast<std::shared_ptr<Session>&>(connection->context());
                session->answer(*connection, input);
              }};
}

void serve(const Options& options, const pollard::PollerChoice& poller) {
  pollard::raise_descriptor_limit(1U << 20U);

  pollard::EventLoop loop({.poller = poller});
  // The loops of all threads ask; EventLoop::now() may only be called in its own.
  key_value::Store store(
      [] { return key_value::Store::Time(std::chrono::steady_clock::now().time_since_epoch()); });
  pollard::TcpServer server(
      loop, pollard::HostPort::parse(options.listen), handlers(store),
      {.threads = options.threads, .connection = {.pause_reading_when_full = true}});
  // Expired keys are gone for everybody at once; this gives their memory back.
  const pollard::Timer sweep = loop.every(100ms, [&store] { store.remove_expired(); });

  examples::serve_until_stopped(loop, server, 1s);
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app("Keeps values under keys; speaks a part of Redis' protocol.");
  app.add("--listen", options.listen,
          "127.0.0.1:6379, localhost:6379, *:6379 (every interface) or "
          "unix:/path; 0: any port");
  app.add_threads(options.threads);
  if (const auto status = app.parse(argc, argv)) return *status;

  serve(options, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "key_value_server: " << error.what() << '\n';
  return 1;
}
