// What the generator has to say, as one line of JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace load {

/// Of the server's memory, in bytes.
struct Memory {
  std::int64_t before = 0;         ///< with one connection
  std::int64_t idle = 0;           ///< with all of them, and no message yet
  std::int64_t after_traffic = 0;  ///< when each has had a message
};

struct Result {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;  ///< that came back
  std::int64_t nanoseconds = 0;
  std::int64_t server_nanoseconds = 0;   ///< of processor time
  std::vector<std::uint32_t> latencies;  ///< of round trips, in nanoseconds
  std::optional<Memory> memory;
};

void print(Result result);

}  // namespace load
