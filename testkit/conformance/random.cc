// Random lives, with a seed. With levels, each wait is compared with what poll(2) says of each
// descriptor by itself; with edges, a reader who heeds them loses no byte.
#include "pollard/base/random.h"

#include <string>
#include <vector>

#include "pollard/testkit/conformance/population.h"
#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

class Observer final : public Population::Watcher {
 public:
  explicit Observer(Trial& trial) : trial_(trial), watch_(trial) {}

  void compare(const std::vector<Population::Life>& lives) {
    auto events = watch_.collect();
    for (const Population::Life& life : lives) {
      const int fd = life.pair.near.get();
      Ready said;
      const auto found = events.find(fd);
      if (found != events.end()) {
        said = {.readable = found->second.readable, .writable = found->second.writable};
        events.erase(found);
      }
      trial_.expect(said, masked(truth(fd), life.interest), "descriptor " + std::to_string(fd));
    }
    trial_.expect(events.empty(), "an event of a registration that has ended");
    trial_.expect(watch_->size() == lives.size(), "registrations are miscounted");
  }

  void added(int fd, Interest interest) override { watch_.add(fd, interest); }
  void modified(int fd, Interest interest) override {
    trial_.expect(watch_->modify(fd, interest), std::error_code(), "modify");
  }
  void removed(int fd) override { trial_.expect(watch_->remove(fd), std::error_code(), "remove"); }
  void stirred(int) override {}

 private:
  Trial& trial_;
  Watch watch_;
};

void with_levels_a_wait_says_what_the_kernel_says(Trial& trial) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Observer observer(trial);
    Population population(observer, seed);
    for (int step = 0; step < 400; ++step) {
      const std::string did = population.step();
      if (step % 3 != 0) continue;
      trial.at("seed " + std::to_string(seed) + ", step " + std::to_string(step) + " (" + did +
               ")");
      observer.compare(population.lives());
    }
  }
}

// Reads as a connection does: until a read is short, and on to the end once a hang-up was told.
class EdgeReader {
 public:
  EdgeReader(Trial& trial, std::uint64_t seed) : trial_(trial), watch_(trial), random_(seed) {
    watch_.add(pair_.near, Interest::kBoth, Trigger::kEdge);
  }

  void step() {
    switch (random_.up_to(3)) {
      case 0: return send();
      case 1: return change(kInterests[random_.up_to(3)]);
      case 2: return wait(/*take_first=*/true);
      default: return wait(/*take_first=*/random_.up_to(1) == 0);
    }
  }

  void finish() {
    send();
    change(Interest::kBoth);
    pair_.far.reset();
    const MonotonicTime deadline = platform::monotonic_now() + kPatience;
    while (!ended_) {
      watch_.wait(kPatience);
      take();
      trial_.expect(ended_ || platform::monotonic_now() < deadline, "the end never came");
    }
    trial_.expect(received_ == sent_, "of " + std::to_string(sent_) + " bytes " +
                                          std::to_string(received_) + " were announced");
  }

 private:
  void send() {
    const std::size_t size = 1 + random_.up_to(100U);
    if (sent_ - received_ > 10'000) return;
    write_text(pair_.far.get(), std::string(size, 'x'));
    sent_ += size;
  }

  void change(Interest interest) { watch_.modify(pair_.near, interest); }

  void wait(bool take_first) {
    watch_.wait();
    if (!take_first) change(kInterests[random_.up_to(3)]);  // what was found is masked now
    take();
  }

  void take() {
    Event event;
    while (watch_->next(event)) {
      if (event.readable) read(event.hangup);
    }
  }

  void read(bool hangup) {
    constexpr std::size_t kSpace = 64;
    for (;;) {
      const std::string got = read_text(pair_.near.get(), kSpace);
      received_ += got.size();
      if (got.size() == kSpace) continue;
      ended_ = hangup && read_error(pair_.near.get()) == std::error_code();
      return;
    }
  }

  Trial& trial_;
  Watch watch_;
  SplitMix64 random_;
  Pair pair_ = socket_pair();
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
  bool ended_ = false;
};

void with_edges_no_byte_is_lost_however_the_interest_changes(Trial& trial) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    trial.at("seed " + std::to_string(seed));
    EdgeReader reader(trial, seed);
    for (int step = 0; step < 200; ++step) reader.step();
    reader.finish();
  }
}

}  // namespace

std::vector<Promise> random_promises() {
  return {
      POLLARD_PROMISE(kLevels, with_levels_a_wait_says_what_the_kernel_says),
      POLLARD_PROMISE(kEdges, with_edges_no_byte_is_lost_however_the_interest_changes,
                      Needs::kEdges),
  };
}

}  // namespace pollard::conformance
