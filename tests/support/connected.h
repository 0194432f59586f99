// A connection of the library's with a raw socket as its peer, so that what the peer does, and
// when, is exact. All in one thread: the loop turns only while a test waits for something.
#pragma once

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/internal/connection_group.h"
#include "pollard/net/tcp/tcp_connection.h"
#include "pollard/platform/time.h"
#include "pollard/testkit/sockets.h"
#include "pollard/tests/support/each_backend.h"

namespace pollard::testing {

using namespace std::chrono_literals;

/// The trigger of a BackendCase, as an option of connections.
inline TriggerChoice choice_of(const BackendCase& backend) {
  return backend.trigger == Trigger::kEdge ? TriggerChoice::kEdge : TriggerChoice::kLevel;
}

/// Returns a time that is enough for everything but a lost event: ten seconds, or, where time is
/// virtual and packets may be slow, an hour.
Duration long_enough();

/// Turns the loop until `done`, or fails the test after long_enough().
template <class Done>
void run_until(EventLoop& loop, Done done) {
  const MonotonicTime deadline = platform::monotonic_now() + long_enough();
  while (!done()) {
    BOOST_REQUIRE_MESSAGE(platform::monotonic_now() < deadline, "what was waited for never came");
    static_cast<void>(loop.run_once(5ms));
  }
}

/// Whether what is sent over the loopback interface has arrived when the call returns, as on Linux.
/// The BSDs leave it to another thread of the kernel.
bool loopback_delivers_at_once();

/// Why several listeners of one port can't share its connections evenly here; empty where they can.
std::string why_no_balancing();

/// Lets what is on its way arrive: in a simulated kernel at once. Returns how long the next turn of
/// the loop has to wait for it on a real one.
Duration let_arrive();

/// Turns the loop until it has nothing left to do but to wait, and nothing is on its way to it.
void run_until_idle(EventLoop& loop);

/// The loop has nothing to do, and sleeps: so long, in so many waits at the most.
void expect_no_spin(EventLoop& loop, Duration time = 20ms, std::uint64_t most_waits = 4);

/// What the handlers of connections were told: "connect, message, peer end, disconnect peer".
/// Messages in a row are one; their bytes are in `received`.
class Journal {
 public:
  void note(std::string what);
  [[nodiscard]] bool has(std::string_view what) const { return count(what) > 0; }
  [[nodiscard]] std::size_t count(std::string_view what) const;
  [[nodiscard]] std::string text() const;

  /// All that a connection tells, but for on_peer_end, whose presence changes what happens.
  [[nodiscard]] ConnectionHandlers handlers();

  std::string received;

 private:
  std::vector<std::string> notes_;
};

class Connected {
 public:
  explicit Connected(const BackendCase& backend, Pair pair = tcp_pair(),
                     EventLoopOptions loop_options = {});

  /// Makes a connection of the near socket, with `handlers` and `options` as they are by then.
  void open();

  /// Sends from the peer, turning the loop while the way is full.
  void say(std::string_view text);
  /// The same, until the connection is broken at the latest.
  void say_as_much_as_is_taken(std::string_view text);
  /// What the peer receives, until it is so much.
  std::string hear(std::size_t count);
  /// Whatever the peer receives before the end of its stream, or an error.
  std::string hear_to_the_end();
  /// Ends the peer's stream; it goes on hearing.
  void end_peer();
  void reset_peer() { reset_connection(peer); }

  template <class Done>
  void until(Done done) {
    run_until(loop, std::move(done));
  }
  void until_closed() {
    until([this] { return group->open_count() == 0; });
  }

  Journal journal;
  ConnectionHandlers handlers = journal.handlers();
  ConnectionOptions options;
  EventLoop loop;  // after what it may still call when it ends
  std::shared_ptr<ConnectionGroup> group;
  TcpConnectionPtr connection;  // null when on_connect has ended it
  Descriptor near;              // until open()
  Descriptor peer;
};

/// What a read of a raw socket would meet now.
enum class Meets : unsigned char { kNothing, kData, kEnd, kError };
[[nodiscard]] Meets peek(int fd);
std::ostream& operator<<(std::ostream& out, Meets meets);

/// Connects, and waits for it.
[[nodiscard]] Descriptor connect_to(const Address& address);

/// Whether somebody waits to be accepted.
[[nodiscard]] bool has_newcomer(const Listener& listener);

/// As much as fits; how much did.
std::size_t write_some(int fd, std::string_view text);

/// Sends a few bytes to a peer that may have reset the connection by now, as it may at any moment.
void say_unless_reset(int fd, std::string_view text);

/// Ends the sending side: shutdown(2).
void end_sending(int fd);

/// One byte of urgent data (send(2), MSG_OOB).
void send_urgent(int fd, char byte);

/// Small receive and send buffers, so that little fills them.
void shrink_buffers(int fd, int bytes = 65536);

/// Makes the send buffer 64 KiB long at least, so that so much leaves in one call.
void give_room(int fd);

/// Sends text and a descriptor along with it (unix(7), SCM_RIGHTS).
void send_descriptor(int fd, std::string_view text, int passed);

/// How many descriptors this process has.
[[nodiscard]] std::size_t open_descriptors();

/// Bytes that are all different enough: position and seed tell each.
[[nodiscard]] std::string pattern(std::size_t size, unsigned seed = 1);

}  // namespace pollard::testing

namespace boost::test_tools::tt_detail {

template <>
struct print_log_value<std::errc> {
  void operator()(std::ostream& out, std::errc code) { out << std::make_error_code(code); }
};

template <>
struct print_log_value<pollard::Error> {
  void operator()(std::ostream& out, pollard::Error code) { out << make_error_code(code); }
};

}  // namespace boost::test_tools::tt_detail
