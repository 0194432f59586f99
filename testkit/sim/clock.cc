#include "pollard/testkit/sim/clock.h"

#include <algorithm>

namespace pollard::sim {

Clock::Ticket Clock::schedule(Duration delay, std::function<void()> happen) {
  const Ticket ticket{saturating_add(now_, delay), ++scheduled_};
  under_way_.emplace(ticket, std::move(happen));
  return ticket;
}

std::optional<MonotonicTime> Clock::next() const {
  return under_way_.empty() ? std::nullopt : std::optional(under_way_.begin()->first.first);
}

void Clock::move_to(MonotonicTime time) {
  while (!under_way_.empty() && under_way_.begin()->first.first <= time) {
    // What happens may schedule and cancel more: it has left the map by then.
    auto due = under_way_.extract(under_way_.begin());
    now_ = std::max(now_, due.key().first);
    due.mapped()();
  }
  now_ = std::max(now_, time);
}

}  // namespace pollard::sim
