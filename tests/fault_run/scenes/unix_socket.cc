#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_unix_socket(Stage& stage) {
  Account& account = stage.account("server");
  {
    TcpServer server(
        stage.loop(), Address::unix_path("/tmp/pollard-fault-run.socket"),
        account.handlers({.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
          connection->send(input);
        }}));
    server.start();
    Peer& peer = stage.connect(server.address());
    peer.say("hello");
    peer.finish();
    stage.until("the end", [&] { return peer.ended(); });
    stage.until("no connections", [&] { return server.connection_count() == 0; });
    stage.check_stream(peer, "hello");
    stage.check_server(server, account);
  }
  static_cast<void>(stage.kernel().system_calls().unlink("/tmp/pollard-fault-run.socket"));
}

}  // namespace pollard::fault_run
