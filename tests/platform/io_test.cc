#include "pollard/platform/io.h"

#include <fcntl.h>
#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sockets.h"

namespace pollard::platform {
namespace {

using testing::Call;
using testing::Faults;
using testing::kForever;
using testing::Pair;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// A connection whose far end is closed, known to be so: the next send is a broken pipe.
Descriptor dead_end() {
  Pair pair = testing::socket_pair();
  pair.far.reset();
  return std::move(pair.near);
}

bool sigpipe_is_pending() {
  sigset_t pending;
  sigemptyset(&pending);
  ::sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

BOOST_AUTO_TEST_SUITE(io)

BOOST_AUTO_TEST_CASE(bytes_arrive_as_they_were_sent) {
  const Pair pair = testing::socket_pair();
  BOOST_TEST(send(pair.near.get(), bytes("hello")).count() == 5U);
  std::array<std::byte, 10> space{};
  const Result got = receive(pair.far.get(), space);
  BOOST_TEST(got.count() == 5U);
  BOOST_TEST(std::string_view(reinterpret_cast<const char*>(space.data()), 5) == "hello");
  BOOST_TEST(receive(pair.far.get(), space).would_block());
}

BOOST_AUTO_TEST_CASE(pieces_arrive_in_order_and_empty_ones_do_not_matter) {
  const Pair pair = testing::socket_pair();
  const std::vector<std::span<const std::byte>> pieces{bytes("one,"), bytes(""), bytes("two,"),
                                                       bytes("three")};
  BOOST_TEST(send_gathered(pair.near.get(), pieces).count() == 13U);
  BOOST_TEST(testing::read_text(pair.far.get()) == "one,two,three");
}

BOOST_AUTO_TEST_CASE(more_pieces_than_fit_are_sent_in_part) {
  const Pair pair = testing::socket_pair();
  const std::vector<std::span<const std::byte>> pieces(3 * kGatherLimit, bytes("x"));
  BOOST_TEST(send_gathered(pair.near.get(), pieces).count() == kGatherLimit);
  BOOST_TEST(testing::read_text(pair.far.get()).size() == kGatherLimit);
}

BOOST_AUTO_TEST_CASE(no_send_raises_a_signal) {
  const Descriptor near = dead_end();
  const Descriptor file = testing::temporary_file();
  const std::vector<std::span<const std::byte>> pieces{bytes("a"), bytes("b")};
  // SIGPIPE has its default here and would end the program.
  BOOST_TEST(send(near.get(), bytes("x")).is(std::errc::broken_pipe));
  BOOST_TEST(send_gathered(near.get(), pieces).is(std::errc::broken_pipe));
  BOOST_TEST(send_file(near.get(), file.get(), 0, 7).is(std::errc::broken_pipe));
  BOOST_TEST(!sigpipe_is_pending());
}

BOOST_AUTO_TEST_CASE(a_signal_that_somebody_else_is_owed_is_not_taken_away) {
  sigset_t pipe_signal;
  sigset_t before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  ::raise(SIGPIPE);
  const Descriptor near = dead_end();
  const Descriptor file = testing::temporary_file();
  BOOST_TEST(send_file(near.get(), file.get(), 0, 7).is(std::errc::broken_pipe));
  BOOST_TEST(sigpipe_is_pending());
  int signal = 0;
  ::sigwait(&pipe_signal, &signal);
  BOOST_TEST(signal == SIGPIPE);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

BOOST_AUTO_TEST_CASE(the_signal_mask_is_as_it_was_after_a_file) {
  const Pair pair = testing::socket_pair();
  const Descriptor file = testing::temporary_file();
  BOOST_TEST(send_file(pair.near.get(), file.get(), 0, 7).count() == 7U);
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  BOOST_TEST(sigismember(&mask, SIGPIPE) == 0);
}

BOOST_AUTO_TEST_CASE(a_part_of_a_file_is_sent_with_and_without_a_call_for_it) {
  for (const std::errc missing :
       {std::errc{}, std::errc::function_not_supported, std::errc::operation_not_permitted,
        std::errc::invalid_argument, std::errc::operation_not_supported, std::errc::not_a_socket}) {
    Faults faults;
    if (missing != std::errc{}) faults.fail(Call::kSendfile, missing, {.times = kForever});
    const Pair pair = testing::socket_pair();
    const Descriptor file = testing::temporary_file("0123456789");
    BOOST_TEST(send_file(pair.near.get(), file.get(), 3, 4).count() == 4U);
    BOOST_TEST(testing::read_text(pair.far.get()) == "3456");
    BOOST_TEST(send_file(pair.near.get(), file.get(), 8, 100).count() == 2U);
    BOOST_TEST(testing::read_text(pair.far.get()) == "89");
    BOOST_TEST(send_file(pair.near.get(), file.get(), 10, 5).count() == 0U, "the end of the file");
    BOOST_TEST(send_file(pair.near.get(), file.get(), 0, 0).count() == 0U);
    BOOST_TEST(testing::read_text(pair.far.get()).empty());
  }
}

// Of the Unix domain: a full TCP socket gets room again whenever the kernel moves what it holds to
// the peer's buffer, which on a busy machine is later than the test looks.
BOOST_AUTO_TEST_CASE(a_file_into_a_full_socket_would_block) {
  for (const bool has_call : {true, false}) {
    Faults faults;
    if (!has_call) {
      faults.fail(Call::kSendfile, std::errc::function_not_supported, {.times = kForever});
    }
    const Pair pair = testing::socket_pair();
    testing::fill(pair.near.get());
    const Descriptor file = testing::temporary_file();
    BOOST_TEST(send_file(pair.near.get(), file.get(), 0, 7).would_block());
  }
}

BOOST_AUTO_TEST_CASE(one_call_for_file_asks_for_at_most_one_gibibyte) {
  std::size_t asked = 0;
  Faults faults;
  faults.replace<&SystemCalls::sendfile>([&](int, int, std::int64_t, std::size_t size) {
    asked = size;
    return static_cast<std::ptrdiff_t>(size);
  });
  constexpr std::size_t kMost = std::size_t{1} << 30U;
  for (const std::size_t size : {kMost, kMost + 1, std::size_t{SIZE_MAX}}) {
    BOOST_TEST(send_file(-1, -1, 0, size).count() == kMost);
    BOOST_TEST(asked == kMost);
  }
  BOOST_TEST(send_file(-1, -1, 0, kMost - 1).count() == kMost - 1);
}

BOOST_AUTO_TEST_CASE(a_file_that_fails_for_another_reason_says_so) {
  Faults faults;
  const Pair pair = testing::socket_pair();
  const Descriptor file = testing::temporary_file();
  faults.fail(Call::kSendfile, std::errc::io_error);
  BOOST_TEST(send_file(pair.near.get(), file.get(), 0, 7).is(std::errc::io_error));
  BOOST_TEST(faults.count(Call::kPread) == 0U);
}

void expect_pipe(const Descriptor& read_end, const Descriptor& write_end) {
  for (const int fd : {read_end.get(), write_end.get()}) {
    BOOST_TEST((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    BOOST_TEST((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  }
  BOOST_TEST(write(write_end.get(), bytes("through")).count() == 7U);
  BOOST_TEST(testing::read_text(read_end.get()) == "through");
}

BOOST_AUTO_TEST_CASE(a_pipe_does_not_block_and_is_not_inherited_with_and_without_pipe2) {
  for (const std::errc missing :
       {std::errc{}, std::errc::function_not_supported, std::errc::operation_not_permitted}) {
    Faults faults;
    if (missing != std::errc{}) faults.fail(Call::kPipe2, missing, {.times = kForever});
    Descriptor read_end;
    Descriptor write_end;
    BOOST_TEST_REQUIRE(open_pipe(read_end, write_end).ok());
    expect_pipe(read_end, write_end);
  }
}

BOOST_AUTO_TEST_CASE(a_pipe_that_cannot_be_made_leaves_nothing) {
  Faults faults;
  faults.fail(Call::kPipe2, std::errc::too_many_files_open);
  Descriptor read_end;
  Descriptor write_end;
  BOOST_TEST(open_pipe(read_end, write_end).is(std::errc::too_many_files_open));
  BOOST_TEST(!read_end);
  BOOST_TEST(!write_end);
  BOOST_TEST(faults.count(Call::kPipe) == 0U);
}

BOOST_AUTO_TEST_CASE(a_file_is_opened_for_reading_or_says_why_not) {
  const Result missing = open_for_reading("/no/such/file");
  BOOST_TEST(missing.is(std::errc::no_such_file_or_directory));
  const Result made = open_for_reading("/dev/null");
  BOOST_TEST_REQUIRE(made.ok());
  const Descriptor fd(made.descriptor());
  BOOST_TEST((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  std::array<std::byte, 4> space{};
  BOOST_TEST(read(fd.get(), space).count() == 0U);
  BOOST_TEST(write(fd.get(), bytes("x")).is(std::errc::bad_file_descriptor));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(descriptor)

BOOST_AUTO_TEST_CASE(a_descriptor_is_closed_by_its_owner_and_once) {
  Faults faults;
  Descriptor first(testing::duplicate(0).release());
  const int number = first.get();
  BOOST_TEST(is_open(number));
  Descriptor second = std::move(first);
  BOOST_TEST(!first);  // NOLINT(bugprone-use-after-move): that it is empty is promised
  BOOST_TEST(second.get() == number);
  Descriptor& same = second;
  second = std::move(same);
  BOOST_TEST(is_open(number));
  second.reset();
  BOOST_TEST(!is_open(number));
  second.reset();
  BOOST_TEST(faults.count(Call::kClose) == 1U);
}

BOOST_AUTO_TEST_CASE(an_interrupted_close_is_not_repeated) {
  Faults faults;
  Descriptor fd = testing::duplicate(0);
  const int number = fd.get();
  faults.fail(Call::kClose, std::errc::interrupted);
  fd.reset();
  BOOST_TEST(faults.count(Call::kClose) == 1U);
  close_descriptor(number);
}

BOOST_AUTO_TEST_CASE(what_is_released_is_not_closed) {
  Descriptor fd = testing::duplicate(0);
  const int number = fd.release();
  BOOST_TEST(!fd);
  fd.reset();
  BOOST_TEST(is_open(number));
  close_descriptor(number);
  BOOST_TEST(!is_open(number));
  BOOST_TEST(!is_open(-1));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
