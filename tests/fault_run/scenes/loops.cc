#include <vector>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_loops(Stage& stage) {
  Account& account = stage.account("server");
  TcpServer server(stage.loop(), Address::loopback(0),
                   account.handlers({.on_message = [](const TcpConnectionPtr& connection,
                                                      Buffer& input) { connection->send(input); }}),
                   {.threads = 2, .thread_options = [](unsigned) {
                      return EventLoopOptions{.on_exception = [](const std::exception_ptr&) {}};
                    }});
  server.start();
  std::vector<Peer*> peers;
  for (int i = 0; i < 4; ++i) {
    peers.push_back(&stage.connect(server.address()));
    peers.back()->say("hello");
  }
  for (Peer* const peer : peers) {
    stage.until("an echo", [&] { return peer->heard() == "hello" || peer->ended(); });
    peer->finish();
  }
  for (Peer* const peer : peers) {
    stage.until("an end", [&] { return peer->ended(); });
    stage.check_stream(*peer, "hello");
  }
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  server.stop();
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
