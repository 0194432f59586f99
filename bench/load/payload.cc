#include "load/payload.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace load {

Payload::Payload(bool verify) : verify_(verify), table_(kPeriod + kLongest, 'x') {
  std::mt19937 random(1);
  for (std::size_t i = 0; i < kPeriod; ++i) table_[i] = static_cast<char>(random());
  for (std::size_t i = kPeriod; i < table_.size(); ++i) table_[i] = table_[i - kPeriod];
}

void Payload::check(std::size_t connection, std::uint64_t position,
                    std::string_view received) const {
  if (!verify_ || bytes(connection, position, received.size()) == received) return;
  std::fprintf(stderr,
               "connection %zu got other bytes back than it sent, behind byte %" PRIu64 "\n",
               connection, position);
  std::exit(1);
}

}  // namespace load
