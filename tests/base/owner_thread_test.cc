// Which thread an object belongs to, also after that thread has ended.
#include "pollard/base/owner_thread.h"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <optional>
#include <thread>

#include "pollard/testkit/forked.h"

namespace pollard::testing {
namespace {

BOOST_AUTO_TEST_SUITE(owner_thread)

BOOST_AUTO_TEST_CASE(owner_thread_names_the_thread_that_makes_it) {
  const OwnerThread here;
  BOOST_TEST(here.is_current());
  bool there = true;
  std::thread([&] { there = here.is_current(); }).join();
  BOOST_TEST(!there);
}

BOOST_AUTO_TEST_CASE(threads_that_follow_each_other_are_not_mistaken_for_the_first) {
  std::optional<OwnerThread> ended;
  std::thread([&] { ended.emplace(); }).join();
  for (int i = 0; i < 50; ++i) {  // most get the memory of the one before
    bool mistaken = true;
    bool own = false;
    std::thread([&] {
      mistaken = ended->is_current();
      own = OwnerThread().is_current();
    }).join();
    BOOST_TEST_REQUIRE(!mistaken);
    BOOST_TEST_REQUIRE(own);
  }
}

BOOST_AUTO_TEST_CASE(a_call_in_another_thread_aborts) {
  const OwnerThread here;
  here.assert_current();
  BOOST_TEST(aborts([&] { std::thread([&] { here.assert_current(); }).join(); }));
}

BOOST_AUTO_TEST_CASE(thread_knows_that_it_is_ending_by_exit) {
  int status = status_of_child([] {
    static const struct AtEnd {
      OwnerThread thread;
      ~AtEnd() { std::_Exit(OwnerThread::current_is_ending() ? 7 : 8); }
    } at_end;
    if (OwnerThread::current_is_ending()) return 9;
    std::exit(6);
    return 10;
  });
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 7);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
