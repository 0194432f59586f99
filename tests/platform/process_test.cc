#include "pollard/platform/process.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "pollard/platform/system_calls.h"
#include "pollard/tests/support/faults.h"

namespace pollard::platform {
namespace {

BOOST_AUTO_TEST_SUITE(process)

BOOST_AUTO_TEST_CASE(a_forked_child_has_another_generation_and_its_child_a_third) {
  const std::uint32_t ours = fork_generation();
  const pid_t child = ::fork();
  BOOST_TEST_REQUIRE(child >= 0);
  if (child == 0) {
    const std::uint32_t theirs = fork_generation();
    const pid_t grandchild = ::fork();
    if (grandchild == 0) ::_exit(fork_generation() != theirs && fork_generation() != ours ? 0 : 1);
    int status = 1;
    ::waitpid(grandchild, &status, 0);
    ::_exit(theirs != ours && status == 0 ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(fork_generation() == ours);
}

BOOST_AUTO_TEST_CASE(a_variable_is_its_value_or_empty) {
  ::setenv("POLLARD_TEST_VARIABLE", "value", 1);
  BOOST_TEST(environment("POLLARD_TEST_VARIABLE") == "value");
  ::setenv("POLLARD_TEST_VARIABLE", "", 1);
  BOOST_TEST(environment("POLLARD_TEST_VARIABLE") == "");
  ::unsetenv("POLLARD_TEST_VARIABLE");
  BOOST_TEST(environment("POLLARD_TEST_VARIABLE") == "");
}

BOOST_AUTO_TEST_CASE(the_limit_of_descriptors_is_raised_and_never_lowered) {
  const std::uint64_t now = raise_descriptor_limit(0);
  BOOST_TEST(now > 0U);
  BOOST_TEST(raise_descriptor_limit(1) == now);
  BOOST_TEST(raise_descriptor_limit(UINT64_MAX) >= now);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(table)

using testing::Call;
using testing::Faults;

BOOST_AUTO_TEST_CASE(a_table_is_in_force_while_its_scope_lasts) {
  const SystemCalls* const before = &system_calls();
  BOOST_TEST(before == &real_system_calls());
  const SystemCalls outer = real_system_calls();
  {
    const ScopedSystemCalls first(outer);
    BOOST_TEST(&system_calls() == &outer);
    const SystemCalls inner = real_system_calls();
    {
      const ScopedSystemCalls second(inner);
      BOOST_TEST(&system_calls() == &inner);
    }
    BOOST_TEST(&system_calls() == &outer);
  }
  BOOST_TEST(&system_calls() == before);
}

BOOST_AUTO_TEST_CASE(failures_befall_the_calls_that_they_are_scripted_for) {
  Faults faults;
  faults.fail(Call::kClose, std::errc::io_error, {.after = 1, .times = 2});
  const auto close = [] { return system_calls().close(-1); };
  const int usual = -static_cast<int>(std::errc::bad_file_descriptor);
  const int scripted = -static_cast<int>(std::errc::io_error);
  BOOST_TEST(close() == usual);
  BOOST_TEST(close() == scripted);
  BOOST_TEST(close() == scripted);
  BOOST_TEST(close() == usual);
  faults.fail(Call::kClose, std::errc::io_error, {.times = testing::kForever});
  BOOST_TEST(close() == scripted);
  faults.restore(Call::kClose);
  BOOST_TEST(close() == usual);
  BOOST_TEST(faults.count(Call::kClose) == 6U);
  BOOST_TEST(faults.count(Call::kAny) == 6U);
  BOOST_TEST(faults.count(Call::kRead) == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
