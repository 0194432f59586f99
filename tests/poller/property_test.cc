// Random lives of many descriptors, with a seed. With levels, each wait is compared with what
// poll(2) says of each descriptor by itself; with edges, a reader who heeds them loses no byte.
#include <poll.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// What the kernel says of one descriptor, as far as it is wanted.
Ready truth(int fd, Interest interest) {
  pollfd record{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
  BOOST_REQUIRE(::poll(&record, 1, 0) >= 0);
  const bool ended = (record.revents & (POLLHUP | POLLERR)) != 0;
  return {.readable = wants_read(interest) && (ended || (record.revents & POLLIN) != 0),
          .writable = wants_write(interest) && (ended || (record.revents & POLLOUT) != 0)};
}

// A poller and a population of socket pairs to which things happen.
class Population {
 public:
  Population(const std::string& backend, std::uint64_t seed) : watch_(backend), random_(seed) {}

  void step() {
    if (lives_.size() < 4 || (lives_.size() < 30 && one_in(8))) return be_born();
    Life& life = lives_[random_.up_to(lives_.size() - 1)];
    switch (random_.up_to(9)) {
      case 0: return die(life);
      case 1: return end_the_peer(life);
      case 2:
      case 3: return send(life);
      case 4: read_text(life.pair.near.get(), 1 + random_.up_to(20)); return;
      case 5: fill(life.pair.near.get()); return;
      case 6:
        if (life.pair.far) read_text(life.pair.far.get());
        return;
      case 7: return duplicate_now_and_then(life);
      default: return change(life);
    }
  }

  void compare() {
    const auto events = watch_.collect();
    for (const Life& life : lives_) {
      const int fd = life.pair.near.get();
      const auto found = events.find(fd);
      Ready said;
      if (found != events.end()) said = {found->second.readable, found->second.writable};
      BOOST_REQUIRE_EQUAL(said, truth(fd, life.interest));
    }
    const auto is_alive = [this](const auto& event) {
      return std::ranges::any_of(
          lives_, [&](const Life& life) { return life.pair.near.get() == event.first; });
    };
    BOOST_REQUIRE(std::ranges::all_of(events, is_alive));
    BOOST_REQUIRE(watch_->size() == lives_.size());
  }

 private:
  struct Life {
    Pair pair;
    Interest interest;
  };

  bool one_in(std::uint64_t n) { return random_.up_to(n - 1) == 0; }
  Interest any_interest() { return kInterests[random_.up_to(3)]; }

  void be_born() {
    lives_.push_back({socket_pair(), any_interest()});
    watch_.add(lives_.back().pair.near, lives_.back().interest);
  }

  void die(Life& life) {
    const int number = life.pair.near.get();
    if (one_in(2)) life.pair.near.reset();  // before its registration, which is allowed
    BOOST_REQUIRE(!watch_->remove(number));
    std::swap(life, lives_.back());
    lives_.pop_back();
  }

  static void end_the_peer(Life& life) { life.pair.far.reset(); }

  void send(Life& life) {
    if (life.pair.far && truth(life.pair.far.get(), Interest::kWrite).writable) {
      write_text(life.pair.far.get(), std::string(1 + random_.up_to(30), 'x'));
    }
  }

  void duplicate_now_and_then(const Life& life) {
    if (ghosts_.size() < 10) {
      ghosts_.push_back(duplicate(life.pair.near.get()));
    } else {
      ghosts_.clear();
    }
  }

  void change(Life& life) {
    life.interest = any_interest();
    watch_.modify(life.pair.near, life.interest);
  }

  Watch watch_;
  SplitMix64 random_;
  std::vector<Life> lives_;
  std::vector<Descriptor> ghosts_;
};

POLLARD_EACH_BACKEND(with_levels_a_wait_says_what_the_kernel_says) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      Population population(backend, seed);
      for (int step = 0; step < 400; ++step) {
        population.step();
        if (step % 3 == 0) population.compare();
      }
    }
  }
}

// Reads as a connection does: until a read is short, and on to the end once a hang-up was told.
class EdgeReader {
 public:
  EdgeReader(const std::string& backend, std::uint64_t seed) : watch_(backend), random_(seed) {
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
    while (!ended_) {
      watch_.wait(kPatience);
      take();
    }
    BOOST_TEST(received_ == sent_);
  }

 private:
  void send() {
    const std::size_t size = 1 + random_.up_to(100);
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

  Watch watch_;
  SplitMix64 random_;
  Pair pair_ = socket_pair();
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
  bool ended_ = false;
};

POLLARD_EACH_EDGE_BACKEND(with_edges_no_byte_is_lost_however_the_interest_changes) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      EdgeReader reader(backend, seed);
      for (int step = 0; step < 200; ++step) reader.step();
      reader.finish();
    }
  }
}

}  // namespace
}  // namespace pollard::testing
