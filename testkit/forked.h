// What a forked child of a test does, and how it ends: a child's own assertions would be nobody's.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace pollard::testing {

/// Runs `body` in a forked child, which exits with its answer: the status of waitpid(2).
template <class Body>
[[nodiscard]] int status_of_child(Body body) {
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::system_category(), "fork");
  if (child == 0) {
    ::alarm(20);  // nobody watches here
    ::_exit(body());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  return status;
}

/// Whether `body` answers true there.
template <class Body>
[[nodiscard]] bool true_in_child(Body body) {
  int status = status_of_child([&] { return body() ? 0 : 1; });  // Darwin's macros want it variable
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Whether `body` ends its process by an assertion; its last words are not shown.
template <class Body>
[[nodiscard]] bool aborts(Body body) {
  int status = status_of_child([&] {
    ::signal(SIGABRT, SIG_DFL);  // Boost.Test's handler would jump into the parent's tests
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    body();
    return 0;
  });
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace pollard::testing
