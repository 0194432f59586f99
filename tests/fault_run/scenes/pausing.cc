#include <chrono>
#include <string>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_pausing(Stage& stage) {
  Account& account = stage.account("server");
  const std::string text = stream_of(100'000);
  Timer resume;
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
        connection->send(input);
        connection->pause_reading();
        resume = stage.loop().after(1ms, [connection] { connection->resume_reading(); });
      }}));
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.say(text);
  peer.finish();
  stage.until("the end", [&] { return peer.ended(); });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  resume.cancel();
  stage.check_stream(peer, text);
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
