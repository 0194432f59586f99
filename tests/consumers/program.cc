// What each of the consumers builds: an echo of one line over loopback, and what they look for.
#include <chrono>
#include <iostream>
#include <string_view>
#include <system_error>
#include <utility>

#include "pollard/base/version.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"

int main(int argc, char** argv) {
  using namespace pollard;
  constexpr std::string_view kLine = "hello\n";
  EventLoop loop({.poller = poller_from_args(argc, argv)});
  bool echoed = false;
  TcpServer server(loop, Address::loopback(0),
                   {.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
                     connection->send(input);
                   }});
  server.start();
  ConnectionHandlers handlers;
  handlers.on_connect = [&](const TcpConnectionPtr& connection) { connection->send(kLine); };
  handlers.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
    if (input.size() < kLine.size()) return;
    echoed = input.view() == kLine;
    connection->shutdown();
  };
  handlers.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) { loop.stop(); };
  handlers.on_give_up = [&](std::error_code) { loop.stop(); };
  TcpClient client(loop, server.address(), std::move(handlers), {.connector = {.max_attempts = 1}});
  client.connect();
  const Timer limit = loop.after(std::chrono::seconds(20), [&] { loop.stop(); });
  loop.run();
  std::cout << "pollard " << version() << (echoed ? ": ok" : ": no echo") << '\n';
  return echoed ? 0 : 1;
}
