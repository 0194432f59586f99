#include "support/report.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

namespace bench {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

void announce(std::uint16_t port) {
  std::printf("listening on 127.0.0.1:%u as process %ld\n", unsigned{port}, long{getpid()});
  std::fflush(stdout);
}

void report(const Counts& counts) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"accepted\": %" PRIu64 ", \"bytes\": %" PRIu64
              ", \"user_seconds\": %.6f, \"system_seconds\": %.6f}\n",
              counts.accepted, counts.bytes, seconds(usage.ru_utime), seconds(usage.ru_stime));
}

}  // namespace bench
