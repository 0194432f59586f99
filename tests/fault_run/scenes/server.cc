#include <string>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_server(Stage& stage) {
  Account& account = stage.account("server");
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
        connection->send(input);
      }}));
  server.start();
  const std::string one = stream_of(3000, 1);
  const std::string two = stream_of(5000, 2);
  Peer& first = stage.connect(server.address());
  Peer& second = stage.connect(server.address());
  first.say(one);
  second.say(two);
  stage.until("both echoes", [&] {
    return (first.heard().size() == one.size() || first.ended()) &&
           (second.heard().size() == two.size() || second.ended());
  });
  first.finish();
  second.finish();
  stage.until("both ends", [&] { return first.ended() && second.ended(); });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.check_stream(first, one);
  stage.check_stream(second, two);
  stage.check_server(server, account);
  stage.require_unharmed(account.connects() == 2, "a peer was not served");
}

}  // namespace pollard::fault_run
