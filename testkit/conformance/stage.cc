#include "pollard/testkit/conformance/stage.h"

#include "pollard/base/assert.h"
#include "pollard/platform/descriptor.h"

namespace pollard::conformance {
namespace {

std::string to_cell(const Event& event) {
  std::string cell = "----";
  if (event.readable) cell[0] = 'r';
  if (event.writable) cell[1] = 'w';
  if (event.hangup) cell[2] = 'h';
  if (event.error) cell[3] = 'e';
  return cell;
}

// What one wait says of a descriptor.
Event next_event(Watch& watch, int fd) {
  const auto events = watch.collect();
  const auto found = events.find(fd);
  return found == events.end() ? Event{} : found->second;
}

}  // namespace

Stage::Stage(const Subject& subject, Table& table)
    : trial_(subject),
      has_edges_(subject.capabilities.edge_triggered),
      table_(table),
      first_column_(table.columns.size()) {
  table.columns.push_back(subject.name);
  if (!has_edges_) return;
  table.columns.push_back(subject.name + "+edge");
  table.columns.push_back(subject.name + "+new");
}

void Stage::watch(const Descriptor& fd, Interest interest) {
  level_.emplace(trial_);
  edge_.emplace(trial_);
  watch_next(fd, interest);
}

void Stage::watch_next(const Descriptor& fd, Interest interest) {
  fd_ = fd.get();
  interest_ = interest;
  level_->add(fd, interest);
  if (has_edges_) edge_->add(fd, interest, Trigger::kEdge);
}

void Stage::unwatch() {
  (*level_)->remove(fd_);
  if (has_edges_) (*edge_)->remove(fd_);
}

std::string Stage::level() { return to_cell(next_event(*level_, fd_)); }

// Edges may come one after the other: all of them, until there are no more.
std::string Stage::edges() {
  constexpr int kMost = 8;
  Event all;
  for (int i = 0; i < kMost; ++i) {
    const Event event = next_event(*edge_, fd_);
    if (!event.readable && !event.writable) break;
    all.readable |= event.readable;
    all.writable |= event.writable;
    all.hangup |= event.hangup;
    all.error |= event.error;
  }
  return to_cell(all);
}

std::string Stage::new_edge() {
  if (!platform::is_open(fd_)) return "----";
  Watch fresh(trial_);
  fresh.add(fd_, interest_, Trigger::kEdge);
  return to_cell(next_event(fresh, fd_));
}

void Stage::show(const std::string& state) {
  if (row_ == table_.rows.size()) table_.rows.push_back({.state = state});
  Table::Row& row = table_.rows[row_++];
  POLLARD_ASSERT(row.state == state && row.cells.size() == first_column_, "one script for all");
  row.cells.push_back(level());
  if (!has_edges_) return;
  row.cells.push_back(edges());
  row.cells.push_back(new_edge());
}

}  // namespace pollard::conformance
