// A random life of many descriptors, by a seed: sockets are made, written to, read, duplicated,
// ended by their peers and by us, and their interests change. Whoever watches them is told of each
// registration, change and removal, so several pollers can watch the same descriptors in lock-step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/poller/poller.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {

/// What the kernel says of one descriptor by itself, asked by poll(2).
[[nodiscard]] Ready truth(int fd);

class Population {
 public:
  /// The population's events for those who watch. `fd` may be closed already when it is removed.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void added(int fd, Interest interest) = 0;
    virtual void modified(int fd, Interest interest) = 0;
    virtual void removed(int fd) = 0;
    /// Something was read from it, written to it, or done by its peer.
    virtual void stirred(int fd) = 0;
  };

  struct Life {
    Pair pair;
    Interest interest = Interest::kNone;
  };

  Population(Watcher& watcher, std::uint64_t seed) : watcher_(watcher), random_(seed) {}

  /// One random thing happens; what it was, for the message of a failure.
  std::string step();

  [[nodiscard]] const std::vector<Life>& lives() const { return lives_; }

 private:
  bool one_in(std::uint64_t n) { return random_.up_to(n - 1) == 0; }
  Interest any_interest() { return kInterests[random_.up_to(3)]; }

  std::string be_born();
  std::string die(Life& life);
  std::string send(Life& life);
  std::string receive(Life& life);
  std::string let_peer_receive(Life& life);
  std::string end_the_peer(Life& life);
  std::string duplicate_now_and_then(const Life& life);
  std::string change(Life& life);

  Watcher& watcher_;
  SplitMix64 random_;
  std::vector<Life> lives_;
  std::vector<Descriptor> ghosts_;
};

}  // namespace pollard::conformance
