// What is fuzzed: functions that take any bytes and assert what has to hold whatever they are. Each
// is a libFuzzer program of its own where POLLARD_BUILD_FUZZERS is set, and fuzz_test runs the kept
// corpus through all of them everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pollard::fuzz {

using Bytes = std::span<const std::uint8_t>;

/// Buffer against a std::string that does the same.
void fuzz_buffer(Bytes bytes);
/// Address::parse of any text, and the way back.
void fuzz_address(Bytes bytes);
/// Codecs: any stream in every cut, and the way back.
void fuzz_codec(Bytes bytes);
/// Lists of pollers, and command lines that hold some.
void fuzz_poller_choice(Bytes bytes);
/// The life of a connection on the simulated kernel: each byte is something that happens.
void fuzz_connection(Bytes bytes);

struct Target {
  std::string_view name;
  void (*run)(Bytes bytes);
};

inline constexpr Target kTargets[] = {
    {"buffer", fuzz_buffer},         {"address", fuzz_address},
    {"codec", fuzz_codec},           {"poller_choice", fuzz_poller_choice},
    {"connection", fuzz_connection},
};

}  // namespace pollard::fuzz
