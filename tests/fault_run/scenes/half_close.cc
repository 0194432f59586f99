#include <string>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_half_close(Stage& stage) {
  Account& account = stage.account("server");
  const std::string answer = stream_of(200'000);
  TcpServer server(stage.loop(), Address::loopback(0),
                   account.handlers({.on_peer_end = [&](const TcpConnectionPtr& connection) {
                     connection->send(answer);
                     connection->shutdown();
                   }}));
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.set_appetite(50'000);
  peer.say("question");
  peer.finish();
  stage.until("the answer", [&] { return peer.ended(); });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.check_stream(peer, answer);
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
