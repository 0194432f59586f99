// What a run is to be like, drawn from its seed.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "pollard/base/clock.h"
#include "pollard/base/random.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/testkit/sim/faults.h"

namespace pollard::chaos {

/// Questions to the seed, in the order in which the run asks them.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::uint64_t up_to(std::uint64_t bound) { return random_.up_to(bound); }
  template <std::unsigned_integral Number>
  Number up_to(Number bound) {
    return random_.up_to(bound);
  }
  bool one_in(std::uint64_t times) { return up_to(times - 1) == 0; }
  /// Up to `bound`, the small ones more often.
  template <std::unsigned_integral Number>
  Number skewed(Number bound) {
    return up_to(up_to(bound));
  }

 private:
  SplitMix64 random_;
};

struct Plan {
  /// Nothing breaks a connection and nothing runs short: every byte has to arrive.
  bool calm = true;

  ConnectionOptions connection = {};  ///< of both sides
  TcpServerOptions server = {};
  bool ipv6 = false;
  bool server_hears_peer_end = false;  ///< has an on_peer_end
  bool restart_server = false;         ///< stopped in the middle, and started again
  bool end_gracefully = true;

  unsigned clients = 1;
  unsigned lives = 1;              ///< connections of each client, one after the other
  std::uint64_t stream_bytes = 0;  ///< that a client sends in a life, at most
  std::size_t message_bytes = 1;   ///< of one send, at most
  bool client_hears_peer_end = false;
  unsigned violence = 0;  ///< one call of a handler in so many breaks something; zero: none
  unsigned pauses = 0;    ///< one message in so many pauses reading; zero: none
  unsigned afar = 0;      ///< one sleep of the loop in so many is used by another thread
  unsigned connectors = 0;
  unsigned timers = 0;

  Duration latency{};  ///< of the simulated network
  std::size_t kernel_buffer = 65536;
  sim::FaultChances faults = {};
  std::uint64_t fault_calls = 0;  ///< after so many calls only what is harmless befalls
};

[[nodiscard]] Plan draw_plan(Dice& dice);

/// Those of `chances` that lose nothing and end nothing.
[[nodiscard]] sim::FaultChances harmless(const sim::FaultChances& chances);

}  // namespace pollard::chaos
