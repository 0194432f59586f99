#include <chrono>
#include <string>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/tests/fault_run/scenes/all.h"
#include "pollard/tests/fault_run/scenes/answerer.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_address_race(Stage& stage) {
  Answerer server(stage, "question", "answer");
  const Address silent = Address::parse("192.0.2.1:7");
  stage.kernel().silence(silent.endpoint());
  stage.know({silent, server.address()});
  Account& account = stage.account("client");
  std::string heard;
  TcpClientOptions options;
  options.connector = {.backoff = {.initial = 1ms, .maximum = 1ms}, .max_attempts = 3, .seed = 1};
  options.connector.resolver = std::make_shared<Resolver>();
  TcpClient client(
      stage.loop(), HostPort("two.example:7"),
      account.handlers(
          {.on_connect = [](const TcpConnectionPtr& connection) { connection->send("question"); },
           .on_message =
               [&](const TcpConnectionPtr&, Buffer& input) {
                 heard += input.view();
                 input.consume(input.size());
               }}),
      options);
  stage.require(!client.connect(), "an idle client can't connect");
  stage.until("the answer", [&] {
    server.act();
    return heard == "answer" || account.gave_up() || account.disconnects() > 0;
  });
  stage.require_unharmed(heard == "answer", "the answer didn't arrive");
  client.disconnect();
  stage.until("the end", [&] {
    server.act();
    return client.state() == TcpClient::State::kIdle;
  });
}

}  // namespace pollard::fault_run
