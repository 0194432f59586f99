// What a watcher is owed beyond events: continuations and ends of turns, at most one of each.
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "pollard/net/loop/channel.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// Notes what it is called for: "12r" in the second turn, readable.
class Noting final : public Watcher {
 public:
  explicit Noting(EventLoop& loop) : Watcher(loop) {}

  using Watcher::at_turn_end;
  using Watcher::continue_next_turn;
  using Watcher::stop_watching;

  void begin(int fd, Interest interest = Interest::kNone) {
    BOOST_TEST_REQUIRE(!watch(fd, interest, Trigger::kLevel));
  }

  std::vector<std::string> calls;
  std::vector<std::uint64_t> turns;
  int turn_ends = 0;
  MoveFunction<void()> on_call;

 private:
  void on_ready(Readiness ready) override {
    std::string text;
    if (ready.readable) text += 'r';
    if (ready.writable) text += 'w';
    if (ready.hangup) text += 'h';
    if (ready.error) text += 'e';
    calls.push_back(text);
    turns.push_back(turn());
    if (on_call) on_call();
  }
  void on_turn_end() override { ++turn_ends; }
};

POLLARD_EACH_BACKEND(watcher_that_asks_often_is_continued_once_with_all_that_it_asked_for) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  Noting one(loop);
  one.begin(pair.near.get());
  loop.post([&] {
    for (int i = 0; i < 100; ++i) one.continue_next_turn({.readable = true});
    one.continue_next_turn({.writable = true, .hangup = true});
    for (int i = 0; i < 100; ++i) one.at_turn_end();
  });
  run_until_idle(loop);
  BOOST_TEST(one.calls == std::vector<std::string>{"rwh"});
  BOOST_TEST(one.turn_ends == 1);
  one.continue_next_turn({.error = true});
  one.at_turn_end();
  run_until_idle(loop);
  BOOST_TEST(one.calls == (std::vector<std::string>{"rwh", "e"}));
  BOOST_TEST(one.turn_ends == 2);
}

POLLARD_EACH_BACKEND(watcher_that_always_goes_on_is_called_once_per_turn_with_what_is_reported) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "never read");
  Noting one(loop);
  one.begin(pair.near.get(), Interest::kRead);
  one.on_call = [&] {
    for (int i = 0; i < 3; ++i) one.continue_next_turn({.writable = true});
  };
  for (int turn = 0; turn < 20; ++turn) static_cast<void>(loop.run_once(Duration::zero()));
  BOOST_TEST_REQUIRE(one.calls.size() == 20U);
  for (std::size_t i = 1; i < one.calls.size(); ++i)
    BOOST_TEST(one.turns[i] == one.turns[i - 1] + 1);
  BOOST_TEST(one.calls.front() == "r");
  BOOST_TEST(one.calls.back() == "rw");
}

POLLARD_EACH_BACKEND(continuation_is_not_given_to_the_next_watcher_of_the_descriptor) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  std::optional<Noting> first(std::in_place, loop);
  Noting second(loop);
  first->begin(pair.near.get());
  first->continue_next_turn({.readable = true});
  first->at_turn_end();
  first.reset();
  second.begin(pair.near.get());
  run_until_idle(loop);
  BOOST_TEST(second.calls.empty());
  BOOST_TEST(second.turn_ends == 0);
  second.continue_next_turn({.writable = true});
  run_until_idle(loop);
  BOOST_TEST(second.calls == std::vector<std::string>{"w"});
}

POLLARD_EACH_BACKEND(watcher_that_watches_anew_is_owed_nothing_and_can_be_continued) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  Noting one(loop);
  one.begin(pair.near.get());
  one.continue_next_turn({.readable = true});
  one.at_turn_end();
  one.stop_watching();
  one.begin(pair.near.get());
  run_until_idle(loop);
  BOOST_TEST(one.calls.empty());
  one.continue_next_turn({.writable = true});
  one.stop_watching();
  one.begin(pair.near.get());
  one.continue_next_turn({.error = true});
  one.at_turn_end();
  run_until_idle(loop);
  BOOST_TEST(one.calls == std::vector<std::string>{"e"});
  BOOST_TEST(one.turn_ends == 1);
}

POLLARD_EACH_BACKEND(watcher_is_continued_though_memory_was_short_when_it_asked_before) {
  with_each_allocation_failing([&](std::uint64_t which) {
    EventLoop loop({.poller = backend});
    const Pair pair = socket_pair();
    Noting one(loop);
    one.begin(pair.near.get());
    bool failed = false;
    {
      const FailingAllocation failing(which);
      try {
        one.continue_next_turn({.readable = true});
        one.at_turn_end();
      } catch (const std::bad_alloc&) {
      }
      failed = failing.has_failed();
    }
    one.continue_next_turn({.writable = true});
    one.at_turn_end();
    run_until_idle(loop);
    BOOST_TEST(one.calls.size() == 1U);
    BOOST_TEST(one.turn_ends == 1);
    return failed;
  });
}

POLLARD_EACH_BACKEND(loop_gives_back_the_memory_of_a_burst_of_continuations) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  const std::size_t before = large_blocks_in_use();
  Noting one(loop);
  for (int i = 0; i < 50'000; ++i) {  // each is a registration of its own
    one.begin(pair.near.get());
    one.continue_next_turn({.readable = true});
    one.at_turn_end();
    one.stop_watching();
  }
  BOOST_TEST(large_blocks_in_use() > before);
  static_cast<void>(loop.run_once(Duration::zero()));
  static_cast<void>(loop.run_once(Duration::zero()));
  BOOST_TEST(large_blocks_in_use() == before);
}

// ---- Connections

// How often a connection's handler ran in each turn, with more to read than any turn takes.
std::vector<int> messages_per_turn(const BackendCase& backend, bool pauses) {
  Faults faults;
  faults.cap(Call::kRecv, 4096);
  Connected one(backend, tcp_pair(), {.receive_buffer_bytes = 4096});
  int messages = 0;
  one.handlers.on_message = [&](const TcpConnectionPtr& connection, Buffer& input) {
    ++messages;
    input.clear();
    if (!pauses) return;
    connection->pause_reading();
    connection->resume_reading();
  };
  one.open();
  std::vector<int> each;
  const std::string much(1 << 20, 'x');
  for (int turn = 0; turn < 40; ++turn) {
    write_some(one.peer.get(), much);
    const Duration arriving = let_arrive();
    messages = 0;
    static_cast<void>(one.loop.run_once(arriving));
    each.push_back(messages);
  }
  return each;
}

// Four for a continuation, and four for an event: more may arrive between them. Continuations that
// pile up would make it more with every turn.
constexpr int kMostReads = 8;

POLLARD_EACH_BACKEND_AND_TRIGGER(flooded_connection_reads_as_often_in_each_turn) {
  for (const int reads : messages_per_turn(backend, false)) BOOST_TEST(reads <= kMostReads);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(connection_that_pauses_and_resumes_reads_as_often_in_each_turn) {
  for (const int reads : messages_per_turn(backend, true)) BOOST_TEST(reads <= kMostReads);
}

}  // namespace
}  // namespace pollard::testing
