#include <chrono>
#include <memory>
#include <string>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/tests/fault_run/scenes/all.h"
#include "pollard/tests/fault_run/scenes/answerer.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_reconnecting_client(Stage& stage) {
  Answerer server(stage, "question", "answer");
  server.hang_up_on(1);
  Account& account = stage.account("client");
  std::string heard;
  TcpClientOptions options{.reconnect = true};
  options.connector = {.backoff = {.initial = 1ms, .maximum = 10ms}, .seed = 1};
  auto client = std::make_unique<TcpClient>(
      stage.loop(), server.address(),
      account.handlers(
          {.on_connect = [](const TcpConnectionPtr& connection) { connection->send("question"); },
           .on_message =
               [&](const TcpConnectionPtr&, Buffer& input) {
                 heard += input.view();
                 input.consume(input.size());
               }}),
      options);
  stage.require(!client->connect(), "an idle client can't connect");
  stage.until("the answer", [&] {
    server.act();
    return heard.ends_with("answer") || account.gave_up();
  });
  stage.require(!account.gave_up() || !stage.worth_a_retry(),
                "a client that reconnects gives up although the error may go away");
  client.reset();
  stage.require(account.open() == 0, "a client is gone, and its connection is open");
}

}  // namespace pollard::fault_run
