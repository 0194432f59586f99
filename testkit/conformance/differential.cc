#include "pollard/testkit/conformance/differential.h"

#include <array>
#include <map>
#include <string>
#include <vector>

#include "pollard/testkit/conformance/finding.h"
#include "pollard/testkit/conformance/population.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

// What is due of one descriptor with edges.
struct Due {
  Interest wanted = Interest::kNone;
  Interest at_last_wait = Interest::kNone;
  Ready cause;  // as it was when something last happened
  Ready edge;   // a cause has appeared, and wasn't reported yet

  void look(Ready now) {
    edge.readable = now.readable && (edge.readable || !cause.readable);
    edge.writable = now.writable && (edge.writable || !cause.writable);
    cause = now;
  }
  // What the next wait has to report.
  [[nodiscard]] Ready at_wait() const {
    const bool read_is_new = wants_read(wanted) && !wants_read(at_last_wait);
    const bool write_is_new = wants_write(wanted) && !wants_write(at_last_wait);
    const Ready due{.readable = cause.readable && (edge.readable || read_is_new),
                    .writable = cause.writable && (edge.writable || write_is_new)};
    return masked(due, wanted);
  }
};

// One of the two, with the events of its last wait.
struct Side {
  Side(const Subject& of, const Trial& trial) : name(of.name), watch(trial) {}

  void wait() {
    events.clear();
    for (const auto& [fd, event] : watch.collect()) events[fd] = event;
  }
  [[nodiscard]] Ready said(int fd) const {
    const auto found = events.find(fd);
    if (found == events.end()) return kNothing;
    return {.readable = found->second.readable, .writable = found->second.writable};
  }
  [[nodiscard]] bool hangup(int fd) const {
    const auto found = events.find(fd);
    return found != events.end() && found->second.hangup;
  }

  std::string name;
  Watch watch;
  std::map<int, Event> events;
};

class LockStep final : public Population::Watcher {
 public:
  LockStep(const Subject& first, const Subject& second, const Script& script)
      : trials_{Trial(first), Trial(second)},
        sides_{Side(first, trials_[0]), Side(second, trials_[1])},
        script_(script),
        population_(*this, script.seed) {}

  void run() {
    for (int step = 1; step <= script_.steps; ++step) {
      std::string did = population_.step();
      if (step % 3 != 0) continue;
      for (Side& side : sides_) side.wait();
      where_ = "seed " + std::to_string(script_.seed) + ", step " + std::to_string(step) + " (" +
               did + ")";
      for (const Population::Life& life : population_.lives()) compare(life);
      expect_no_strangers();
    }
  }

  void added(int fd, Interest interest) override {
    for (Side& side : sides_) side.watch.add(fd, interest, script_.trigger);
    due_[fd] = {.wanted = interest};
    due_[fd].look(truth(fd));
  }
  void modified(int fd, Interest interest) override {
    for (Side& side : sides_) expect(!side.watch->modify(fd, interest), side.name + ": modify");
    due_[fd].wanted = interest;
  }
  void removed(int fd) override {
    for (Side& side : sides_) expect(!side.watch->remove(fd), side.name + ": remove");
    due_.erase(fd);
  }
  void stirred(int fd) override { due_[fd].look(truth(fd)); }

 private:
  void expect(bool condition, const std::string& otherwise) const {
    if (!condition) throw Broken(where_ + ": " + otherwise);
  }

  void compare(const Population::Life& life) {
    const int fd = life.pair.near.get();
    if (script_.trigger == Trigger::kLevel) {
      const Ready first = sides_[0].said(fd);
      const Ready second = sides_[1].said(fd);
      expect(first == second, sides_[0].name + " says " + to_string(first) + ", " + sides_[1].name +
                                  " says " + to_string(second) + " of descriptor " +
                                  std::to_string(fd));
      return;
    }
    Due& due = due_[fd];
    for (const Side& side : sides_) compare_edge(side, life, due);
    due.at_last_wait = due.wanted;
    due.edge = {.readable = due.edge.readable && !wants_read(due.wanted),
                .writable = due.edge.writable && !wants_write(due.wanted)};
  }

  void compare_edge(const Side& side, const Population::Life& life, const Due& due) const {
    const int fd = life.pair.near.get();
    const Ready said = side.said(fd);
    const Ready wanted = due.at_wait();
    const std::string of = side.name + " says " + to_string(said) + " of descriptor " +
                           std::to_string(fd) + ", where ";
    expect((said.readable || !wanted.readable) && (said.writable || !wanted.writable),
           of + to_string(wanted) + " is due");
    expect(said == masked(said, due.wanted),
           of + "its interest is " + std::string(pollard::to_string(due.wanted)));
    expect((due.cause.readable || !said.readable) && (due.cause.writable || !said.writable),
           of + "it is " + to_string(due.cause));
    const bool peer_is_gone = !life.pair.far;
    expect(!peer_is_gone || !said.readable || side.hangup(fd),
           of + "its stream has ended, without a hangup");
  }

  void expect_no_strangers() const {
    for (const Side& side : sides_) {
      for (const auto& [fd, event] : side.events) {
        expect(due_.contains(fd), side.name + " has an event of descriptor " + std::to_string(fd) +
                                      ", which was removed");
      }
    }
  }

  std::array<Trial, 2> trials_;
  std::array<Side, 2> sides_;
  Script script_;
  std::map<int, Due> due_;  // by descriptor
  std::string where_ = "at the beginning";
  Population population_;  // the last member: it calls the others
};

}  // namespace

Finding compare(const Subject& first, const Subject& second, const Script& script) {
  for (const Subject* subject : {&first, &second}) {
    if (script.trigger == Trigger::kEdge && !subject->capabilities.edge_triggered) {
      return {Verdict::kNotSupported, subject->name + " declares edge_triggered = false"};
    }
  }
  return find_out([&] {
    Script one = script;
    for (int played = 0; played < script.seeds; ++played, ++one.seed) {
      LockStep(first, second, one).run();
    }
  });
}

}  // namespace pollard::conformance
