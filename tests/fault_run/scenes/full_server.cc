#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_full_server(Stage& stage) {
  Account& account = stage.account("server");
  TcpServer server(stage.loop(), Address::loopback(0),
                   account.handlers({.on_message = [](const TcpConnectionPtr& connection,
                                                      Buffer& input) { connection->send(input); }}),
                   {.max_connections = 1, .when_full = WhenFull::kWait});
  server.start();
  Peer& first = stage.connect(server.address());
  Peer& second = stage.connect(server.address());
  first.say("first");
  second.say("second");
  stage.until("the first echo", [&] {
    return first.heard() == "first" || first.ended() || second.heard() == "second" ||
           second.ended();
  });
  stage.require(account.open() <= 1, "more connections than the server may have");
  first.finish();
  second.finish();
  stage.until("both ends", [&] { return first.ended() && second.ended(); });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.check_stream(first, "first");
  stage.check_stream(second, "second");
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
