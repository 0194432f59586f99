// The watchers of a loop that asked for a call, in the order in which they asked. They are named by
// their registrations, so that a watcher may end before it is called.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "pollard/base/spare_memory.h"
#include "pollard/poller/poller.h"

namespace pollard {

/// Gives out in rounds: what is added while a round lasts belongs to the next one. One thread.
class WatcherList {
 public:
  /// Returns whether neither this round nor the next one has any.
  [[nodiscard]] bool empty() const { return added_.empty() && at_ == round_.size(); }

  /// Adds one for the next round. Throws std::bad_alloc, and then has added nothing.
  void add(Registration registration) { added_.push_back(registration); }

  /// Begins a round, unless one that was left unfinished has some.
  void begin_round() {
    if (at_ < round_.size()) return;
    clear_and_give_back(round_);
    at_ = 0;
    std::swap(added_, round_);
  }

  /// Returns the next one of the round, which ends when there is none.
  [[nodiscard]] std::optional<Registration> next() {
    if (at_ < round_.size()) return round_[at_++];
    clear_and_give_back(round_);
    at_ = 0;
    return std::nullopt;
  }

 private:
  std::vector<Registration> added_;
  std::vector<Registration> round_;
  std::size_t at_ = 0;  // in round_: the next one
};

}  // namespace pollard
