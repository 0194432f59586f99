#include "pollard/net/tcp/connector.h"

#include <chrono>

#include "pollard/tests/fault_run/scenes/all.h"
#include "pollard/tests/fault_run/scenes/answerer.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_connector(Stage& stage) {
  Answerer server(stage, "question", "answer");
  const Address nobody = Address::loopback(1);
  const ConnectorOptions options{
      .backoff = {.initial = 1ms, .maximum = 1ms}, .max_attempts = 2, .seed = 1};
  int connected = 0;
  int given_up = 0;
  int refused = 0;
  platform::Descriptor socket;
  Connector good(stage.loop(), server.address(),
                 {.on_connected =
                      [&](platform::Descriptor made, const Address&) {
                        socket = std::move(made);
                        ++connected;
                      },
                  .on_give_up = [&](std::error_code) { ++given_up; }},
                 options);
  Connector bad(stage.loop(), nobody,
                {.on_connected = [&](platform::Descriptor, const Address&) { refused = -10; },
                 .on_give_up = [&](std::error_code) { ++refused; }},
                options);
  stage.require(!good.start() && !bad.start(), "an idle connector can't start");
  stage.until("both ends", [&] {
    server.act();
    return connected + given_up > 0 && refused != 0;
  });
  stage.require(connected + given_up == 1, "a connector ends twice");
  stage.require(refused == 1, "a connector connects to nobody, or gives up twice");
  stage.require_unharmed(connected == 1, "a connector gives up");
  stage.require(good.state() == Connector::State::kIdle && bad.state() == Connector::State::kIdle,
                "a connector that has ended isn't idle");
}

}  // namespace pollard::fault_run
