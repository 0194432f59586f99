#include "pollard/poller/poller.h"

#include <algorithm>
#include <chrono>
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
  make_space();
  cursor_ = end_;
}

Poller::~Poller() = default;

Poller::Record* Poller::record_of(int fd) {
  if (index(fd) >= records_.size()) return nullptr;  // as every negative number is
  Record& record = records_[index(fd)];
  return record.generation % 2 == 1 ? &record : nullptr;
}

std::error_code Poller::add(int fd, Interest interest, Token token, Trigger trigger) {
  if (forked()) return Error::kForked;
  if (fd < 0) return std::make_error_code(std::errc::bad_file_descriptor);
  if (record_of(fd) != nullptr) return std::make_error_code(std::errc::file_exists);
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
  record.edge = trigger == Trigger::kEdge;
  record.wanted = interest;
  record.lost_edge = false;
  // At once, not with the next wait: whether a descriptor can be watched is what add() answers.
  if (interest != Interest::kNone) {
    if (const std::error_code refused = apply_first(fd, record)) return refused;
  }
  record.applied = interest;
  ++size_;
  return {};
}

// A registration that is refused, or for which the backend has no memory, has never been.
std::error_code Poller::apply_first(int fd, Record& record) {
  std::error_code refused;
  try {
    refused = apply(fd, Interest::kNone, record.wanted);
  } catch (...) {
    ++record.generation;
    throw;
  }
  if (refused) ++record.generation;
  return refused;
}

std::error_code Poller::modify(int fd, Interest interest) {
  if (forked()) return Error::kForked;
  Record* record = record_of(fd);
  if (record == nullptr) return stranger();
  record->wanted = interest;
  note_change(fd, *record);
  return {};
}

std::error_code Poller::remove(int fd) { return end_registration(fd, false); }
std::error_code Poller::remove_before_close(int fd) { return end_registration(fd, true); }

std::error_code Poller::end_registration(int fd, bool closes_next) {
  if (forked()) return Error::kForked;
  Record* record = record_of(fd);
  if (record == nullptr) return stranger();
  ++record->generation;
  record->ended_in = waits_;
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
    if (is_out_of_memory(refused)) {
      refused_.push_back(fd);
    } else if (refused) {
      report(fd, kReadable | kWritable | kError);
    }
  }
  changes_.clear();
  for (const int fd : std::exchange(refused_, {})) note_change(fd, records_[index(fd)]);
  applying_changes_ = false;
}

void Poller::try_again(int fd) {
  Record& record = records_[index(fd)];
  record.applied = Interest::kNone;
  note_change(fd, record);
}

Duration Poller::until_next_try(Duration timeout) const {
  constexpr Duration kNextTry = std::chrono::milliseconds(10);
  return changes_.empty() ? timeout : std::min(timeout, kNextTry);
}

bool Poller::wait_with_changes(Duration timeout, std::error_code& failure) {
  if (forked()) {
    failure = Error::kForked;
    return false;
  }
  end_ = ready_.data();
  apply_changes();
  if (!found_nothing()) timeout = Duration::zero();
  return take_collected(collect(until_next_try(timeout)), failure);
}

void Poller::make_space() {
  const std::size_t before = found();
  ready_.resize(before + 2 * kBatch);
  end_ = ready_.data() + before;
  last_start_ = ready_.data() + ready_.size() - kBatch;
}

// Of what was reported, what there still is somebody for who wants it: maybe nothing.
Event Poller::what_remains(Registration who, std::uint32_t reported) {
  Record& record = records_[index(who.fd)];
  if (record.generation != who.generation) {
    note_stale(record);
    return {};
  }
  const unsigned ready = to_ready(reported);
  // What the caller stopped wanting since the wait is withheld. (An end is ready in both ways: in
  // one that wasn't wanted at the wait there is nothing to withhold, or it would come for ever.)
  const auto wanted = static_cast<unsigned>(record.wanted);
  if ((ready & static_cast<unsigned>(record.applied) & ~wanted) != 0) withhold(who.fd, record);
  if ((ready & wanted) == 0) return {};
  Event event{kGranted[ready & wanted], record.token};
  event.hangup = (ready & kHangup) != 0;
  event.error = (ready & kError) != 0;
  return event;
}

void Poller::evict(int fd) {
  report(fd, kReadable | kWritable | kError);
  Record& record = records_[index(fd)];
  static_cast<void>(apply(fd, record.applied, Interest::kNone));
  record.applied = Interest::kNone;
}

// An event may lie in the batch when its registration ends; one that was collected later than that
// is a ghost. (A ghost is mistaken for the other once in 256 waits, and then comes again.)
void Poller::note_stale(const Record& record) {
  ++stale_events_;
  if (record.ended_in != waits_) has_strays_ = true;
}

// A level comes again by itself; an edge wouldn't, so it is asked for when the interest returns.
void Poller::withhold(int fd, Record& record) {
  if (!record.edge) return;
  record.lost_edge = true;
  note_change(fd, record);
}

}  // namespace pollard
