#include <string>

#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/system_calls.h"
#include "pollard/tests/fault_run/scenes/all.h"
#include "pollard/tests/fault_run/scenes/temporary_file.h"

namespace pollard::fault_run {

void play_file(Stage& stage) {
  Account& account = stage.account("server");
  const TemporaryFile& file = TemporaryFile::shared();
  bool opened = true;
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
        input.consume(input.size());
        platform::Descriptor descriptor(platform::system_calls().open(file.path().c_str(), 0));
        opened = static_cast<bool>(descriptor);
        if (!opened) return connection->force_close();
        connection->send("head ");
        connection->send_file(
            {.file = std::move(descriptor), .offset = 0, .size = file.contents().size()});
        connection->send(" tail");
        connection->shutdown();
      }}));
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.set_appetite(30'000);
  peer.say("question");
  stage.until("the end", [&] { return peer.ended(); });
  peer.finish();
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  if (opened) stage.check_stream(peer, "head " + file.contents() + " tail");
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
