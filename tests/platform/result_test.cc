#include "pollard/platform/result.h"

#include <boost/test/unit_test.hpp>

namespace pollard::platform {
namespace {

BOOST_AUTO_TEST_SUITE(result)

BOOST_AUTO_TEST_CASE(a_success_has_a_count_and_no_error) {
  const Result none;
  BOOST_TEST(none.ok());
  BOOST_TEST(none.count() == 0U);
  const Result seven(7);
  BOOST_TEST(seven.ok());
  BOOST_TEST(seven.count() == 7U);
  BOOST_TEST(seven.descriptor() == 7);
  BOOST_TEST(seven.error() == std::error_code());
  BOOST_TEST(!seven.would_block());
}

BOOST_AUTO_TEST_CASE(a_failure_is_its_errno) {
  const Result failed = Result::failure(std::errc::broken_pipe);
  BOOST_TEST(!failed.ok());
  BOOST_TEST(failed.is(std::errc::broken_pipe));
  BOOST_TEST(!failed.is(std::errc::bad_file_descriptor));
  BOOST_TEST((failed.error() == std::errc::broken_pipe));
  BOOST_TEST((failed.error().category() == std::system_category()));
}

BOOST_AUTO_TEST_CASE(waiting_and_interruption_have_names) {
  BOOST_TEST(Result::failure(std::errc::resource_unavailable_try_again).would_block());
  BOOST_TEST(Result::failure(std::errc::operation_would_block).would_block());
  BOOST_TEST(Result::failure(std::errc::interrupted).interrupted());
  BOOST_TEST(!Result::failure(std::errc::interrupted).would_block());
  BOOST_TEST(!Result::failure(std::errc::io_error).interrupted());
}

BOOST_AUTO_TEST_CASE(an_interrupted_call_is_made_again_and_no_other) {
  int calls = 0;
  const Result done = retry_interrupted(
      [&calls] { return ++calls < 4 ? Result::failure(std::errc::interrupted) : Result(calls); });
  BOOST_TEST(done.count() == 4U);
  calls = 0;
  const Result failed = retry_interrupted([&calls] {
    ++calls;
    return Result::failure(std::errc::resource_unavailable_try_again);
  });
  BOOST_TEST(failed.would_block());
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
