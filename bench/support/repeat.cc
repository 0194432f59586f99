#include "support/repeat.h"

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace bench {
namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

RepeatOptions read_repeat_options(int argc, char** argv, const std::vector<std::string>& works,
                                  RepeatOptions options) {
  options.work = works.front();
  CLI::App app("Does one thing many times over.");
  app.add_option("--work", options.work, "what")->check(CLI::IsMember(works));
  app.add_option("--count", options.count, "of the things that are worked on")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 24U));
  app.add_option("--repeat", options.repeat, "how often");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

Stopwatch::Stopwatch()
    : began_(read_clock(CLOCK_MONOTONIC)), processor_began_(read_clock(CLOCK_PROCESS_CPUTIME_ID)) {}

void Stopwatch::report(std::uint64_t done) const {
  std::printf("{\"done\": %" PRIu64 ", \"nanoseconds\": %" PRId64
              ", \"processor_nanoseconds\": %" PRId64 "}\n",
              done, read_clock(CLOCK_MONOTONIC) - began_,
              read_clock(CLOCK_PROCESS_CPUTIME_ID) - processor_began_);
}

}  // namespace bench
