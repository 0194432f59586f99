#include <chrono>
#include <string>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_graceful_stop(Stage& stage) {
  Account& account = stage.account("server");
  const std::string answer = stream_of(300'000);
  bool asked = false;
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
        input.consume(input.size());
        connection->send(answer);
        asked = true;
      }}));
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.set_appetite(10'000);
  peer.say("question");
  stage.until("the question", [&] { return asked || peer.ended(); });
  int stops = 0;
  server.stop_gracefully(60s, [&] { ++stops; });
  stage.until("the answer", [&] { return peer.heard().size() == answer.size() || peer.ended(); });
  peer.finish();
  stage.until("the stop", [&] { return stops > 0; });
  stage.until("the peer's end", [&] { return peer.ended(); });
  stage.require(stops == 1, "a graceful stop ends twice");
  if (asked) stage.check_stream(peer, answer);
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
