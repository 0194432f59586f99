#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_restarted_server(Stage& stage) {
  Account& account = stage.account("server");
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
        connection->send(input);
      }}));
  for (int round = 0; round < 2; ++round) {
    server.start();
    Peer& peer = stage.connect(server.address());
    peer.say("hello");
    stage.until("an echo", [&] { return peer.heard() == "hello" || peer.ended(); });
    stage.require_unharmed(peer.heard() == "hello", "a peer was not served");
    server.stop();
    stage.check_server(server, account);
    stage.until("the peer's end", [&] { return peer.ended(); });
  }
}

}  // namespace pollard::fault_run
