// The load generator of the bench: one loop of its own, for all servers alike. What it measures of
// a server lies between two readings, after the connections are made and have warmed up.
#include <utility>
#include <vector>

#include "load/now.h"
#include "load/options.h"
#include "load/result.h"
#include "load/round_trips.h"
#include "load/server_process.h"
#include "load/short_connections.h"
#include "load/sockets.h"
#include "load/streams.h"

namespace {

using load::Options;
using load::Result;

/// The time that `work` takes, and the server's processor time in it.
template <class Work>
void measure(const load::ServerProcess& server, Result& result, Work work) {
  const std::int64_t server_began = server.processor_time();
  const std::int64_t began = load::now();
  work();
  result.nanoseconds = load::now() - began;
  result.server_nanoseconds = server.processor_time() - server_began;
}

Result round_trips(const Options& options, const load::ServerProcess& server) {
  load::RoundTrips trips(options);
  trips.run(options.warm_up);
  Result result;
  result.messages = options.messages * options.connections;
  if (options.latency) trips.measure_latency(result.messages);
  const std::uint64_t bytes_before = trips.bytes();
  measure(server, result, [&] {
    if (options.work == load::Work::kRoundTrips) return trips.run(options.messages);
    for (std::uint64_t round = 0; round < options.messages; ++round) trips.run(1);
  });
  result.bytes = trips.bytes() - bytes_before;
  result.latencies = std::move(trips.latencies());
  return result;
}

Result streams(const Options& options, const load::ServerProcess& server) {
  load::Streams streams(options);
  streams.run(options.warm_up * options.size);
  Result result;
  const std::uint64_t bytes_before = streams.bytes();
  measure(server, result, [&] { streams.run(options.messages * options.size); });
  result.bytes = streams.bytes() - bytes_before;
  result.messages = result.bytes / options.size;
  return result;
}

Result short_connections(const Options& options, const load::ServerProcess& server) {
  load::ShortConnections connections(options);
  connections.run(options.warm_up);
  Result result;
  const std::uint64_t bytes_before = connections.bytes();
  measure(server, result, [&] { connections.run(options.messages); });
  result.bytes = connections.bytes() - bytes_before;
  result.messages = options.messages;
  return result;
}

Result memory(const Options& options, const load::ServerProcess& server) {
  load::RoundTrips first([&] {
    Options one = options;
    one.connections = 1;
    return one;
  }());
  first.run(options.warm_up);
  load::Memory memory;
  memory.before = server.memory();
  Result result;
  measure(server, result, [&] {
    load::RoundTrips trips(options);
    trips.run_last();
    memory.idle = server.memory();
    trips.run(1);
    memory.after_traffic = server.memory();
    result.bytes = trips.bytes();
  });
  result.messages = options.connections + 1;
  result.memory = memory;
  return result;
}

Result run(const Options& options, const load::ServerProcess& server) {
  switch (options.work) {
    case load::Work::kRoundTrips:
    case load::Work::kRounds: return round_trips(options, server);
    case load::Work::kStreams: return streams(options, server);
    case load::Work::kShort: return short_connections(options, server);
    case load::Work::kMemory: return memory(options, server);
  }
  return {};
}

/// Connections that are silent, for as long as the program runs.
void open_idle(const Options& options) {
  if (options.idle == 0) return;
  Options idle = options;
  idle.connections = options.idle;
  static load::RoundTrips connections(idle);
  connections.run_last();
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = load::read_options(argc, argv);
  const load::ServerProcess server(options.server);
  open_idle(options);
  load::print(run(options, server));
}
