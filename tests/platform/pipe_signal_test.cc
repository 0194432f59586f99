// SIGPIPE never reaches the process, whichever way a file is sent.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "pollard/platform/io.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sockets.h"

namespace pollard::platform {
namespace {

using testing::Call;
using testing::Faults;
using testing::kForever;
using testing::Pair;

constexpr std::size_t kFileSize = std::size_t{64} << 20U;  // more than a socket's buffers hold

// One in ten times the peer closes between two pieces of one sendfile, where Linux returns a count
// and raises the signal, too.
constexpr int kRounds = 200;

std::atomic<int> pipe_signals{0};

// Counts SIGPIPE while it lives, instead of ending the program.
class CountedPipeSignals {
 public:
  CountedPipeSignals() {
    pipe_signals = 0;
    struct sigaction counting {};
    counting.sa_handler = [](int) { ++pipe_signals; };
    ::sigaction(SIGPIPE, &counting, &before_);
  }
  ~CountedPipeSignals() { ::sigaction(SIGPIPE, &before_, nullptr); }
  CountedPipeSignals(const CountedPipeSignals&) = delete;
  CountedPipeSignals& operator=(const CountedPipeSignals&) = delete;

 private:
  struct sigaction before_ {};
};

// Blocks SIGPIPE in this thread while it lives, and takes away what came.
class BlockedPipeSignal {
 public:
  BlockedPipeSignal() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~BlockedPipeSignal() {
    int signal = 0;
    if (is_pending()) ::sigwait(&set_, &signal);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BlockedPipeSignal(const BlockedPipeSignal&) = delete;
  BlockedPipeSignal& operator=(const BlockedPipeSignal&) = delete;

  static bool is_pending() {
    sigset_t pending;
    sigemptyset(&pending);
    ::sigpending(&pending);
    return sigismember(&pending, SIGPIPE) == 1;
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
};

// A blocking near end with much room: sendfile is in the middle of the file when its peer goes.
Pair blocking_pair() {
  Pair pair = testing::socket_pair();
  static_cast<void>(set_send_buffer(pair.near.get(), static_cast<int>(kFileSize)));
  const int flags = ::fcntl(pair.near.get(), F_GETFL);
  BOOST_TEST_REQUIRE(::fcntl(pair.near.get(), F_SETFL, flags & ~O_NONBLOCK) == 0);
  return pair;
}

// Sends `size` bytes from `offset` until it fails; the peer closes when the first have come.
void send_until_peer_closes(int file, std::uint64_t offset, std::size_t size) {
  Pair pair = blocking_pair();
  std::thread peer([&pair] {
    testing::wait_readable(pair.far.get());
    pair.far.reset();
  });
  std::size_t sent = 0;
  for (;;) {
    const Result result = send_file(pair.near.get(), file, offset + sent, size - sent);
    if (!result.ok()) {
      const bool is_peers =
          result.is(std::errc::broken_pipe) || result.is(std::errc::connection_reset);
      BOOST_TEST(is_peers, result.error().message());
      break;
    }
    sent += result.count();
  }
  peer.join();
  BOOST_TEST(sent > 0U);
  BOOST_TEST(sent < size);
}

void send_each_way() {
  const Descriptor file = testing::temporary_file();
  BOOST_TEST_REQUIRE(::ftruncate(file.get(), kFileSize) == 0);
  for (const bool has_call : {true, false}) {
    for (const std::uint64_t offset : {0U, 12'345U}) {
      BOOST_TEST_CONTEXT("sendfile exists: " << has_call << ", from " << offset) {
        Faults faults;
        if (!has_call) {
          faults.fail(Call::kSendfile, std::errc::function_not_supported, {.times = kForever});
        }
        for (int round = 0; round < (has_call ? kRounds : 3); ++round) {
          send_until_peer_closes(file.get(), offset, kFileSize - offset);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE(pipe_signal)

BOOST_AUTO_TEST_CASE(peer_that_closes_within_file_raises_no_signal) {
  const CountedPipeSignals counted;
  send_each_way();
  BOOST_TEST(pipe_signals == 0);
}

BOOST_AUTO_TEST_CASE(peer_that_closes_within_file_leaves_no_signal_pending) {
  const BlockedPipeSignal blocked;
  send_each_way();
  BOOST_TEST(!BlockedPipeSignal::is_pending());
}

BOOST_AUTO_TEST_CASE(file_that_ends_early_or_peer_without_room_leaves_mask_as_it_was) {
  const Pair pair = testing::socket_pair();
  const Descriptor file = testing::temporary_file("0123");
  BOOST_TEST(send_file(pair.near.get(), file.get(), 0, 100).count() == 4U);
  testing::fill(pair.near.get());
  BOOST_TEST(send_file(pair.near.get(), file.get(), 0, 4).would_block());
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  BOOST_TEST(sigismember(&mask, SIGPIPE) == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
