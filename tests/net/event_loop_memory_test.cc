// What a loop destroys, and when: what is retired, timers at the loop's end, the memory of bursts;
// and what it does when memory is short.
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// Counts how often it was called and destroyed, however often it was moved.
class Probe {
 public:
  Probe(int& calls, int& ends) : calls_(&calls), ends_(&ends, [](int* count) { ++*count; }) {}
  void operator()() const { ++*calls_; }

 private:
  int* calls_;
  std::unique_ptr<int, void (*)(int*)> ends_;
};

// ---- Retiring

POLLARD_EACH_BACKEND(what_is_retired_lives_until_the_turn_ends_or_not_at_all_between_turns) {
  EventLoop loop({.poller = backend});
  int calls = 0;
  int ends = 0;
  loop.retire(Probe(calls, ends));
  BOOST_TEST(ends == 1);
  loop.post([&] {
    loop.retire(Probe(calls, ends));
    BOOST_TEST(ends == 1);
  });
  loop.post([&] { BOOST_TEST(ends == 1); });
  loop.run_once();
  BOOST_TEST(ends == 2);
  loop.post([&] {
    loop.retire(Probe(calls, ends));
    throw std::runtime_error("thrown");
  });
  BOOST_CHECK_THROW(loop.run(), std::runtime_error);
  BOOST_TEST(ends == 3);
  BOOST_TEST(calls == 0);
}

POLLARD_EACH_BACKEND(what_is_retired_while_retiring_ends_in_the_same_turn) {
  EventLoop loop({.poller = backend});
  int calls = 0;
  int ends = 0;
  struct Guard {
    std::function<void()> at_end;
    ~Guard() { at_end(); }
  };
  loop.post([&] {
    auto guard = std::make_shared<Guard>();
    guard->at_end = [&] {
      loop.retire(Probe(calls, ends));
      loop.retire(Probe(calls, ends));
    };
    loop.retire([guard = std::move(guard)] {});
    loop.post([&] {
      BOOST_TEST(ends == 2);
      loop.stop();
    });
  });
  loop.run();
  BOOST_TEST(ends == 2);
}

POLLARD_EACH_BACKEND(what_cannot_be_retired_for_want_of_memory_is_left_as_it_was) {
  EventLoop loop({.poller = backend});
  int calls = 0;
  int ends = 0;
  with_each_allocation_failing([&](std::uint64_t which) {
    bool failed = false;
    ends = 0;
    loop.post([&] {
      Task ended = Probe(calls, ends);
      const FailingAllocation failing(which);
      try {
        loop.retire(std::move(ended));
      } catch (const std::bad_alloc&) {
        BOOST_TEST(static_cast<bool>(ended));
        BOOST_TEST(ends == 0);
      }
      failed = failing.has_failed();
    });
    static_cast<void>(loop.run_once(Duration::zero()));
    BOOST_TEST(ends == 1);
    return failed;
  });
}

// A channel that ends in its own handler is retired by its destructor, which must not throw.
POLLARD_EACH_BACKEND(channel_that_ends_in_its_handler_needs_no_memory) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  int calls = 0;
  int ends = 0;
  std::optional<Channel> channel(std::in_place, loop, pair.near.get(), Interest::kWrite,
                                 [&, probe = Probe(calls, ends)](Readiness) {
                                   const FailingAllocation failing(1);
                                   channel.reset();
                                   BOOST_TEST(!failing.has_failed());
                                   BOOST_TEST(ends == 0);
                                 });
  static_cast<void>(loop.run_once());
  BOOST_TEST(ends == 1);
}

// A post that comes too late ends in the thread that posted, when the loop has let its timers go.
POLLARD_EACH_BACKEND(timer_in_a_refused_post_ends_in_another_thread_while_the_loop_is_destroyed) {
  std::optional<EventLoop> loop(std::in_place, EventLoopOptions{.poller = backend});
  struct Last {
    Last(LoopHandle to, Timer held, bool& answer)
        : handle(std::move(to)), timer(std::move(held)), refused(answer) {}
    Last(const Last&) = delete;
    Last& operator=(const Last&) = delete;
    LoopHandle handle;
    Timer timer;
    bool& refused;
    ~Last() {  // in the mailbox's close(), which takes no more posts
      std::thread([&] { refused = !handle.post([held = std::move(timer)] {}); }).join();
    }
  };
  bool refused = false;
  auto last = std::make_unique<Last>(loop->handle(), loop->after(1h, [] {}), refused);
  loop->post([last = std::move(last)] {});
  loop.reset();
  BOOST_TEST(refused);
}

POLLARD_EACH_BACKEND(loop_gives_back_the_memory_of_a_burst_of_posts) {
  EventLoop loop({.poller = backend});
  const std::size_t before = large_blocks_in_use();
  for (const bool last_throws : {false, true}) {
    int ran = 0;
    for (int i = 0; i < 100'000; ++i) loop.post([&] { ++ran; });
    if (last_throws) loop.post([] { throw std::runtime_error("thrown"); });
    BOOST_TEST(large_blocks_in_use() > before);
    if (last_throws) {
      BOOST_CHECK_THROW(static_cast<void>(loop.run_once(Duration::zero())), std::runtime_error);
    } else {
      static_cast<void>(loop.run_once(Duration::zero()));
    }
    BOOST_TEST(ran == 100'000);
    BOOST_TEST(large_blocks_in_use() == before);
  }
}

POLLARD_EACH_BACKEND(what_is_destroyed_at_the_end_of_a_turn_may_retire_more) {
  EventLoop loop({.poller = backend});
  int calls = 0;
  int ends = 0;
  struct Guard {
    std::function<void()> at_end;
    ~Guard() { at_end(); }
  };
  loop.post([&] {
    auto guard = std::make_shared<Guard>();
    guard->at_end = [&] { loop.retire(Probe(calls, ends)); };
    loop.retire([guard = std::move(guard)] {});
  });
  loop.run_once();
  BOOST_TEST(ends == 1);
}

}  // namespace
}  // namespace pollard::testing
