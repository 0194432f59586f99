// A server with workers, and raw sockets as its peers. The loop turns in the test's thread, only
// while the test waits for something; handlers run in threads of their own, and what they do when
// is decided by gates.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/net/requests/request_server.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {

/// Where a handler waits until the test lets it go on.
class Gate {
 public:
  /// Waits; for ten seconds at the most, which only a mistake lets pass.
  void pass();
  /// Lets everybody pass from now on.
  void open();
  /// How many have come, and have passed or wait.
  [[nodiscard]] unsigned reached() const { return reached_.load(); }
  [[nodiscard]] bool waited_in_vain() const { return in_vain_.load(); }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  std::atomic<unsigned> reached_{0};
  std::atomic<bool> in_vain_{false};
};

/// What happened, in its order; any thread.
class Notes {
 public:
  void add(std::string note);
  [[nodiscard]] std::size_t count(std::string_view note) const;
  [[nodiscard]] bool has(std::string_view note) const { return count(note) > 0; }
  [[nodiscard]] std::size_t size() const;
  /// "connect, request abc, disconnect peer, close 2, close 1".
  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> notes_;
};

class Service {
 public:
  explicit Service(const BackendCase& backend);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// With handlers and options as they are by then.
  void start();
  [[nodiscard]] Descriptor connect();

  /// What a peer hears until it is so much, or until the end of the stream.
  std::string hear(const Descriptor& peer, std::size_t count);
  std::string hear_to_the_end(const Descriptor& peer);
  /// Sends it all, turning the loop while the way is full.
  void say(const Descriptor& peer, std::string_view text);

  template <class Done>
  void until(Done done) {
    run_until(loop, std::move(done));
  }
  /// Until a gate was reached so often.
  void until_reached(const Gate& gate, unsigned times = 1) {
    until([&] { return gate.reached() >= times; });
  }
  /// Until the notes are these, or anything else with as many commas.
  void expect(std::string_view text);
  /// Until the last callback of the last connection has run.
  void until_empty() {
    until([this] { return server->connection_count() == 0; });
  }

  Notes notes;
  /// These note what they are called for; on_request takes lines, and answers "<line>!".
  RequestHandlers handlers;
  RequestServerOptions options;  // of two workers
  EventLoop loop;
  std::optional<RequestServer> server;
};

}  // namespace pollard::testing
