#include <string>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_reset(Stage& stage) {
  Account& account = stage.account("server");
  const std::string answer = stream_of(500'000);
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
        input.consume(input.size());
        connection->send(answer);
      }}));
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.set_appetite(1000);
  peer.say("question");
  stage.until("a part", [&] { return !peer.heard().empty() || peer.ended(); });
  peer.reset();
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.require_unharmed(account.ended_with(DisconnectReason::Kind::kError) == 1,
                         "the connection ended by " + account.reasons());
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
