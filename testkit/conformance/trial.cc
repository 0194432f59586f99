#include "pollard/testkit/conformance/trial.h"

#include <utility>

namespace pollard::conformance {
namespace {

std::string describe(std::error_code code) { return code ? code.message() : "success"; }

std::string number(int fd) { return "descriptor " + std::to_string(fd); }

}  // namespace

std::string to_string(Ready ready) {
  if (ready == kBothWays) return "readable and writable";
  if (ready.readable) return "readable";
  return ready.writable ? "writable" : "nothing";
}

Ready masked(Ready ready, Interest interest) {
  return {.readable = ready.readable && wants_read(interest),
          .writable = ready.writable && wants_write(interest)};
}

void Trial::expect(bool condition, const std::string& otherwise) const {
  if (!condition) throw Broken(where_.empty() ? otherwise : where_ + ": " + otherwise);
}

void Trial::expect(std::error_code seen, std::error_code wanted, const std::string& of) const {
  expect(seen == wanted,
         of + " answers '" + describe(seen) + "' instead of '" + describe(wanted) + "'");
}

void Trial::expect(std::error_code seen, std::errc wanted, const std::string& of) const {
  expect(seen == wanted, of + " answers '" + describe(seen) + "' instead of '" +
                             describe(std::make_error_code(wanted)) + "'");
}

void Trial::expect(Ready seen, Ready wanted, const std::string& of) const {
  expect(seen == wanted,
         of + " is reported as " + to_string(seen) + " instead of " + to_string(wanted));
}

void Watch::add(int fd, Interest interest, Trigger trigger) {
  trial_.expect(driven_->add(fd, interest, token(fd), trigger), std::error_code(), "add");
}

void Watch::modify(const Descriptor& fd, Interest interest) {
  trial_.expect(driven_->modify(fd.get(), interest), std::error_code(), "modify");
}

void Watch::remove(const Descriptor& fd) {
  trial_.expect(driven_->remove(fd.get()), std::error_code(), "remove");
}

void Watch::wait(std::optional<Duration> timeout) {
  trial_.expect(driven_->wait(timeout), std::error_code(), "wait");
}

std::map<int, Event> Watch::take() {
  std::map<int, Event> events;
  for (Event event; driven_->next(event);) {
    const int fd = static_cast<int>(event.token);
    trial_.expect(events.emplace(fd, event).second, "two events of " + number(fd) + " in one wait");
    trial_.expect(event.readable || event.writable, "an event of nothing, of " + number(fd));
  }
  return events;
}

Ready Watch::ready(const Descriptor& fd, Duration timeout) {
  const auto events = collect(timeout);
  const auto found = events.find(fd.get());
  if (found == events.end()) return kNothing;
  return {.readable = found->second.readable, .writable = found->second.writable};
}

void Watch::expect(const Descriptor& fd, Ready wanted, const std::string& when) {
  trial_.expect(ready(fd), wanted, when);
}

Event Watch::await(const Descriptor& fd) {
  const MonotonicTime deadline = platform::monotonic_now() + kPatience;
  do {
    const auto events = collect(kPatience);
    const auto found = events.find(fd.get());
    if (found != events.end()) return found->second;
  } while (platform::monotonic_now() < deadline);
  throw Broken("an event that had to come never came");
}

void Watch::await(const Descriptor& fd, Ready wanted) {
  Ready seen;
  while ((wanted.readable && !seen.readable) || (wanted.writable && !seen.writable)) {
    const Event event = await(fd);
    seen.readable |= event.readable;
    seen.writable |= event.writable;
  }
}

void Watch::expect_silence(const std::string& when, Duration time) {
  const MonotonicTime start = platform::monotonic_now();
  const auto events = collect(time);
  trial_.expect(events.empty(), when + ": " + std::to_string(events.size()) +
                                    " events where there is nothing to report");
  trial_.expect(platform::monotonic_now() - start >= time,
                when + ": a wait without events ended before its time");
}

void Watch::expect_no_spin(const std::string& when, Duration time, int most_waits) {
  const MonotonicTime deadline = platform::monotonic_now() + time;
  int waits = 0;
  for (MonotonicTime now = platform::monotonic_now(); now < deadline && waits <= most_waits;
       now = platform::monotonic_now()) {
    trial_.expect(collect(deadline - now).empty(), when + ": an event that nobody waits for");
    ++waits;
  }
  trial_.expect(waits <= most_waits, when + ": the wait returns again and again with nothing");
}

}  // namespace pollard::conformance
