// The default log and failed assertions: they never raise SIGPIPE, and write into standard error or
// nowhere. Each case runs in a child, whose descriptor 2 it replaces.
#include "pollard/platform/standard_error.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <string>

#include "pollard/base/assert.h"
#include "pollard/base/log.h"
#include "pollard/testkit/forked.h"
#include "pollard/testkit/sockets.h"

namespace pollard::platform {
namespace {

using testing::Pair;
using testing::Pipe;
using testing::read_text;
using testing::status_of_child;
using testing::true_in_child;

void put_at_two(int fd) { ::dup2(fd, STDERR_FILENO); }

// A pipe whose writing end is descriptor 2 and whose reader is gone.
void break_standard_error() {
  Pipe pipe = testing::open_pipe();
  put_at_two(pipe.write.get());
  pipe.read.reset();
}

std::string shown(int fd) {
  std::string text(4096, '\0');
  const ::ssize_t got = ::read(fd, text.data(), text.size());
  return got <= 0 ? "" : text.substr(0, static_cast<std::size_t>(got));
}

BOOST_AUTO_TEST_SUITE(standard_error)

BOOST_AUTO_TEST_CASE(warning_without_reader_raises_no_signal) {
  int status = status_of_child([] {
    ::signal(SIGPIPE, SIG_DFL);
    break_standard_error();
    log(LogLevel::kError, "nobody hears this");
    sigset_t pending;
    ::sigpending(&pending);
    return sigismember(&pending, SIGPIPE);
  });
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
}

BOOST_AUTO_TEST_CASE(pending_signal_of_the_program_is_kept) {
  BOOST_TEST(true_in_child([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    ::raise(SIGPIPE);
    break_standard_error();
    log(LogLevel::kError, "the program's own signal waits");
    sigset_t pending;
    ::sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
  }));
}

BOOST_AUTO_TEST_CASE(line_is_written_to_redirected_standard_error) {
  BOOST_TEST(true_in_child([] {
    const Pipe pipe = testing::open_pipe();
    put_at_two(pipe.write.get());  // as a shell or a daemon does it: not close-on-exec
    log(LogLevel::kError, "redirected");
    return shown(pipe.read.get()) == "pollard error: redirected\n";
  }));
}

BOOST_AUTO_TEST_CASE(line_is_written_to_socket_that_was_standard_error_from_the_start) {
  BOOST_TEST(true_in_child([] {
    const Pair pair = testing::socket_pair();  // what systemd gives to a service
    put_at_two(pair.near.get());
    remember_standard_error();
    log(LogLevel::kError, "to the journal");
    return read_text(pair.far.get()) == "pollard error: to the journal\n";
  }));
}

BOOST_AUTO_TEST_CASE(socket_that_gets_number_two_receives_no_line) {
  for (const bool open_at_start : {false, true}) {
    BOOST_TEST(true_in_child([open_at_start] {
      if (open_at_start) remember_standard_error();
      ::close(STDERR_FILENO);
      if (!open_at_start) remember_standard_error();
      const Pair pair = testing::socket_pair_at(STDERR_FILENO);
      ::fcntl(STDERR_FILENO, F_SETFD, 0);  // as another library makes them
      log(LogLevel::kError, "not for a client");
      return read_text(pair.far.get()).empty();
    }));
  }
}

// A pipe in the place of the file: it shows at once whether anything was written.
bool pipe_at_two_receives_line(bool open_at_start, int descriptor_flags) {
  return true_in_child([=] {
    const Pipe pipe = testing::open_pipe();
    if (open_at_start) remember_standard_error();
    ::close(STDERR_FILENO);
    if (!open_at_start) remember_standard_error();
    put_at_two(pipe.write.get());
    ::fcntl(STDERR_FILENO, F_SETFD, descriptor_flags);
    log(LogLevel::kError, "not for a database");
    return !shown(pipe.read.get()).empty();
  });
}

BOOST_AUTO_TEST_CASE(file_that_gets_number_two_receives_no_line) {
  BOOST_TEST(!pipe_at_two_receives_line(false, 0));
  BOOST_TEST(!pipe_at_two_receives_line(false, FD_CLOEXEC));
  BOOST_TEST(!pipe_at_two_receives_line(true, FD_CLOEXEC));
  BOOST_TEST(pipe_at_two_receives_line(true, 0), "this is what a redirection looks like");
}

BOOST_AUTO_TEST_CASE(assertion_aborts_although_standard_error_has_no_reader) {
  int status = status_of_child([] {
    ::signal(SIGABRT, SIG_DFL);
    ::signal(SIGPIPE, SIG_DFL);
    break_standard_error();
    POLLARD_ASSERT(false, "the test wants it");
    return 0;
  });
  BOOST_TEST(WIFSIGNALED(status));
  BOOST_TEST(WTERMSIG(status) == SIGABRT);
}

BOOST_AUTO_TEST_CASE(errno_is_kept_by_a_line) {
  BOOST_TEST(true_in_child([] {
    break_standard_error();
    errno = 4242;
    log(LogLevel::kError, "errno is the caller's");
    return errno == 4242;
  }));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
