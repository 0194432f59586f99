#include "pollard/net/framing/framing.h"

#include <string>

#include "pollard/net/framing/codec.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_framing(Stage& stage) {
  const LengthPrefixedCodec codec;
  Account& account = stage.account("server");
  TcpServer server(
      stage.loop(), Address::loopback(0),
      account.handlers({.on_message = framed(codec, [codec](const TcpConnectionPtr& connection,
                                                            std::string_view message) {
                          static_cast<void>(send_framed(*connection, codec, message));
                        })}));
  server.start();
  std::string text;
  {
    const Truce truce;
    for (unsigned i = 1; i <= 20; ++i) {
      static_cast<void>(append_framed(text, codec, stream_of(i * 300, i)));
    }
  }
  Peer& peer = stage.connect(server.address());
  peer.say(text);
  peer.finish();
  stage.until("the end", [&] { return peer.ended(); });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.check_stream(peer, text);
  stage.check_server(server, account);
}

}  // namespace pollard::fault_run
