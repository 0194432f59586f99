// Where the lives of the readiness table are played: one descriptor at a time, watched with levels
// and, where there are any, with edges from the beginning.
#pragma once

#include <optional>
#include <string>

#include "pollard/testkit/conformance/readiness_table.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {

class Stage {
 public:
  /// Adds the columns of a subject to the table, and the cells of each state that is shown.
  Stage(const Subject& subject, Table& table);

  /// A life begins: this descriptor is watched from now on, by new pollers, and no other.
  void watch(const Descriptor& fd, Interest interest);
  /// The same by the pollers of the life before.
  void watch_next(const Descriptor& fd, Interest interest);
  /// The registration ends, as it does before or after a close.
  void unwatch();
  /// What is reported now, as a row of the table.
  void show(const std::string& state);

 private:
  [[nodiscard]] std::string level();
  [[nodiscard]] std::string edges();
  [[nodiscard]] std::string new_edge();

  const Trial trial_;
  const bool has_edges_;
  Table& table_;
  std::size_t first_column_;
  std::size_t row_ = 0;
  std::optional<Watch> level_;
  std::optional<Watch> edge_;
  int fd_ = -1;
  Interest interest_ = Interest::kNone;
};

/// All lives, in this order.
void play_tcp_lives(Stage& stage);
void play_tcp_ends(Stage& stage);
void play_unix_lives(Stage& stage);
void play_pipe_lives(Stage& stage);
void play_wake_lives(Stage& stage);
void play_listener_lives(Stage& stage);
void play_registrations(Stage& stage);

}  // namespace pollard::conformance
