// Other threads that are short of memory: what they asked for happens as a whole or not at all, and
// the connection ends when it should.
#include <cstdint>
#include <new>
#include <string>
#include <thread>

#include "pollard/base/error.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/failing_allocation.h"

namespace pollard::testing {
namespace {

constexpr const char* kAllocates = "memory of its own: its calls take this thread's";

// In a thread of its own, with one allocation failing; whether there was such a one.
template <class Call>
bool short_of_memory(std::uint64_t which, Call call) {
  bool failed = false;
  std::thread([&] {
    const FailingAllocation failing(which);
    try {
      call();
    } catch (const std::bad_alloc&) {
    }
    failed = failing.has_failed();
  }).join();
  return failed;
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(shutdown_completes_after_a_threads_send_threw, kAllocates) {
  const std::string text(500, 't');
  with_each_allocation_failing([&](std::uint64_t which) {
    Connected one(backend);
    one.open();
    bool sent = false;
    const bool failed = short_of_memory(which, [&] {
      static_cast<void>(one.connection->send(text));
      sent = true;
    });
    run_until_idle(one.loop);
    one.connection->shutdown();
    BOOST_TEST((one.hear_to_the_end() == (sent ? text : "")));
    one.end_peer();
    one.until_closed();
    return failed;
  });
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(threads_shutdown_that_threw_can_be_repeated, kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    Connected one(backend);
    one.open();
    bool done = false;
    const bool failed = short_of_memory(which, [&] {
      one.connection->shutdown();
      done = true;
    });
    if (!done) {
      BOOST_TEST(!one.connection->send("still connected"));
      std::thread([&] { one.connection->shutdown(); }).join();
    }
    BOOST_TEST((one.hear_to_the_end() == (done ? "" : "still connected")));
    return failed;
  });
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(threads_close_that_threw_can_be_repeated, kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    Connected one(backend);
    one.open();
    bool done = false;
    const bool failed = short_of_memory(which, [&] {
      one.connection->force_close();
      done = true;
    });
    if (!done) {
      BOOST_TEST(!one.connection->send("still connected"));
      std::thread([&] { one.connection->force_close(); }).join();
    }
    one.until_closed();
    return failed;
  });
}

POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(resuming_that_threw_can_be_repeated, kAllocates) {
  with_each_allocation_failing([&](std::uint64_t which) {
    Connected one(backend);
    one.open();
    one.connection->pause_reading();
    one.say("text");
    run_until_idle(one.loop);
    bool failed = false;
    {
      const FailingAllocation failing(which);
      try {
        one.connection->resume_reading();
      } catch (const std::bad_alloc&) {
      }
      failed = failing.has_failed();
    }
    one.connection->resume_reading();
    one.until([&] { return one.journal.received == "text"; });
    return failed || which == 1;  // the loop's list may have room already
  });
}

}  // namespace
}  // namespace pollard::testing
