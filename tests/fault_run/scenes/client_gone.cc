#include <chrono>
#include <memory>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/tests/fault_run/scenes/all.h"
#include "pollard/tests/fault_run/scenes/answerer.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_client_gone(Stage& stage) {
  Answerer server(stage, "question", "answer");
  Account& account = stage.account("client");
  auto early = std::make_unique<TcpClient>(stage.loop(), server.address(), account.handlers());
  auto late = std::make_unique<TcpClient>(stage.loop(), server.address(), account.handlers());
  static_cast<void>(early->connect());
  static_cast<void>(late->connect());
  early.reset();
  const MonotonicTime patience = stage.kernel().now() + 20s;
  stage.until("a connection", [&] {
    server.act();
    return account.open() == 1 || account.gave_up() || stage.kernel().now() > patience;
  });
  stage.require_unharmed(account.open() == 1, "a client didn't connect");
  late.reset();
  stage.require(account.open() == 0, "a client is gone, and its connection is open");
  stage.until("their ends", [&] {
    server.act();
    return server.all_ended();
  });
}

}  // namespace pollard::fault_run
