// A server whose handlers run on workers: its loops read and send, and handlers may take their
// time.
//
//     RequestServer server(loop, Address::any(7007), {
//         .on_request = [](RequestConnection& connection) {
//           while (const auto line = connection.reader().read_until("\n")) {
//             connection.writer().append(slow_answer(*line));
//           }
//         },
//     });
//     server.start();
//     loop.run();
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/address.h"
#include "pollard/net/names/host_port.h"
#include "pollard/net/requests/request_connection.h"
#include "pollard/net/requests/request_handlers.h"

namespace pollard {

/// The thread of the loop it is given, where nothing else is said. A handler that wants to stop or
/// destroy it posts that to the loop.
class RequestServer {
 public:
  /// As TcpServer.
  RequestServer(EventLoop& loop, const HostPort& where, RequestHandlers handlers,
                RequestServerOptions options = {});

  /// As stop().
  ~RequestServer();
  RequestServer(const RequestServer&) = delete;
  RequestServer& operator=(const RequestServer&) = delete;

  /// Starts the workers and then as TcpServer::start().
  void start();

  /// Ends everything now: listening, the connections and the threads. Handlers that wait for input
  /// or output are told of the end; the others are waited for, so they must not themselves wait for
  /// this thread. No handler runs after it returns. start() begins again, at the same address.
  void stop();

  /// Stops listening, and ends each connection when its handlers have returned, what it had
  /// received is handled and the answers have left, or after `limit`; when all have gone, stops and
  /// calls `done`. A stop() meanwhile ends it without `done`.
  void stop_gracefully(Duration limit, Task done = {});

  /// Between start() and the end of stop().
  [[nodiscard]] bool started() const;

  /// As TcpServer's. Any thread.
  [[nodiscard]] const Address& address() const { return addresses().front(); }
  /// All of them. Any thread.
  [[nodiscard]] const std::vector<Address>& addresses() const;

  /// Connections whose last callback has not run. Any thread.
  [[nodiscard]] std::size_t connection_count() const;
  /// What it has done since it was made.
  [[nodiscard]] RequestServerStats stats() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace pollard
