#include "pollard/net/tcp/relay.h"

#include <chrono>
#include <memory>
#include <string>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/fault_run/scenes/all.h"
#include "pollard/tests/fault_run/scenes/answerer.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_relay(Stage& stage) {
  const std::string question = stream_of(80'000, 1);
  const std::string answer = stream_of(90'000, 2);
  Answerer target(stage, question, answer);
  Account& clients = stage.account("clients");
  Account& targets = stage.account("targets");
  std::unique_ptr<TcpClient> upstream;
  TcpClientOptions options;
  options.connector = {.backoff = {.initial = 1ms, .maximum = 1ms}, .max_attempts = 2, .seed = 1};
  TcpServer server(
      stage.loop(), Address::loopback(0),
      clients.handlers(relay_handlers({.on_connect = [&](const TcpConnectionPtr& client) {
        ConnectionHandlers own;
        own.on_connect = [client](const TcpConnectionPtr& made) { couple(client, made); };
        own.on_give_up = [client](std::error_code) { client->force_close(); };
        upstream =
            std::make_unique<TcpClient>(stage.loop(), target.address(),
                                        targets.handlers(relay_handlers(std::move(own))), options);
        static_cast<void>(upstream->connect());
      }})));
  server.start();
  Peer& peer = stage.connect(server.address());
  peer.say(question);
  stage.until("the answer", [&] {
    target.act();
    return peer.heard().size() == answer.size() || peer.ended();
  });
  peer.finish();
  stage.until("the end", [&] {
    target.act();
    return peer.ended();
  });
  stage.until("no connections", [&] { return server.connection_count() == 0; });
  stage.check_stream(peer, answer);
  stage.check_server(server, clients);
}

}  // namespace pollard::fault_run
