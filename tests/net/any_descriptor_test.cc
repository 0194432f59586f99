// What is no socket through a Channel: pipes, terminals, files, and what can't be watched says why.
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <string>
#include <system_error>

#include "pollard/net/loop/channel.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// Both ends of a pseudo-terminal that passes bytes on as they are.
struct Terminal {
  Terminal() : master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
    BOOST_TEST_REQUIRE(master.get() >= 0);
    BOOST_TEST_REQUIRE(::grantpt(master.get()) == 0);
    BOOST_TEST_REQUIRE(::unlockpt(master.get()) == 0);
    slave.reset(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    BOOST_TEST_REQUIRE(slave.get() >= 0);
    termios raw{};
    BOOST_TEST_REQUIRE(::tcgetattr(slave.get(), &raw) == 0);
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    raw.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    BOOST_TEST_REQUIRE(::tcsetattr(slave.get(), TCSANOW, &raw) == 0);
  }

  Descriptor master;
  Descriptor slave;
};

void write_all(int fd, std::string_view text) {
  BOOST_TEST_REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

std::string refusal_of(EventLoop& loop, int fd, Trigger trigger = Trigger::kLevel) {
  try {
    const Channel channel(
        loop, fd, Interest::kRead, [](Readiness) {}, trigger);
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "it was watched";
}

POLLARD_EACH_REAL_BACKEND(a_terminal_is_read_by_a_channel_on_either_side, "a terminal") {
  EventLoop loop({.poller = backend});
  const Terminal terminal;
  std::string typed;
  std::string shown;
  const Channel program(loop, terminal.slave.get(), Interest::kRead,
                        [&](Readiness) { typed += read_text(terminal.slave.get()); });
  const Channel screen(loop, terminal.master.get(), Interest::kRead,
                       [&](Readiness) { shown += read_text(terminal.master.get()); });
  write_all(terminal.master.get(), "typed");
  write_all(terminal.slave.get(), "shown");
  run_until(loop, [&] { return typed == "typed" && shown == "shown"; });
  expect_no_spin(loop);
}

POLLARD_EACH_REAL_BACKEND(a_terminal_that_was_hung_up_is_readable_and_its_read_says_so,
                          "a terminal") {
  EventLoop loop({.poller = backend});
  Terminal terminal;
  bool ended = false;
  const Channel program(loop, terminal.slave.get(), Interest::kRead, [&](Readiness) {
    char byte = 0;
    ended = ::read(terminal.slave.get(), &byte, 1) <= 0;
  });
  run_until_idle(loop);
  terminal.master.reset();
  run_until(loop, [&] { return ended; });
}

POLLARD_EACH_BACKEND(a_pipe_is_read_to_its_end_and_written_when_there_is_room) {
  EventLoop loop({.poller = backend});
  Pipe pipe = open_pipe();
  const std::size_t filled = [&] {
    const std::string block(4096, 'x');
    std::size_t total = 0;
    for (std::ptrdiff_t wrote = 0; wrote >= 0;
         wrote = kernel_calls().write(pipe.write.get(), block.data(), 4096)) {
      total += static_cast<std::size_t>(wrote);
    }
    return total;
  }();
  bool has_room = false;
  std::optional<Channel> writer(std::in_place, loop, pipe.write.get(), Interest::kWrite,
                                [&](Readiness) { has_room = true; });
  run_until_idle(loop);
  BOOST_TEST(!has_room);
  std::string heard;
  bool ended = false;
  Channel reader(loop, pipe.read.get(), Interest::kRead, [&](Readiness) {
    const std::string some = read_text(pipe.read.get());
    heard += some;
    ended = some.empty();
  });
  run_until(loop, [&] { return has_room && heard.size() == filled; });
  writer.reset();
  pipe.write.reset();
  run_until(loop, [&] { return ended; });
}

POLLARD_EACH_BACKEND(a_pipe_that_nobody_reads_any_more_is_writable_and_its_write_says_so) {
  EventLoop loop({.poller = backend});
  Pipe pipe = open_pipe();
  bool told = false;
  const Channel writer(loop, pipe.write.get(), Interest::kWrite, [&](Readiness) { told = true; });
  pipe.read.reset();
  run_until(loop, [&] { return told; });
}

POLLARD_EACH_BACKEND(a_regular_file_is_ready_or_refused_with_a_word_on_what_would_work) {
  EventLoop loop({.poller = backend});
  const Descriptor file = temporary_file();
  const std::string number = std::to_string(file.get());
  const std::string refusal = refusal_of(loop, file.get());
  if (refusal != "it was watched") {
    BOOST_TEST(refusal == backend + " can't watch descriptor " + number +
                              " (it watches pipes and sockets; a regular file is always ready: "
                              "read it without waiting; poll or select may watch a device): "
                              "Operation not permitted");
    return;
  }
  bool ready = false;
  const Channel reader(loop, file.get(), Interest::kRead, [&](Readiness) { ready = true; });
  run_until(loop, [&] { return ready; });
}

POLLARD_EACH_BACKEND(what_cant_be_watched_says_why) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  const std::string number = std::to_string(pair.near.get());
  const Channel first(loop, pair.near.get(), Interest::kRead, [](Readiness) {});
  BOOST_TEST(refusal_of(loop, pair.near.get()) ==
             backend + " can't watch descriptor " + number +
                 " (this loop watches it already; one Channel can have both interests): File "
                 "exists");
  BOOST_TEST(refusal_of(loop, 987654) ==
             backend + " can't watch descriptor 987654 (it is not open): Bad file descriptor");
  if (!loop.poller_capabilities().edge_triggered) {
    const std::string far = std::to_string(pair.far.get());
    BOOST_TEST(refusal_of(loop, pair.far.get(), Trigger::kEdge) ==
               backend + " can't watch descriptor " + far + " for edges (it has levels only): " +
                   std::make_error_code(std::errc::operation_not_supported).message());
  }
}

}  // namespace
}  // namespace pollard::testing
