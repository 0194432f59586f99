#include <chrono>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_time_limits(Stage& stage) {
  Account& account = stage.account("server");
  TcpServer server(stage.loop(), Address::loopback(0),
                   account.handlers({.on_message = [](const TcpConnectionPtr& connection,
                                                      Buffer& input) { connection->send(input); }}),
                   {.connection = {.timeouts = {.idle = 1s}}});
  server.start();
  Peer& silent = stage.connect(server.address());
  Peer& talker = stage.connect(server.address());
  for (int round = 1; round <= 5; ++round) {
    talker.say("x");
    const MonotonicTime next = stage.kernel().now() + 400ms;
    stage.until("the next word", [&] { return stage.kernel().now() >= next; });
  }
  stage.until("the silent peer's end", [&] { return silent.ended(); });
  stage.require_unharmed(talker.heard() == "xxxxx" && !talker.ended(), "the talker was closed");
  talker.finish();
  stage.until("the talker's end", [&] { return talker.ended(); });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.require_unharmed(account.ended_with(DisconnectReason::Kind::kTimeout) == 1,
                         "the connections ended by " + account.reasons());
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
