#include <atomic>
#include <chrono>

#include "pollard/net/requests/request_connection.h"
#include "pollard/net/requests/request_server.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_workers(Stage& stage) {
  std::atomic<int> connects{0};
  std::atomic<int> disconnects{0};
  RequestServer server(
      stage.loop(), Address::loopback(0),
      {.on_connect = [&](RequestConnection&) { ++connects; },
       .on_request =
           [](RequestConnection& connection) {
             while (const auto line = connection.reader().read_until("\n")) {
               connection.writer().append(*line);
               connection.writer().append("!");
             }
           },
       .on_disconnect = [&](RequestConnection&, const DisconnectReason&) { ++disconnects; },
       .on_error = [](RequestConnection&, const std::exception_ptr&) {}},
      {.workers = {.workers = 2}});
  server.start();
  Peer& first = stage.connect(server.address());
  Peer& second = stage.connect(server.address());
  first.say("one\ntwo\n");
  second.say("three\n");
  stage.until("the answers", [&] {
    return (first.heard() == "one!two!" || first.ended()) &&
           (second.heard() == "three!" || second.ended());
  });
  first.finish();
  second.finish();
  stage.until("both ends", [&] { return first.ended() && second.ended(); });
  int stops = 0;
  server.stop_gracefully(60s, [&] { ++stops; });
  stage.until("the stop", [&] { return stops > 0; });
  stage.check_stream(first, "one!two!");
  stage.check_stream(second, "three!");
  stage.require(connects == disconnects, "on_connect and on_disconnect don't run equally often");
  stage.require(server.connection_count() == 0, "the server counts connections that have ended");
}

}  // namespace pollard::fault_run
