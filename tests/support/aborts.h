// Misuse that must end the program: tried in a forked child, which does nothing else.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

namespace pollard::testing {

/// Whether `body` ends its process by an assertion; its last words are not shown.
template <class Body>
[[nodiscard]] bool aborts(Body body) {
  const pid_t child = ::fork();
  BOOST_TEST_REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(20);                 // nobody watches here
    ::signal(SIGABRT, SIG_DFL);  // Boost.Test's handler would jump into the parent's tests
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    body();
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace pollard::testing
