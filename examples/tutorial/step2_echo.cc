// Step 2: a server that sends back what it receives.
#include <exception>
#include <iostream>

#include "pollard/pollard.h"

using namespace pollard;

int main(int argc, char** argv) try {
  EventLoop loop({.poller = poller_from_args(argc, argv)});
  TcpServer server(loop, argc > 1 ? argv[1] : "127.0.0.1:7007",
                   {.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
                     connection->send(input);
                   }});
  server.start();
  std::cout << "listening on " << server.address().to_string() << std::endl;
  loop.run();
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
