#include "pollard/testkit/sim/sleepers.h"

#include <algorithm>

#include "pollard/base/assert.h"
#include "pollard/testkit/sim/process_threads.h"

namespace pollard::sim {
namespace {

// How long a thread that may still have something to do is given before it is looked at again.
constexpr std::chrono::microseconds kLook{200};
// Where the system doesn't tell what threads do: so long without a call is taken for sleep.
constexpr std::chrono::milliseconds kGrace{1};

std::optional<MonotonicTime> earlier(std::optional<MonotonicTime> left,
                                     std::optional<MonotonicTime> right) {
  if (!left.has_value() || !right.has_value()) return left.has_value() ? left : right;
  return std::min(*left, *right);
}

}  // namespace

Sleepers::Sleepers(Clock& clock) : clock_(clock), strangers_(other_threads()) {}

std::unique_lock<std::mutex> Sleepers::enter() {
  busy_.fetch_add(1);
  std::unique_lock lock(mutex_);
  busy_.fetch_sub(1);
  return lock;
}

void Sleepers::wake() {
  ++changes_;
  if (!sleepers_.empty()) changed_.notify_all();
}

void Sleepers::wake_due() {
  const auto due = [this](const Sleeper& sleeper) {
    return sleeper.deadline.has_value() && *sleeper.deadline <= clock_.now();
  };
  if (std::ranges::any_of(sleepers_, due)) wake();
}

void Sleepers::sleep(std::unique_lock<std::mutex>& lock, std::optional<MonotonicTime> deadline) {
  const auto own = sleepers_.insert(sleepers_.end(), {deadline, changes_});
  while (own->slept_at == changes_) {
    if (watched_) {
      changed_.wait(lock);
    } else {
      keep_watch(lock, *own);
    }
  }
  sleepers_.erase(own);
}

void Sleepers::keep_watch(std::unique_lock<std::mutex>& lock, const Sleeper& own) {
  watched_ = true;
  const RealClock::time_point began = RealClock::now();
  while (own.slept_at == changes_) {
    if (all_known_asleep() || process_asleep() || has_come_by_itself(began)) {
      jump();
    } else if (strangers_.has_value()) {
      changed_.wait_for(lock, kLook);
    } else if (changed_.wait_for(lock, kGrace) == std::cv_status::timeout &&
               own.slept_at == changes_ && next().has_value()) {
      jump();
    }
  }
  watched_ = false;
  changed_.notify_all();  // somebody else keeps watch
}

// Whether as much real time has passed since as virtual time would have to.
bool Sleepers::has_come_by_itself(RealClock::time_point began) const {
  const std::optional<MonotonicTime> target = next();
  return target.has_value() && RealClock::now() - began >= *target - clock_.now();
}

std::size_t Sleepers::asleep() const {
  return static_cast<std::size_t>(std::ranges::count(sleepers_, changes_, &Sleeper::slept_at));
}

// The thread that made the kernel, and all that were started since.
bool Sleepers::all_known_asleep() const {
  if (!strangers_.has_value()) return false;
  const std::optional<std::size_t> known = count_threads_beside(*strangers_);
  return known.has_value() && asleep() >= *known;
}

bool Sleepers::process_asleep() const {
  // Those that were woken, wait for the lock or run an errand only seem to sleep.
  if (busy_.load() > 0 || asleep() < sleepers_.size()) return false;
  return next().has_value() && others_sleep().value_or(false) && busy_.load() == 0;
}

std::optional<MonotonicTime> Sleepers::next() const {
  std::optional<MonotonicTime> first = clock_.next();
  for (const Sleeper& sleeper : sleepers_) {
    // Who was woken, and hasn't come to it, has nothing to wait for.
    if (sleeper.slept_at == changes_) first = earlier(first, sleeper.deadline);
  }
  return first;
}

void Sleepers::jump() {
  const std::optional<MonotonicTime> target = next();
  POLLARD_ASSERT(target.has_value(),
                 "the simulated kernel is at its end: every thread waits in it without a timeout, "
                 "nothing is under way, and no timeout is left that could end a wait");
  clock_.move_to(*target);
  wake();
}

}  // namespace pollard::sim
