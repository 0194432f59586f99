#include "pollard/platform/wake.h"

#include <fcntl.h>
#include <poll.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <thread>
#include <vector>

#include "pollard/testkit/faults.h"
#include "pollard/testkit/sockets.h"

namespace pollard::platform {
namespace {

using testing::Call;
using testing::Faults;
using testing::kForever;

bool is_readable(int fd) {
  pollfd record{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&record, 1, 0) == 1;
}

// Runs the body with what the system has, with a pipe, and with a pipe that was made in two steps;
// what is missing is unknown to the kernel or forbidden by a sandbox.
template <class Body>
void with_each_mechanism(Body body) {
  for (const std::vector<Call>& missing :
       {std::vector<Call>{}, {Call::kEventfd}, {Call::kEventfd, Call::kPipe2}}) {
    for (const std::errc why :
         {std::errc::function_not_supported, std::errc::operation_not_permitted}) {
      BOOST_TEST_CONTEXT(missing.size() << " calls are missing: " << static_cast<int>(why)) {
        Faults faults;
        for (const Call call : missing) faults.fail(call, why, {.times = kForever});
        body(faults);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE(wake)

BOOST_AUTO_TEST_CASE(it_is_readable_from_wake_to_drain) {
  with_each_mechanism([](Faults&) {
    WakeDescriptor wake;
    BOOST_TEST(!is_readable(wake.fd()));
    for (int i = 0; i < 3; ++i) {
      wake.wake();
      BOOST_TEST(is_readable(wake.fd()));
      wake.drain();
      BOOST_TEST(!is_readable(wake.fd()));
    }
    wake.drain();  // of nothing: doesn't block
  });
}

BOOST_AUTO_TEST_CASE(it_is_not_inherited_and_does_not_block) {
  with_each_mechanism([](Faults&) {
    const WakeDescriptor wake;
    BOOST_TEST((::fcntl(wake.fd(), F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST((::fcntl(wake.fd(), F_GETFL) & O_NONBLOCK) != 0);
  });
}

BOOST_AUTO_TEST_CASE(wakes_without_a_drain_never_block) {
  with_each_mechanism([](Faults&) {
    WakeDescriptor wake;
    for (int i = 0; i < 20'000; ++i) wake.wake();
    BOOST_TEST(is_readable(wake.fd()));
    wake.drain();
    BOOST_TEST(!is_readable(wake.fd()));
  });
}

BOOST_AUTO_TEST_CASE(a_wake_is_one_call) {
  with_each_mechanism([](Faults& faults) {
    WakeDescriptor wake;
    const std::size_t before = faults.count(Call::kAny);
    wake.wake();
    BOOST_TEST(faults.count(Call::kAny) == before + 1);
  });
}

BOOST_AUTO_TEST_CASE(an_interrupted_wake_or_drain_is_made_again) {
  with_each_mechanism([](Faults& faults) {
    WakeDescriptor wake;
    faults.fail(Call::kWrite, std::errc::interrupted, {.times = 2});
    wake.wake();
    BOOST_TEST(is_readable(wake.fd()));
    faults.fail(Call::kRead, std::errc::interrupted, {.times = 2});
    wake.drain();
    BOOST_TEST(!is_readable(wake.fd()));
  });
}

BOOST_AUTO_TEST_CASE(any_thread_may_wake) {
  with_each_mechanism([](Faults&) {
    WakeDescriptor wake;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&wake] {
        for (int n = 0; n < 100; ++n) wake.wake();
      });
    }
    testing::wait_readable(wake.fd());
    for (std::thread& thread : threads) thread.join();
    wake.drain();
    BOOST_TEST(!is_readable(wake.fd()));
  });
}

BOOST_AUTO_TEST_CASE(a_process_without_descriptors_gets_an_error_that_names_the_call) {
  Faults faults;
  const auto names = [](const char* call) {
    return [call](const std::system_error& error) {
      return error.code() == std::errc::too_many_files_open &&
             std::string(error.what()).starts_with(call);
    };
  };
  faults.fail(Call::kEventfd, std::errc::too_many_files_open);
  BOOST_CHECK_EXCEPTION(WakeDescriptor(), std::system_error, names("eventfd"));
  faults.fail(Call::kEventfd, std::errc::function_not_supported);
  faults.fail(Call::kPipe2, std::errc::too_many_files_open);
  BOOST_CHECK_EXCEPTION(WakeDescriptor(), std::system_error, names("pipe"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
