// What the load generator is to do.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace load {

enum class Work : std::uint8_t {
  kRoundTrips,  ///< each connection sends a message when the echo of its last one has come
  kRounds,      ///< likewise, but all of them begin their next message together
  kStreams,     ///< each connection sends what it can, and receives what comes
  kShort,       ///< each connection has one round trip; then it ends, and the next one begins
  kMemory,      ///< what the server's connections hold: idle, and after a message each
};

struct Options {
  std::uint16_t port = 0;
  pid_t server = 0;  ///< whose processor time and memory are reported; zero: nobody's
  Work work = Work::kRoundTrips;
  std::size_t connections = 1;
  std::size_t idle = 0;  ///< connections beside those, which are silent
  std::size_t size = 16;
  std::uint64_t messages = 1000;  ///< of each connection; short connections: in all
  std::uint64_t warm_up = 1;      ///< messages of each connection before anything is measured
  std::size_t window = std::size_t{256} * 1024;  ///< bytes of a stream that may be under way
  bool verify = false;                           ///< compare every byte
  bool latency = false;                          ///< report percentiles of the round trips' times
};

/// Ends the program for --help and for what it can't read.
Options read_options(int argc, char** argv);

}  // namespace load
