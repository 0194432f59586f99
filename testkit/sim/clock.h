// Virtual time, and what is under way in it: things that will happen at a time of their own, in the
// order of these times, and of their scheduling where two are the same.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "pollard/base/clock.h"

namespace pollard::sim {

class Clock {
 public:
  /// Names what was scheduled, to cancel it.
  using Ticket = std::pair<MonotonicTime, std::uint64_t>;

  explicit Clock(Duration wall_clock) : wall_offset_(wall_clock) {}

  [[nodiscard]] MonotonicTime now() const { return now_; }
  /// Since 1970.
  [[nodiscard]] Duration wall_clock() const { return wall_offset_ + (now_ - kStart); }
  void jump_wall_clock(Duration interval) { wall_offset_ += interval; }

  /// Calls `happen` when so much time has passed.
  Ticket schedule(Duration delay, std::function<void()> happen);
  void cancel(const Ticket& ticket) { under_way_.erase(ticket); }
  void cancel_all() { under_way_.clear(); }

  /// When the next scheduled thing happens, if there is any.
  [[nodiscard]] std::optional<MonotonicTime> next() const;

  /// Moves time forward, letting happen on the way what was scheduled.
  void move_to(MonotonicTime time);
  void pass(Duration interval) { move_to(saturating_add(now_, interval)); }

 private:
  // Not zero, which code may take for "no time".
  static constexpr MonotonicTime kStart{std::chrono::hours(1)};

  MonotonicTime now_ = kStart;
  Duration wall_offset_;
  std::uint64_t scheduled_ = 0;
  std::map<Ticket, std::function<void()>> under_way_;
};

}  // namespace pollard::sim
