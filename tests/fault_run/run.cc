#include "pollard/tests/fault_run/run.h"

#include <exception>
#include <new>
#include <system_error>

#include "pollard/net/names/resolver.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::fault_run {
namespace {

// What a scene throws is what a program meets that doesn't catch it: allowed only where something
// failed that may say so.
void play_on(const Scene& scene, const Play& play, sim::Kernel& kernel, Strike& strike,
             Outcome& outcome) {
  const auto problem = [&](const std::string& what) { outcome.problems.push_back(what); };
  try {
    const testing::FailingAllocation failing(play.allocation);
    Stage stage(play, kernel, strike, outcome.problems);
    try {
      scene.play(stage);
    } catch (const std::bad_alloc&) {
      if (play.allocation == 0) problem("the scene throws std::bad_alloc");
    } catch (const std::system_error& error) {
      if (!Stage::may_throw(strike, play))
        problem(std::string("the scene throws: ") + error.what());
    }
    outcome.allocation_failed = play.allocation > 0 && failing.has_failed();
    const Truce truce;  // what is left of the allocations isn't the check's
    stage.finish();
  } catch (const std::bad_alloc&) {
    outcome.allocation_failed = play.allocation > 0;
    if (play.allocation == 0) problem("the loop's constructor throws std::bad_alloc");
  } catch (const std::system_error& error) {
    if (!Stage::may_throw(strike, play)) problem(std::string("throws: ") + error.what());
  } catch (const std::exception& error) {
    problem(std::string("throws what isn't an error of the system: ") + error.what());
  }
}

}  // namespace

Outcome play(const Scene& scene, const Play& play) {
  Outcome outcome;
  sim::Kernel kernel({.send_buffer = 32768, .receive_buffer = 32768});
  {
    Strike strike(kernel, play.blow, play.trace);
    play_on(scene, play, kernel, strike, outcome);
    if (!Resolver::join_left_behind(std::chrono::seconds(60))) {
      outcome.problems.push_back("a thread of a resolver never comes back");
    }
    outcome.calls = strike.calls();
    outcome.struck = strike.struck();
    outcome.trace = strike.trace();
    for (const std::string& misuse : strike.misuse()) outcome.problems.push_back(misuse);
  }
  for (const sim::OpenDescriptor& left : kernel.open_descriptors()) {
    outcome.problems.push_back("left open: " + std::to_string(left.fd) + ' ' + left.what);
  }
  return outcome;
}

}  // namespace pollard::fault_run
