// Connects to whichever of several addresses answers first ("Happy Eyeballs", RFC 8305): they are
// tried one after the other, each with a head start before the next; when one fails the next begins
// at once; the first that connects wins, and the others' sockets are closed.
//
//     kReady ──start──▶ kRunning ──▶ kEnded (on_end, or the destructor)
#pragma once

#include <chrono>
#include <memory>
#include <system_error>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/address.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/platform/descriptor.h"

namespace pollard {

/// How a race is run.
struct RaceOptions {
  /// How long an address has before the next is tried beside it: the "connection attempt delay" of
  /// RFC 8305 5.
  Duration connection_attempt_delay = std::chrono::milliseconds(250);
  /// An address that hasn't answered by then has failed with timed_out.
  Duration connect_timeout = std::chrono::seconds(10);
  /// Where to connect from (bind(2)); empty: the system chooses. With port 0 the kernel chooses a
  /// port for each destination, where it can (platform::set_bind_address_no_port). An address of
  /// another family has failed with address_family_not_supported.
  Address local = {};
};

/// How a race ended.
struct RaceResult {
  platform::Descriptor socket;        ///< connected; none when all have failed
  Address winner;                     ///< empty when all have failed
  std::vector<FailedAddress> failed;  ///< in the order in which they failed
  /// Sockets that met themselves (Error::kSelfConnect). While they are open their port is taken,
  /// and another attempt gets another one.
  std::vector<platform::Descriptor> self_connected;
};

/// The addresses in the order of RFC 8305 4: the families in turn, beginning with that of the first
/// one, and each family's in the order given.
[[nodiscard]] std::vector<Address> interleave_families(std::vector<Address> addresses);

/// One race. The loop's thread, which each function asserts; may be destroyed at any time, also by
/// its own handlers, none of which runs afterwards.
class AddressRace {
 public:
  /// What a race calls, in the loop's thread.
  struct Handlers {
    /// Reports the result: once, also while start() runs, unless the loop ends before.
    MoveFunction<void(RaceResult)> on_end;
    /// A socket was made for this address and is about to connect: the time for options such as the
    /// size of its receive buffer, which the handshake tells the peer (RFC 7323 2.2). What it
    /// throws goes to EventLoop::report_exception, and the address has failed with
    /// operation_canceled.
    MoveFunction<void(int fd, const Address&)> on_socket = {};
  };

  /// `addresses`, at least one, are tried in the order given.
  AddressRace(EventLoop& loop, std::vector<Address> addresses, Handlers handlers,
              const RaceOptions& options);
  ~AddressRace();
  AddressRace(const AddressRace&) = delete;
  AddressRace& operator=(const AddressRace&) = delete;

  /// Begins, once.
  void start();

 private:
  class Runner;
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace pollard
