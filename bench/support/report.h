// What a program of the bench says of itself: where it listens, and, at its end, what it has done
// and what processor time that took.
#pragma once

#include <cstdint>

namespace bench {

struct Counts {
  std::uint64_t accepted = 0;
  std::uint64_t bytes = 0;
};

/// "listening on 127.0.0.1:PORT as process PID", at once.
void announce(std::uint16_t port);

/// One line of JSON: the counts, and this process' user_seconds and system_seconds.
void report(const Counts& counts);

}  // namespace bench
