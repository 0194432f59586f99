// Where a scene is played: a simulated kernel, a loop, peers that act between its turns, and a
// second connection of the loop that nothing may disturb.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/internal/connection_group.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/account.h"
#include "pollard/tests/fault_run/peer.h"
#include "pollard/tests/fault_run/strike.h"
#include "pollard/tests/support/short_memory.h"

namespace pollard::fault_run {

/// What is played.
struct Play {
  std::string poller;
  Blow blow = {};
  /// Which allocation of the loop's thread fails, counted from 1; zero: none.
  std::uint64_t allocation = 0;
  /// More system calls than this are a spin.
  std::uint64_t most_calls = 200'000;
  bool trace = false;
};

/// The stage itself. Scenes are played in the thread that makes it.
class Stage {
 public:
  using Problems = std::vector<std::string>;

  Stage(const Play& play, sim::Kernel& kernel, Strike& strike, Problems& problems);
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  [[nodiscard]] EventLoop& loop() { return *loop_; }
  [[nodiscard]] const std::string& poller() const { return play_.poller; }
  [[nodiscard]] sim::Kernel& kernel() { return kernel_; }
  /// Which names have which addresses: all have these.
  void know(std::vector<Address> addresses) { strike_.know(std::move(addresses)); }

  /// Peers are owned by the stage, and act until the scene ends.
  Peer& connect(const Address& server);
  Peer& adopt(std::unique_ptr<Peer> peer);
  /// What the next connection to `listener` is; null when none waits.
  Peer* accept(RawListener& listener);
  RawListener& listen();
  Account& account(std::string name);

  /// One turn of the loop and of all peers.
  void turn();
  /// Turns until `done`. What doesn't come within virtual minutes is a problem, and false.
  template <class Done>
  bool until(std::string_view what, Done done) {
    while (!done()) {
      if (!may_go_on(what)) return false;
      turn();
    }
    return true;
  }

  /// Whether nothing has happened that may cost anything.
  [[nodiscard]] bool unharmed() const;
  /// Whether a connect that met the failure may succeed another time.
  [[nodiscard]] bool worth_a_retry() const;
  void require(bool condition, const std::string& what);
  /// Only where nothing has happened that may cost anything.
  void require_unharmed(bool condition, const std::string& what);

  /// Whether a constructor, or a function that starts something, may throw an error of the system:
  /// it has met one, and doesn't wait for a shortage to end.
  [[nodiscard]] static bool may_throw(const Strike& strike, const Play& play);

  /// What a peer has heard is the beginning of `stream`, and all of it if it ended in good order.
  void check_stream(const Peer& peer, std::string_view stream);
  /// All connections of the server have ended, and each is counted out once.
  void check_server(const TcpServer& server, const Account& account);

  /// After the scene: the loop serves, the other connection lives, and nothing is left.
  void finish();

 private:
  void open_bystander();
  void check_bystander(std::string_view text);
  void failed(const char* what, const std::exception& error, bool out_of_memory);
  [[nodiscard]] bool may_go_on(std::string_view what);
  void problem(const std::string& what);

  const Play& play_;
  sim::Kernel& kernel_;
  Strike& strike_;
  Problems& problems_;
  const MonotonicTime began_;
  std::deque<Account> accounts_;
  std::deque<RawListener> listeners_;
  std::deque<std::unique_ptr<Peer>> peers_;
  std::unique_ptr<EventLoop> loop_;
  std::shared_ptr<ConnectionGroup> bystanders_;
  std::unique_ptr<Peer> bystander_;
  bool out_of_memory_ = false;  // seen, or to come
};

}  // namespace pollard::fault_run
