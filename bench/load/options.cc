#include "load/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>
#include <string>

#include "load/payload.h"

namespace load {

Options read_options(int argc, char** argv) {
  Options options;
  const std::map<std::string, Work> works{{"round-trips", Work::kRoundTrips},
                                          {"rounds", Work::kRounds},
                                          {"streams", Work::kStreams},
                                          {"short", Work::kShort},
                                          {"memory", Work::kMemory}};
  CLI::App app("Gives an echo server on 127.0.0.1 work, and says what it took, as JSON.");
  app.add_option("--port", options.port)->required();
  app.add_option("--server", options.server, "the process whose time and memory are reported");
  app.add_option("--work", options.work, "round-trips, rounds, streams, short or memory")
      ->transform(CLI::CheckedTransformer(works));
  const CLI::Range positive(std::uint64_t{1}, std::uint64_t{1} << 40U);
  app.add_option("--connections", options.connections)->check(positive);
  app.add_option("--idle", options.idle, "silent connections beside those");
  app.add_option("--size", options.size, "bytes of a message")
      ->check(CLI::Range(std::size_t{1}, Payload::kLongest));
  app.add_option("--messages", options.messages, "of each connection; short ones: in all")
      ->check(positive);
  app.add_option("--warm-up", options.warm_up, "messages of each before anything is measured");
  app.add_option("--window", options.window, "bytes of a stream that may be under way")
      ->check(positive);
  app.add_flag("--verify", options.verify, "compare every byte");
  app.add_flag("--latency", options.latency, "report percentiles of the round trips' times");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

}  // namespace load
