#include "pollard/platform/process.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>

#include "pollard/platform/system_calls.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"

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

// A kernel with a limit of its own, as XNU's dosetrlimit has (kern.maxfilesperproc); some clamp
// instead of failing.
struct LimitedKernel {
  LimitedKernel(rlim_t now, rlim_t hard, rlim_t own) : limit{now, hard} {
    faults.replace<&SystemCalls::getrlimit>([this](int, struct rlimit* answer) {
      *answer = limit;
      return 0;
    });
    faults.replace<&SystemCalls::setrlimit>([this, own](int, const struct rlimit* wanted) {
      ++calls;
      lowered = lowered || wanted->rlim_cur < limit.rlim_cur || wanted->rlim_max != limit.rlim_max;
      if (wanted->rlim_cur > own && !clamps) return -EINVAL;
      limit.rlim_cur = std::min(wanted->rlim_cur, own);
      return 0;
    });
  }

  testing::Faults faults;
  struct rlimit limit;
  bool clamps = false;
  bool lowered = false;
  int calls = 0;
};

BOOST_AUTO_TEST_CASE(limit_is_raised_as_far_as_kernel_allows_below_hard_limit) {
  for (const rlim_t own : {257U, 10'240U, 61'440U, 1'048'575U}) {
    for (const std::uint64_t wanted : {std::uint64_t{1} << 20U, std::uint64_t{UINT64_MAX}}) {
      for (const bool clamps : {false, true}) {
        LimitedKernel kernel(256, RLIM_INFINITY, own);
        kernel.clamps = clamps;
        BOOST_TEST(raise_descriptor_limit(wanted) == own);
        BOOST_TEST(kernel.limit.rlim_cur == own);
        BOOST_TEST(!kernel.lowered);
        BOOST_TEST(kernel.calls <= 65);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(limit_is_raised_to_hard_limit_at_most) {
  LimitedKernel kernel(1'024, 4'096, 1'000'000);
  BOOST_TEST(raise_descriptor_limit(2'048) == 2'048U);
  BOOST_TEST(raise_descriptor_limit(1'000'000) == 4'096U);
  BOOST_TEST(raise_descriptor_limit(1) == 4'096U);
  BOOST_TEST(kernel.calls == 2);
}

BOOST_AUTO_TEST_CASE(limit_that_may_not_be_raised_stays) {
  LimitedKernel kernel(256, RLIM_INFINITY, 256);
  BOOST_TEST(raise_descriptor_limit(UINT64_MAX) == 256U);
  kernel.faults.fail(testing::Call::kGetrlimit, std::errc::operation_not_permitted);
  BOOST_TEST(raise_descriptor_limit(512) == 0U);
}

constexpr const char* kSecret = "POLLARD_TEST_SECRET";
constexpr int kNotSetId = 77;

// The child of the next case: it runs as a set-id program.
BOOST_AUTO_TEST_CASE(set_id_child, *boost::unit_test::disabled()) {
  const bool is_set_id = ::geteuid() != ::getuid();
  const bool has_variable = ::getenv(kSecret) != nullptr;
  ::_exit(!is_set_id || !has_variable ? kNotSetId : environment(kSecret).empty() ? 0 : 1);
}

BOOST_AUTO_TEST_CASE(variable_is_empty_in_set_id_process) {
  char path[] = "/tmp/pollard-set-id-XXXXXX";
  const int file = ::mkstemp(path);
  BOOST_TEST_REQUIRE(file >= 0);
  ::close(file);
  int status = 0;
  const std::string self = boost::unit_test::framework::master_test_suite().argv[0];
  std::filesystem::copy_file(self, path, std::filesystem::copy_options::overwrite_existing);
  constexpr ::uid_t kOther = 65'534;
  const bool made =
      ::chown(path, kOther, static_cast<::gid_t>(-1)) == 0 && ::chmod(path, S_ISUID | 0755) == 0;
  if (made) {
    status = testing::status_of_child([&] {
      ::setenv(kSecret, "an attacker's", 1);
      ::execl(path, path, "--run_test=process/set_id_child", nullptr);
      return kNotSetId;
    });
  }
  ::unlink(path);
  if (!made || (WIFEXITED(status) && WEXITSTATUS(status) == kNotSetId)) {
    BOOST_TEST_MESSAGE("skipped: this user or file system makes no set-id programs");
    return;
  }
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
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
