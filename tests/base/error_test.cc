#include "pollard/base/error.h"

#include <boost/test/unit_test.hpp>
#include <set>
#include <string>

namespace pollard::testing {
namespace {

constexpr Error kAll[] = {
    Error::kForked,          Error::kPollerUnknown,   Error::kPollerUnusable,
    Error::kSelfConnect,     Error::kInputLimit,      Error::kOutputLimit,
    Error::kLoopClosed,      Error::kNotConnected,    Error::kHostNotFound,
    Error::kServiceNotFound, Error::kNameServiceBusy, Error::kNameServiceFailed};

BOOST_AUTO_TEST_SUITE(error)

BOOST_AUTO_TEST_CASE(an_error_is_a_code_of_our_category) {
  const std::error_code code = Error::kForked;
  BOOST_TEST((code.category() == error_category()));
  BOOST_TEST(code.category().name() == std::string("pollard"));
  BOOST_TEST(static_cast<bool>(code));
  BOOST_TEST((code == Error::kForked));
  BOOST_TEST((code != Error::kLoopClosed));
}

BOOST_AUTO_TEST_CASE(every_error_has_words_of_its_own) {
  std::set<std::string> messages;
  for (const Error error : kAll) messages.insert(make_error_code(error).message());
  BOOST_TEST(messages.size() == std::size(kAll));
  BOOST_TEST(messages.count("") == 0U);
  BOOST_TEST(error_category().message(0) == "unknown pollard error");
  BOOST_TEST(messages.count("unknown pollard error") == 0U);
}

BOOST_AUTO_TEST_CASE(our_numbers_are_not_the_systems) {
  const std::error_code ours = Error::kForked;
  const std::error_code theirs(ours.value(), std::system_category());
  BOOST_TEST((ours != theirs));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
