// What belongs to the loop's thread asserts when another thread calls it.
#include <thread>

#include "pollard/testkit/forked.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

template <class Call>
void expect_abort_in_other_thread(const char* what, Call call) {
  bool aborted = false;
  std::thread([&] { aborted = aborts(call); }).join();
  BOOST_TEST(aborted, what);
}

#define EXPECT_ABORT(call) expect_abort_in_other_thread(#call, [&] { static_cast<void>(call); })

POLLARD_EACH_BACKEND(calls_of_the_loops_thread_assert_in_another_thread) {
  Connected one(BackendCase{backend});
  one.open();
  TcpConnection& it = *one.connection;
  EXPECT_ABORT(it.loop());
  EXPECT_ABORT(it.local_address());
  EXPECT_ABORT(it.context());
  EXPECT_ABORT(it.add_close_callback([] {}));
  EXPECT_ABORT(it.unsent());
  EXPECT_ABORT(it.above_high_water());
  EXPECT_ABORT(it.buffer_memory());
  EXPECT_ABORT(it.set_timeouts({.max_lifetime = 1s}));
  EXPECT_ABORT(it.takes_input());
  EXPECT_ABORT(it.set_unfinished(1));
  EXPECT_ABORT(it.unfinished());
  EXPECT_ABORT(it.busy());
  EXPECT_ABORT(it.draining());
  EXPECT_ABORT(it.set_no_delay(true));
  EXPECT_ABORT(it.set_linger(0s));
  EXPECT_ABORT(it.reset_when_sent(std::make_error_code(std::errc::connection_reset), 1s));
  ConnectionGroup& group = *one.group;
  EXPECT_ABORT(group.any());
  EXPECT_ABORT(group.buffer_memory());
  EXPECT_ABORT(group.set_on_closed({}));
  EXPECT_ABORT(group.close_all({}));
  EXPECT_ABORT(group.abandon());
}

}  // namespace
}  // namespace pollard::testing
