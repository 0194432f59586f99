// The readiness table: the lives of sockets, pipes and listeners, state by state, and what each
// poller reports in each. Systems differ in more than the contract of Poller promises, and this
// shows in what. A file of it is kept for each system ("golden"), and compared.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "pollard/testkit/conformance/conformance.h"

namespace pollard::conformance {

/// A cell is four letters: r readable, w writable, h hangup and e error, the last two being hints;
/// '-' in the place of what isn't reported, '?' of what isn't known.
struct Table {
  /// What the cells were taken on: "Linux 6.1.0 x86_64, real kernel".
  std::string system;
  /// "epoll" with levels; where there are edges "epoll+edge", what has come since the state before,
  /// and "epoll+new", what a registration made in this state is told.
  std::vector<std::string> columns;
  struct Row {
    std::string state;
    std::vector<std::string> cells;
  };
  std::vector<Row> rows;
};

/// Plays every life for each of the subjects. Throws what a check would throw, when a life can't be
/// played on the kernel in force.
[[nodiscard]] Table take_table(const std::vector<Subject>& subjects);

void print(std::ostream& out, const Table& table);
/// Reads what print() wrote. Throws std::runtime_error naming the line that isn't part of a table.
[[nodiscard]] Table read_table(std::istream& in);

struct Difference {
  std::string state;
  std::string column;
  std::string expected;
  std::string seen;
  /// In what is guaranteed, or in a hint only.
  bool guaranteed = false;
};

/// Where two tables differ, in the columns that both have. A state that only one of them has is a
/// difference in what is guaranteed.
[[nodiscard]] std::vector<Difference> differences(const Table& expected, const Table& seen);

/// "TCP, fresh, epoll+edge: expected r--- and saw rw--".
[[nodiscard]] std::string to_string(const Difference& difference);

}  // namespace pollard::conformance
