#include "pollard/poller/poller.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/process.h"

namespace pollard {
namespace {

std::error_code stranger() { return std::make_error_code(std::errc::no_such_file_or_directory); }

// The kernels have many words for a kind of descriptor that they don't watch; add() has one.
std::error_code as_promised(std::error_code refused) {
  constexpr std::array kWrongKind = {std::errc::invalid_argument,
                                     std::errc::operation_not_supported,
                                     std::errc::not_supported,
                                     std::errc::no_such_device,
                                     std::errc::no_such_device_or_address,
                                     std::errc::too_many_symbolic_link_levels};
  const bool wrong_kind = std::ranges::any_of(kWrongKind, [&](auto one) { return refused == one; });
  return wrong_kind ? std::make_error_code(std::errc::operation_not_permitted) : refused;
}

Interest without(Interest interest, Interest side) {
  return static_cast<Interest>(static_cast<unsigned>(interest) & ~static_cast<unsigned>(side));
}
Interest with(Interest interest, Interest side) {
  return static_cast<Interest>(static_cast<unsigned>(interest) | static_cast<unsigned>(side));
}

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
}

Poller::~Poller() = default;

bool Poller::may_pass(std::error_code refused) {
  if (!refused) return false;
  const auto kind = platform::classify(platform::Operation::kWatch, refused);
  return kind == platform::FailureKind::kShortage || kind == platform::FailureKind::kTransient;
}

Poller::Record* Poller::record_of(int fd) {
  if (index(fd) >= records_.size()) return nullptr;  // as every negative number is
  Record& record = records_[index(fd)];
  return registered(record) ? &record : nullptr;
}

std::error_code Poller::add(int fd, Interest interest, Token token, Trigger trigger) {
  if (forked()) return Error::kForked;
  if (fd < 0) return std::make_error_code(std::errc::bad_file_descriptor);
  if (record_of(fd) != nullptr) return std::make_error_code(std::errc::file_exists);
  if (trigger == Trigger::kEdge && !capabilities_.edge_triggered) {
    return std::make_error_code(std::errc::operation_not_supported);
  }
  // Before the table grows for it.
  if (index(fd) >= records_.size() && !platform::is_open(fd)) {
    return std::make_error_code(std::errc::bad_file_descriptor);
  }
  make_room_for(fd);
  Record& record = records_[index(fd)];
  ++record.generation;
  record.token = token;
  record.edge = trigger == Trigger::kEdge;
  record.wanted = interest;
  // At once, not with the next wait: whether a descriptor can be watched is what add() answers.
  if (const std::error_code refused = apply_first(fd, record)) return as_promised(refused);
  record.applied = interest;
  ++size_;
  return {};
}

// All that modify() and wait() will need.
void Poller::make_room_for(int fd) {
  const std::size_t numbers = std::max(records_.size(), index(fd) + 1);
  if (changes_.capacity() < numbers) changes_.reserve(std::max(numbers, 2 * changes_.capacity()));
  reserve(fd, size_ + 1);
  if (numbers > records_.size()) records_.resize(numbers);
}

// A registration that is refused, or for which the backend has no memory, has never been.
std::error_code Poller::apply_first(int fd, Record& record) {
  std::error_code refused;
  const auto undo = [&] {
    ++record.generation;
    record.wanted = Interest::kNone;
  };
  try {
    refused =
        record.wanted == Interest::kNone ? try_out(fd) : apply(fd, Interest::kNone, record.wanted);
  } catch (...) {
    undo();
    throw;
  }
  if (refused) undo();
  return refused;
}

// Whether the mechanism can watch this descriptor for anything. Without an interest it isn't asked
// otherwise, and the refusal would come too late.
std::error_code Poller::try_out(int fd) {
  std::error_code refused;
  for (const Interest interest : {Interest::kRead, Interest::kWrite}) {
    refused = apply(fd, Interest::kNone, interest);
    if (!refused) {
      static_cast<void>(apply(fd, interest, Interest::kNone));
      return {};
    }
  }
  return may_pass(refused) ? std::error_code() : refused;
}

std::error_code Poller::modify(int fd, Interest interest) {
  if (forked()) return Error::kForked;
  Record* record = record_of(fd);
  if (record == nullptr) return stranger();
  record->wanted = interest;
  record->refused = false;
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
  record->renew = record->refused = false;
  if (applied == Interest::kNone) return {};
  // A failure means that the descriptor was closed, and the kernel has forgotten it by itself.
  static_cast<void>(closes_next ? apply_close(fd, applied) : apply(fd, applied, Interest::kNone));
  return {};
}

// make_room_for() has seen to it that there is room: no change is lost for want of memory.
void Poller::note_change(int fd, Record& record) {
  if (record.changed || !needs_change(record)) return;
  POLLARD_ASSERT(changes_.size() < changes_.capacity(), "add() must make room for every change");
  changes_.push_back(fd);
  record.changed = true;
}

// One walk over the changes. However it ends, what was applied is off the list, what wasn't is on
// it, and the walk is over.
class Poller::ChangePass {
 public:
  explicit ChangePass(Poller& poller) : poller_(poller), count_(poller.changes_.size()) {
    poller.applying_changes_ = true;
  }
  ~ChangePass() {
    const auto begin = poller_.changes_.begin();
    poller_.changes_.erase(begin + kept_, begin + next_);
    poller_.applying_changes_ = false;
  }
  ChangePass(const ChangePass&) = delete;
  ChangePass& operator=(const ChangePass&) = delete;

  // What is noted during the walk is for the next one.
  [[nodiscard]] bool done() const { return static_cast<std::size_t>(next_) == count_; }
  [[nodiscard]] int fd() const { return poller_.changes_[static_cast<std::size_t>(next_)]; }
  void drop() { ++next_; }
  void keep() {
    std::swap(poller_.changes_[static_cast<std::size_t>(kept_++)],
              poller_.changes_[static_cast<std::size_t>(next_++)]);
  }

 private:
  Poller& poller_;
  std::size_t count_;
  std::ptrdiff_t kept_ = 0;
  std::ptrdiff_t next_ = 0;
};

// Only what is still different costs a call: write interest that came and went since the last wait
// doesn't.
void Poller::apply_changes() {
  ChangePass pass(*this);
  while (!pass.done() && !batch_full()) {
    const int fd = pass.fd();
    Record& record = records_[index(fd)];
    apply_change(fd, record);
    record.changed = needs_change(record);
    record.changed ? pass.keep() : pass.drop();
  }
}

// A change that the kernel refuses becomes an event, so that its owner learns of it; one that the
// kernel has no memory for stays on the list.
void Poller::apply_change(int fd, Record& record) {
  if (!needs_change(record)) return;
  const std::error_code refused = apply(fd, record.applied, record.wanted);
  if (!refused) {
    record.applied = record.wanted;
    record.renew = false;
  } else if (!may_pass(refused)) {
    evict(fd);
  }
}

void Poller::note_not_taken(int fd, Interest side) {
  Record& record = records_[index(fd)];
  record.applied = without(record.applied, side);
  note_change(fd, record);
}

void Poller::note_refused(int fd, Interest side) {
  Record& record = records_[index(fd)];
  record.applied = without(record.applied, side);
  record.refused = true;
}

void Poller::note_not_known(int fd, Interest side) {
  Record& record = records_[index(fd)];
  record.applied = with(record.applied, side);
  record.renew = true;
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
  forget_collected();
  apply_changes();
  if (!found_nothing()) timeout = Duration::zero();
  return succeeded(collect(until_next_try(timeout)), failure);
}

void Poller::make_space() {
  const std::size_t before = found();
  const std::ptrdiff_t taken = cursor_ - ready_.data();
  ready_.resize(before + 2 * kBatch);
  end_ = ready_.data() + before;
  cursor_ = ready_.data() + taken;
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
  if (record.applied != Interest::kNone) {
    static_cast<void>(apply(fd, record.applied, Interest::kNone));
  }
  record.applied = Interest::kNone;
  record.renew = false;
  record.refused = true;
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
  record.renew = true;
  note_change(fd, record);
}

void Poller::verify() const {
  std::size_t registrations = 0;
  std::size_t marked = 0;
  for (const Record& record : records_) {
    registrations += registered(record) ? 1U : 0U;
    marked += record.changed ? 1U : 0U;
    if (registered(record)) {
      POLLARD_ASSERT(record.changed || !needs_change(record), "a change must be on the list");
    } else {
      POLLARD_ASSERT(record.wanted == Interest::kNone && record.applied == Interest::kNone,
                     "an ended registration must want nothing");
      POLLARD_ASSERT(!record.renew && !record.refused, "an ended registration must leave nothing");
    }
  }
  POLLARD_ASSERT(registrations == size_, "size() must be the number of registrations");
  POLLARD_ASSERT(marked == changes_.size(), "a marked change must be on the list, once");
  for (const int fd : changes_) {
    POLLARD_ASSERT(records_[index(fd)].changed, "what is on the list must be marked");
  }
  POLLARD_ASSERT(changes_.capacity() >= records_.size(), "every number must have room on the list");
  POLLARD_ASSERT(!applying_changes_, "changes must be applied within a wait only");
  POLLARD_ASSERT(cursor_ >= ready_.data() && cursor_ <= end_, "the cursor must be in the batch");
}

}  // namespace pollard
