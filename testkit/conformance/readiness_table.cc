#include "pollard/testkit/conformance/readiness_table.h"

#include <algorithm>
#include <istream>
#include <optional>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "pollard/testkit/conformance/stage.h"

namespace pollard::conformance {
namespace {

constexpr std::string_view kSystemLine = "# Taken on: ";
constexpr std::string_view kStateHead = "state";
constexpr std::string_view kGuaranteed = "rw";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, '|');) fields.emplace_back(trimmed(field));
  return fields;
}

// The fields under each other, each as wide as its column.
void print_fields(std::ostream& out, const std::vector<std::string>& fields,
                  const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::string field = fields[i];
    field.resize(std::max(field.size(), widths[i]), ' ');
    line += (i == 0 ? "" : " | ") + field;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  out << line << '\n';
}

std::vector<std::string> fields_of(std::string_view first, const std::vector<std::string>& rest) {
  std::vector<std::string> fields{std::string(first)};
  fields.insert(fields.end(), rest.begin(), rest.end());
  return fields;
}

const Table::Row* row_of(const Table& table, const std::string& state) {
  const auto found = std::ranges::find(table.rows, state, &Table::Row::state);
  return found == table.rows.end() ? nullptr : &*found;
}

// Whether two cells differ, and if so, in what is guaranteed.
std::optional<bool> differ(const std::string& expected, const std::string& seen) {
  bool differs = false;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == seen[i] || expected[i] == '?' || seen[i] == '?') continue;
    if (i < kGuaranteed.size()) return true;
    differs = true;
  }
  return differs ? std::optional(false) : std::nullopt;
}

void add_differences(std::vector<Difference>& found, const Table& expected, const Table& seen,
                     const Table::Row& expected_row, const Table::Row& seen_row) {
  for (std::size_t i = 0; i < expected.columns.size(); ++i) {
    const auto column = std::ranges::find(seen.columns, expected.columns[i]);
    if (column == seen.columns.end()) continue;
    const std::string& cell = expected_row.cells[i];
    const std::string& other =
        seen_row.cells[static_cast<std::size_t>(column - seen.columns.begin())];
    const std::optional<bool> guaranteed = differ(cell, other);
    if (!guaranteed.has_value()) continue;
    found.push_back({.state = expected_row.state,
                     .column = *column,
                     .expected = cell,
                     .seen = other,
                     .guaranteed = *guaranteed});
  }
}

}  // namespace

Table take_table(const std::vector<Subject>& subjects) {
  Table table;
  for (const Subject& subject : subjects) {
    Stage stage(subject, table);
    play_tcp_lives(stage);
    play_tcp_ends(stage);
    play_unix_lives(stage);
    play_pipe_lives(stage);
    play_wake_lives(stage);
    play_listener_lives(stage);
    play_registrations(stage);
  }
  return table;
}

void print(std::ostream& out, const Table& table) {
  const std::vector<std::string> head = fields_of(kStateHead, table.columns);
  std::vector<std::size_t> widths;
  for (const std::string& field : head) widths.push_back(field.size());
  for (const Table::Row& row : table.rows) widths[0] = std::max(widths[0], row.state.size());
  out << "# What pollers report of a descriptor in each state of its life: r readable, w writable;"
         "\n# as hints h hangup, e error; ? unknown. Each of NAME: with levels; of NAME+edge: the"
         "\n# edges since the state before; of NAME+new: the edge of a registration made now.\n"
      << kSystemLine << table.system << '\n';
  print_fields(out, head, widths);
  for (const Table::Row& row : table.rows) {
    print_fields(out, fields_of(row.state, row.cells), widths);
  }
}

Table read_table(std::istream& in) {
  Table table;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(kSystemLine)) table.system = line.substr(kSystemLine.size());
    if (line.empty() || line.starts_with('#')) continue;
    std::vector<std::string> fields = split(line);
    const std::string first = fields.front();
    fields.erase(fields.begin());
    if (table.columns.empty() && first == kStateHead && !fields.empty()) {
      table.columns = std::move(fields);
      continue;
    }
    const bool is_row =
        fields.size() == table.columns.size() && !fields.empty() &&
        std::ranges::all_of(fields, [](const std::string& cell) { return cell.size() == 4; });
    if (!is_row) throw std::runtime_error("no row of a readiness table: '" + line + "'");
    table.rows.push_back({.state = first, .cells = std::move(fields)});
  }
  return table;
}

std::vector<Difference> differences(const Table& expected, const Table& seen) {
  std::vector<Difference> found;
  for (const Table::Row& row : expected.rows) {
    const Table::Row* const other = row_of(seen, row.state);
    if (other == nullptr) {
      found.push_back({.state = row.state, .expected = "this state", .guaranteed = true});
    } else {
      add_differences(found, expected, seen, row, *other);
    }
  }
  for (const Table::Row& row : seen.rows) {
    if (row_of(expected, row.state) != nullptr) continue;
    found.push_back({.state = row.state, .seen = "this state", .guaranteed = true});
  }
  return found;
}

std::string to_string(const Difference& difference) {
  const auto or_nothing = [](const std::string& text) { return text.empty() ? "nothing" : text; };
  return difference.state + (difference.column.empty() ? "" : ", " + difference.column) +
         ": expected " + or_nothing(difference.expected) + ", saw " + or_nothing(difference.seen) +
         (difference.guaranteed ? "" : " (a hint)");
}

}  // namespace pollard::conformance
