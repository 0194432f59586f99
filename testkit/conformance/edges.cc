// Edges, where they are declared; their refusal elsewhere.
#include <vector>

#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

void edges_are_had_where_they_are_declared_and_refused_elsewhere(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  const auto refused =
      watch->add(pair.near.get(), Interest::kRead, Watch::token(0), Trigger::kEdge);
  if (trial.declared().edge_triggered) {
    trial.expect(refused, std::error_code(), "add with an edge");
  } else {
    trial.expect(refused, std::errc::operation_not_supported, "add with an edge");
    trial.expect(watch->size() == 0U, "a refusal is counted as a registration");
    watch.add(pair.near, Interest::kRead);
  }
}

void an_edge_is_reported_once(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  watch.expect(pair.near, kWritable, "a fresh socket");
  for (const char* data : {"cause", "another"}) {
    write_text(pair.far.get(), data);
    trial.expect(watch.ready(pair.near).readable, "data that arrives is no edge");
    watch.expect_silence("after the edge");
  }
}

void an_edge_that_was_there_before_the_registration_is_reported(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "early");
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  watch.expect(pair.near, kBothWays, "a socket with data and room");
  watch.expect_silence("after the edge");
}

void room_that_comes_back_is_an_edge(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kWrite, Trigger::kEdge);
  watch.expect(pair.near, kWritable, "a fresh socket");
  fill(pair.near.get());
  watch.collect();  // the system may count our own writing as a change of the room
  watch.expect_silence("no room");
  while (!read_text(pair.far.get()).empty()) {
  }
  trial.expect(watch.ready(pair.near, kPatience), kWritable, "a socket with room again");
}

}  // namespace

std::vector<Promise> edge_promises() {
  return {
      POLLARD_PROMISE(kEdges, edges_are_had_where_they_are_declared_and_refused_elsewhere),
      POLLARD_PROMISE(kEdges, an_edge_is_reported_once, Needs::kEdges),
      POLLARD_PROMISE(kEdges, an_edge_that_was_there_before_the_registration_is_reported,
                      Needs::kEdges),
      POLLARD_PROMISE(kEdges, room_that_comes_back_is_an_edge, Needs::kEdges),
  };
}

}  // namespace pollard::conformance
