// A server of raw sockets that answers each question once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "pollard/tests/fault_run/stage.h"

namespace pollard::fault_run {

class Answerer {
 public:
  Answerer(Stage& stage, std::string question, std::string answer)
      : stage_(stage),
        listener_(stage.listen()),
        question_(std::move(question)),
        answer_(std::move(answer)) {}

  [[nodiscard]] const Address& address() const { return listener_.address(); }
  /// Ends the first `count` connections at once.
  void hang_up_on(std::size_t count) { hang_ups_ = count; }
  /// Accepts and answers; ends a connection when the other side has ended it.
  void act() {
    const Truce truce;
    while (Peer* const peer = stage_.accept(listener_)) {
      clients_.push_back({peer});
      if (clients_.size() <= hang_ups_) peer->finish();
    }
    for (std::size_t i = hang_ups_; i < clients_.size(); ++i) answer(clients_[i]);
  }
  [[nodiscard]] bool all_ended() const {
    return std::ranges::all_of(clients_, [](const Client& one) { return one.peer->ended(); });
  }

 private:
  struct Client {
    Peer* peer;
    bool answered = false;
  };

  void answer(Client& client) {
    if (!client.answered && client.peer->heard() == question_) {
      client.answered = true;
      client.peer->say(answer_);
    }
    if (client.peer->ended()) client.peer->finish();
  }

  Stage& stage_;
  RawListener& listener_;
  const std::string question_;
  const std::string answer_;
  std::size_t hang_ups_ = 0;
  std::vector<Client> clients_;
};

}  // namespace pollard::fault_run
