// A kernel that has no memory for a change of interest just now: whoever asked for it is watched a
// moment later, and nobody stays deaf.
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "pollard/net/loop/channel.h"
#include "pollard/net/tcp/acceptor.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

using platform::KernelEvent;

// Refuses the next changes, where the mechanism has changes that a kernel can refuse.
class RefusedChanges {
 public:
  explicit RefusedChanges(Faults& faults) : faults_(faults) {
    faults.replace<&platform::SystemCalls::kevent>([this](int queue, const KernelEvent* changes,
                                                          int change_count, KernelEvent* events,
                                                          int capacity, const timespec* timeout) {
      if (left_ == 0 || change_count == 0) {
        return faults_.underlying().kevent(queue, changes, change_count, events, capacity, timeout);
      }
      --left_;
      for (int i = 0; i < change_count; ++i) {
        events[i] = changes[i];
        events[i].flags = static_cast<decltype(events[i].flags)>(platform::kEventError);
        events[i].data = static_cast<int>(std::errc::not_enough_memory);
      }
      return change_count;
    });
  }

  void refuse(int times, std::errc error = std::errc::not_enough_memory) {
    left_ = times;
    faults_.fail(Call::kEpollCtl, error, {.times = static_cast<std::size_t>(times)});
  }

 private:
  Faults& faults_;
  int left_ = 0;
};

POLLARD_EACH_BACKEND(a_listener_that_cant_be_watched_again_at_once_is_watched_soon) {
  for (const std::errc error : {std::errc::not_enough_memory, std::errc::no_space_on_device}) {
    Faults faults;
    RefusedChanges changes(faults);
    EventLoop loop({.poller = backend});
    std::vector<Descriptor> accepted;
    Acceptor acceptor(loop, Address::loopback(0), {}, [&](Descriptor socket, const Address&) {
      accepted.push_back(std::move(socket));
    });
    acceptor.listen();
    acceptor.pause();
    run_until_idle(loop);
    changes.refuse(3, error);
    acceptor.resume();
    run_until_idle(loop);
    const Descriptor client = connect_to(acceptor.address());
    run_until(loop, [&] { return accepted.size() == 1; });
    expect_no_spin(loop);
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_connection_that_cant_be_watched_again_at_once_is_watched_soon) {
  Faults faults;
  RefusedChanges changes(faults);
  Connected one(backend);
  one.open();
  one.connection->pause_reading();
  run_until_idle(one.loop);
  changes.refuse(3);
  one.connection->resume_reading();
  run_until_idle(one.loop);
  one.say("hello");
  one.until([&] { return one.journal.received == "hello"; });
  one.connection->send(std::string(8 << 20, 'x'));
  changes.refuse(2);
  BOOST_TEST(one.hear(8 << 20).size() == 8U << 20U);
}

POLLARD_EACH_BACKEND(a_channel_that_cant_be_watched_again_at_once_costs_no_spin_meanwhile) {
  Faults faults;
  RefusedChanges changes(faults);
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  unsigned readable = 0;
  Channel channel(loop, pair.near.get(), Interest::kNone, [&](Readiness) {
    ++readable;
    static_cast<void>(read_text(pair.near.get()));
  });
  run_until_idle(loop);
  changes.refuse(5);
  channel.set_interest(Interest::kRead);
  expect_no_spin(loop, 100ms, 16);
  BOOST_TEST(readable == 0U);
  write_text(pair.far.get(), "data");
  run_until(loop, [&] { return readable == 1; });
}

}  // namespace
}  // namespace pollard::testing
