// Bad days by seed: a table of system calls in front of the one in force (the real kernel's, or a
// simulated one's) that interrupts, shortens, refuses, reorders and delays, each with a probability
// of its own. It does only what a kernel may do, so a program that suffers from it has a fault:
//
//   - What is cut short or refused for now is announced again, also to those who watch for edges,
//     as if the rest had arrived a moment later.
//   - A wait is interrupted only when it found nothing, an interrupted connect goes on, and an
//     interrupted kevent has applied its changes.
//   - A stale event bears the user data of a registration that has ended, as epoll reports it while
//     a duplicate of the closed descriptor lives on.
//
// It also watches the caller: which descriptors it has open, whether it uses or closes one that it
// doesn't own, and whether it waits again and again without anything having happened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/platform/system_calls.h"

namespace pollard::sim {

/// Probabilities from 0 to 1, each for one call.
struct FaultChances {
  double interrupted = 0;     ///< EINTR, wherever the call can give it
  double short_read = 0;      ///< a part of what there is
  double short_write = 0;     ///< a part of what is offered
  double full_buffer = 0;     ///< EAGAIN to a send, with room again at once
  double spurious_event = 0;  ///< a watched descriptor is said to be ready and isn't
  double stale_event = 0;     ///< an event of a registration that has ended (epoll, kqueue)
  double reordered = 0;       ///< the events of a wait in another order (epoll, kqueue)
  double small_batch = 0;     ///< fewer events in a wait than there are (epoll, kqueue)
  double process_limit = 0;   ///< EMFILE, where a descriptor is made
  double system_limit = 0;    ///< ENFILE, likewise
  double no_buffers = 0;      ///< ENOBUFS: socket, accept, connect, send
  double no_memory = 0;       ///< ENOMEM: socket, accept, send, a new registration, poll, select
  double aborted_accept = 0;  ///< ECONNABORTED: the newcomer has gone again
  double reset = 0;           ///< the connection of a recv or send is reset, for both ends
  double stall = 0;           ///< a wait comes back late, by up to FaultOptions::longest_stall
  double clock_jump = 0;      ///< the wall clock (never the monotonic one) jumps, by up to an hour
  double taken_number = 0;  ///< the number of a closed descriptor belongs to somebody else at once
};

/// What befalls, and how often.
struct FaultOptions {
  std::uint64_t seed = 1;                                  ///< of all that is chosen at random
  FaultChances chances = {};                               ///< of each kind
  Duration longest_stall = std::chrono::milliseconds(20);  ///< of those that are drawn
  /// How many lines of trace() are kept, the last ones; zero: no trace.
  std::size_t trace_lines = 0;
};

/// In force while it lives; made before the loops and pollers that it is to befall, destroyed after
/// them. One at a time. One thread at a time: its own is that of the calls.
class Faults {
 public:
  /// In force from here on, over the simulated kernel that is.
  explicit Faults(const FaultOptions& options);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  /// Other probabilities from now on; none, for the kernel as it is. The sequence goes on.
  void set_chances(const FaultChances& chances);

  /// Runs before each wait that is going to sleep: the place of what other threads do meanwhile.
  void set_on_sleep(std::function<void()> on_sleep);

  /// Something happened that these calls don't show: a caller that waits next isn't idle.
  void note_progress();

  /// How often which fault befell, by its name in the trace.
  [[nodiscard]] const std::map<std::string_view, std::uint64_t>& befallen() const;

  /// Calls, results and faults, a line each: `0.012000 recv(7, 4096) = 100  [short read]`.
  [[nodiscard]] const std::deque<std::string>& trace() const;
  /// Adds a line of the caller's own.
  void note(std::string_view line);

  /// System calls so far.
  [[nodiscard]] std::uint64_t calls() const;
  /// Waits for readiness so far.
  [[nodiscard]] std::uint64_t waits() const;
  /// The most waits in a row between which nothing happened: no byte moved, no time passed in
  /// sleep, no fault befell.
  [[nodiscard]] std::uint64_t longest_idling() const;

  /// What was made by these calls and isn't closed: `7 accept4`.
  [[nodiscard]] std::vector<std::string> open_descriptors() const;
  /// What no correct program does: `close(7): not open`.
  [[nodiscard]] const std::vector<std::string>& misuse() const;

 private:
  class Table;
  std::unique_ptr<Table> table_;
};

}  // namespace pollard::sim
