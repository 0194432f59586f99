// What is posted to the loop of a library from other threads, whichever it is:
//
//   busy-1, busy-4   by one thread, by four, while the loop is at work: in batches
//   asleep           by one thread, one task at a time, while the loop sleeps
//
// A library offers a class with these functions, and a file of its own that calls main_of():
//
//   void post(task);  // any callable; any thread
//   void run();       // until stop()
//   void stop();      // in a task
#pragma once

#include <cstddef>
#include <cstdint>
#include <semaphore>
#include <thread>
#include <vector>

#include "support/repeat.h"

namespace bench {

template <class Loop>
class PostWork {
 public:
  void busy(unsigned producers, std::size_t batch, std::uint64_t batches) {
    producers_ = producers;
    batches_left_ = batches;
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < producers; ++i) {
      threads.emplace_back([this, batches, share = batch / producers] { produce(batches, share); });
    }
    loop_.post([this] { hold(); });
    loop_.run();
  }

  void asleep(std::uint64_t count) {
    const std::jthread producer([this, count] {
      for (std::uint64_t i = 0; i < count; ++i) {
        loop_.post([this] { done_.release(); });
        done_.acquire();
      }
      loop_.post([this] { loop_.stop(); });
    });
    loop_.run();
  }

 private:
  void produce(std::uint64_t batches, std::size_t share) {
    for (std::uint64_t batch = 0; batch < batches; ++batch) {
      go_.acquire();
      for (std::size_t i = 0; i < share; ++i) {
        loop_.post([this] { ++ran_; });
      }
      done_.release();
    }
  }

  // Keeps the loop at work while a batch is posted; the next of its kind stands behind that batch.
  void hold() {
    if (batches_left_-- == 0) return loop_.stop();
    go_.release(producers_);
    for (unsigned i = 0; i < producers_; ++i) done_.acquire();
    loop_.post([this] { hold(); });
  }

  Loop loop_;
  unsigned producers_ = 1;
  std::uint64_t batches_left_ = 0;
  std::uint64_t ran_ = 0;
  std::counting_semaphore<> go_{0};
  std::counting_semaphore<> done_{0};
};

/// --repeat counts the posts, --count those of a batch.
template <class Loop>
int main_of(int argc, char** argv) {
  const RepeatOptions options = read_repeat_options(argc, argv, {"busy-1", "busy-4", "asleep"},
                                                    {.count = 1000, .repeat = 100'000});
  PostWork<Loop> work;
  const Stopwatch stopwatch;
  if (options.work == "asleep") {
    work.asleep(options.repeat);
  } else {
    const unsigned producers = options.work == "busy-1" ? 1 : 4;
    work.busy(producers, options.count, options.repeat / options.count);
  }
  stopwatch.report(options.repeat);
  return 0;
}

}  // namespace bench
