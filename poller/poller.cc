#include "pollard/poller/poller.h"

#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/process.h"

namespace pollard {
namespace {

std::error_code stranger() { return std::make_error_code(std::errc::no_such_file_or_directory); }

}  // namespace

std::string_view to_string(Interest interest) {
  switch (interest) {
    case Interest::kNone: return "none";
    case Interest::kRead: return "read";
    case Interest::kWrite: return "write";
    case Interest::kBoth: return "both";
  }
  return "unknown";
}

Poller::Poller(std::string_view name, PollerCapabilities capabilities)
    : name_(name), capabilities_(capabilities), fork_generation_(platform::fork_generation()) {
  ready_.reserve(kBatch);
}

Poller::~Poller() = default;

Poller::Record* Poller::find(int fd) {
  if (fd < 0 || index(fd) >= records_.size()) return nullptr;
  Record& record = records_[index(fd)];
  return record.generation % 2 == 1 ? &record : nullptr;
}

std::error_code Poller::add(int fd, Interest interest, Token token, Trigger trigger) {
  if (forked()) return Error::kForked;
  if (fd < 0) return std::make_error_code(std::errc::bad_file_descriptor);
  if (find(fd) != nullptr) return std::make_error_code(std::errc::file_exists);
  if (trigger == Trigger::kEdge && !capabilities_.edge_triggered) {
    return std::make_error_code(std::errc::operation_not_supported);
  }
  // Before the table grows for it; and without an interest no mechanism would be asked.
  const bool unknown = index(fd) >= records_.size();
  if ((unknown || interest == Interest::kNone) && !platform::is_open(fd)) {
    return std::make_error_code(std::errc::bad_file_descriptor);
  }
  if (unknown) records_.resize(index(fd) + 1);
  Record& record = records_[index(fd)];
  ++record.generation;
  record.token = token;
  record.trigger = trigger;
  record.wanted = interest;
  record.lost_edge = false;
  // At once, not with the next wait: whether a descriptor can be watched is what add() answers.
  if (interest != Interest::kNone) {
    if (const std::error_code refused = apply(fd, Interest::kNone, interest)) {
      ++record.generation;
      return refused;
    }
  }
  record.applied = interest;
  ++size_;
  return {};
}

std::error_code Poller::modify(int fd, Interest interest) {
  if (forked()) return Error::kForked;
  Record* record = find(fd);
  if (record == nullptr) return stranger();
  record->wanted = interest;
  note_change(fd, *record);
  return {};
}

std::error_code Poller::remove(int fd) { return end_registration(fd, false); }
std::error_code Poller::remove_before_close(int fd) { return end_registration(fd, true); }

std::error_code Poller::end_registration(int fd, bool closes_next) {
  if (forked()) return Error::kForked;
  Record* record = find(fd);
  if (record == nullptr) return stranger();
  ++record->generation;
  --size_;
  const Interest applied = std::exchange(record->applied, Interest::kNone);
  record->wanted = Interest::kNone;
  if (applied == Interest::kNone) return {};
  // A failure means that the descriptor was closed, and the kernel has forgotten it by itself.
  static_cast<void>(closes_next ? apply_close(fd, applied) : apply(fd, applied, Interest::kNone));
  return {};
}

void Poller::note_change(int fd, Record& record) {
  if (record.changed) return;
  if (record.wanted == record.applied && !record.lost_edge) return;
  record.changed = true;
  changes_.push_back(fd);
}

void Poller::apply_changes() {
  // Only what is still different costs a call: write interest that came and went since the last
  // wait doesn't. A change that the kernel refuses becomes an event, so that its owner learns of
  // it.
  applying_changes_ = true;
  for (const int fd : changes_) {
    Record& record = records_[index(fd)];
    record.changed = false;
    if (record.generation % 2 == 0) continue;  // removed meanwhile
    if (record.wanted == record.applied && !record.lost_edge) continue;
    record.lost_edge = false;
    const std::error_code refused = apply(fd, record.applied, record.wanted);
    record.applied = refused ? Interest::kNone : record.wanted;
    if (refused) report(fd, kReadable | kWritable | kError);
  }
  changes_.clear();
  applying_changes_ = false;
}

std::error_code Poller::wait(std::optional<Duration> timeout) {
  if (forked()) return Error::kForked;
  ready_.clear();
  cursor_ = 0;
  if (!changes_.empty()) apply_changes();
  if (!ready_.empty()) timeout = Duration::zero();
  return collect(timeout);
}

void Poller::evict(int fd) {
  report(fd, kReadable | kWritable | kError);
  Record& record = records_[index(fd)];
  static_cast<void>(apply(fd, record.applied, Interest::kNone));
  record.applied = Interest::kNone;
}

// A level comes again by itself; an edge wouldn't, so it is asked for when the interest returns.
void Poller::withhold(int fd, Record& record) {
  if (record.trigger != Trigger::kEdge) return;
  record.lost_edge = true;
  note_change(fd, record);
}

}  // namespace pollard
