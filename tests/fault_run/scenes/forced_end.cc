#include <chrono>
#include <string>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_forced_end(Stage& stage) {
  Account& account = stage.account("server");
  const std::string answer = stream_of(500'000);
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
        input.consume(input.size());
        connection->send(answer);
        connection->force_close_after(1s);
      }}));
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.set_appetite(1000);
  peer.say("question");
  stage.until("no connections", [&] {
    return (account.connects() > 0 || peer.ended()) && server.connection_count() == 0;
  });
  peer.set_appetite(SIZE_MAX);
  stage.until("the end", [&] { return peer.ended(); });
  stage.require(answer.starts_with(peer.heard()), "a peer has heard what was never sent");
  stage.require_unharmed(account.ended_with(DisconnectReason::Kind::kTimeout) == 1,
                         "the connection ended by " + account.reasons());
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
