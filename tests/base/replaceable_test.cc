// A value that is replaced while it is in use.
#include "pollard/base/replaceable.h"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace pollard::testing {
namespace {

BOOST_AUTO_TEST_SUITE(replaceable)

BOOST_AUTO_TEST_CASE(there_is_nothing_until_something_is_put_in) {
  Replaceable<int> value;
  BOOST_TEST(value.look() == nullptr);
  value.replace(7);
  BOOST_TEST(*value.look() == 7);
  BOOST_TEST(*value.look() == 7);
}

BOOST_AUTO_TEST_CASE(the_old_value_lasts_until_the_next_look) {
  const auto token = std::make_shared<int>(0);
  Replaceable<std::shared_ptr<int>> value;
  value.replace(token);
  const auto* old = value.look();
  value.replace(nullptr);
  BOOST_TEST(old->get() == token.get());
  BOOST_TEST(token.use_count() == 2);
  BOOST_TEST(value.look()->get() == nullptr);
  BOOST_TEST(token.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(what_nobody_looked_at_ends_when_it_is_replaced) {
  const auto token = std::make_shared<int>(0);
  {
    Replaceable<std::shared_ptr<int>> value;
    value.replace(token);
    value.replace(nullptr);
    BOOST_TEST(token.use_count() == 1);
    value.replace(token);
  }
  BOOST_TEST(token.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(threads_replace_while_one_looks) {
  const auto token = std::make_shared<int>(0);
  {
    Replaceable<std::shared_ptr<int>> value;
    std::atomic<int> writing{2};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        for (int round = 0; round < 10'000; ++round) value.replace(token);
        --writing;
      });
    }
    bool wrong = false;
    while (writing.load() > 0) {
      const auto* seen = value.look();
      wrong |= seen != nullptr && *seen != token;
    }
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(!wrong);
    BOOST_TEST((*value.look() == token));
  }
  BOOST_TEST(token.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
