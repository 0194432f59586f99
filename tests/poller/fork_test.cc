// A forked child has its parent's descriptors, and must not undo what its parent has registered.
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "pollard/base/error.h"
#include "pollard/tests/support/forked.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND(a_childs_operations_fail_and_its_parents_registrations_live) {
  auto poller = make_poller(backend);
  const Pair pair = socket_pair();
  const Pair other = socket_pair();
  const int fd = pair.near.get();
  BOOST_TEST_REQUIRE(!poller->add(fd, Interest::kRead, Token{1}));
  BOOST_TEST_REQUIRE(!poller->modify(fd, Interest::kBoth));
  BOOST_TEST(true_in_child([&] {
    const bool refused =
        poller->add(other.near.get(), Interest::kRead, Token{2}) == Error::kForked &&
        poller->modify(fd, Interest::kNone) == Error::kForked &&
        poller->remove(fd) == Error::kForked && poller->wait(Duration::zero()) == Error::kForked;
    poller.reset();
    return refused;
  }));
  write_text(pair.far.get(), "data");
  BOOST_TEST_REQUIRE(!poller->wait(kPatience));
  Event event;
  BOOST_TEST_REQUIRE(poller->next(event));
  BOOST_TEST((event.token == Token{1}));
  BOOST_TEST(event.readable);
  BOOST_TEST(event.writable);
  BOOST_TEST(!poller->remove(fd));
}

POLLARD_EACH_BACKEND(what_was_found_before_a_fork_is_the_parents) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kRead);
  watch.wait();
  Event event;
  BOOST_TEST(true_in_child([&] { return !watch->next(event) && !watch->has_ready(); }));
  BOOST_TEST(watch->next(event));
}

POLLARD_EACH_BACKEND(a_child_can_make_a_poller_of_its_own) {
  const auto parents = make_poller(backend);
  BOOST_TEST(true_in_child([&] {
    const Pair pair = socket_pair();
    const auto own = make_poller(backend);
    write_text(pair.far.get(), "data");
    Event event;
    return !own->add(pair.near.get(), Interest::kRead, Token{3}) && !own->wait(kPatience) &&
           own->next(event) && event.token == Token{3} && event.readable;
  }));
  BOOST_TEST(!parents->wait(Duration::zero()));
}

POLLARD_EACH_BACKEND(a_descriptor_that_only_a_child_holds_open_is_silent_once_removed) {
  Watch watch(backend);
  Pair pair = socket_pair();
  Pipe hold = open_pipe();
  watch.add(pair.near, Interest::kWrite);
  const pid_t child = ::fork();
  BOOST_TEST_REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(20);
    hold.write.reset();
    wait_readable(hold.read.get());  // the end of the stream: the parent has let go
    ::_exit(0);
  }
  const int number = pair.near.get();
  pair.near.reset();
  watch->remove(number);
  expect_no_spin(watch);
  hold.write.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  BOOST_TEST(status == 0);
}

}  // namespace
}  // namespace pollard::testing
