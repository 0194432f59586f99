#include <string>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_high_water(Stage& stage) {
  Account& account = stage.account("server");
  const std::string text = stream_of(400'000);
  int above = 0;
  int below = 0;
  ConnectionHandlers handlers{.on_message = [](const TcpConnectionPtr& connection,
                                               Buffer& input) { connection->send(input); },
                              .on_high_water = [&](const auto&) { ++above; },
                              .on_low_water = [&](const auto&) { ++below; }};
  TcpServer server(
      stage.loop(), Address::loopback(0), account.handlers(std::move(handlers)),
      {.connection = {.high_water = 20'000, .low_water = 5'000, .pause_reading_when_full = true}});
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.set_appetite(8'000);
  peer.say(text);
  peer.finish();
  stage.until("the end", [&] { return peer.ended(); });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.check_stream(peer, text);
  stage.check_server(server, account);
  stage.require_unharmed(above > 0, "the output was never above the high water");
  stage.require_unharmed(above == below, "not each high water was followed by a low water");
}

}  // namespace pollard::fault_run
