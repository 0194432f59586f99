#include "load/result.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>

namespace load {
namespace {

// As a curve: from the median to the slowest few.
constexpr std::array kPercentiles = {0.0,  10.0, 20.0, 30.0, 40.0, 50.0, 60.0,  70.0, 80.0,
                                     90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0};

void print_latencies(std::vector<std::uint32_t>& times) {
  std::sort(times.begin(), times.end());
  std::printf(", \"latency\": {");
  const char* comma = "";
  for (const double percentile : kPercentiles) {
    const auto last = static_cast<double>(times.size() - 1);
    const auto at = static_cast<std::size_t>(last * percentile / 100);
    std::printf("%s\"%g\": %" PRIu32, comma, percentile, times[at]);
    comma = ", ";
  }
  std::printf("}");
}

}  // namespace

void print(Result result) {
  std::printf("{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"nanoseconds\": %" PRId64
              ", \"server_nanoseconds\": %" PRId64,
              result.messages, result.bytes, result.nanoseconds, result.server_nanoseconds);
  if (result.memory) {
    std::printf(", \"memory\": {\"before\": %" PRId64 ", \"idle\": %" PRId64
                ", \"after_traffic\": %" PRId64 "}",
                result.memory->before, result.memory->idle, result.memory->after_traffic);
  }
  if (!result.latencies.empty()) print_latencies(result.latencies);
  std::printf("}\n");
}

}  // namespace load
