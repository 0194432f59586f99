#include <algorithm>
#include <chrono>

#include "pollard/net/tcp/internal/tcp_connection_parts.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/socket.h"

namespace pollard {

using platform::Operation;
using std::chrono::milliseconds;

namespace {

// A kernel without memory is asked again after 1 ms, then after twice as long each time; half a
// minute in all, and then the connection fails.
constexpr Duration kFirstRetry = milliseconds(1);
constexpr Duration kLongestRetry = milliseconds(1000);
constexpr unsigned kMostRetries = 40;

// How often a half-closed connection is asked whether its peer has reset it.
constexpr Duration kFirstResetCheck = milliseconds(20);
constexpr Duration kLongestResetCheck = milliseconds(5000);

}  // namespace

Duration TcpConnection::Retry::next_delay(Duration first, Duration longest) {
  constexpr unsigned kMostDoublings = 16;
  const Duration delay = first * (1U << std::min(tries, kMostDoublings));
  ++tries;
  return std::min(delay, longest);
}

// Whether the system is short of memory or buffers: then the same call is made again after a while.
// Readiness doesn't say when, for the socket is ready all the time. False when the error is another
// one, or has lasted for too long.
bool TcpConnection::starves(Operation operation, std::error_code error) {
  if (platform::classify(operation, error) != platform::FailureKind::kShortage) return false;
  const bool sends = operation == Operation::kSend;
  Retry& retry = sends ? extras().send_retry : extras().receive_retry;
  if (retry.tries >= kMostRetries) return false;
  const Duration delay = retry.next_delay(kFirstRetry, kLongestRetry);
  retry.timer = loop().after(delay, [this, operation] { try_again(operation); });
  sends ? enter(Sending::kStarves) : enter(Receiving::kStarves);
  update_interest();
  return true;
}

void TcpConnection::try_again(Operation operation) try {
  const bool sends = operation == Operation::kSend;
  sends ? enter(Sending::kFlows) : enter(Receiving::kFlows);
  update_interest();
  sends ? settle() : read_input();
  if (ended()) return;
  const bool again = sends ? sending() == Sending::kStarves : receiving() == Receiving::kStarves;
  if (!again) (sends ? extras_->send_retry : extras_->receive_retry).tries = 0;
} catch (...) {
  out_of_memory();
}

// A level would report the end of the peer's stream for ever, so nothing is watched any more, and
// no event tells of a reset that comes behind that end.
void TcpConnection::watch_for_reset() {
  Retry& check = extras().reset_check;
  if (check.timer.active()) return;
  check.timer = loop().after(check.next_delay(kFirstResetCheck, kLongestResetCheck),
                             [this] { check_for_reset(); });
}

void TcpConnection::check_for_reset() try {
  peer_reset();
  if (!ended()) update_interest();
} catch (...) {
  out_of_memory();
}

}  // namespace pollard
