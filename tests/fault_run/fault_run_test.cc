// A part of the fault run, in the processes that the sanitizers watch. The program `fault_run`
// plays all of it.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>

#include "pollard/base/log.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/socket.h"
#include "pollard/poller/registry.h"
#include "pollard/tests/fault_run/sweep.h"
#include "pollard/tests/support/watchdog.h"

namespace pollard::fault_run {
namespace {

struct Muted {
  Muted() {
    set_log_sink([](LogLevel, std::string_view) {});
  }
  ~Muted() { set_log_sink({}); }
};

std::string text_of(const Outcome& outcome) {
  std::string text;
  for (const std::string& problem : outcome.problems) text += "\n  " + problem;
  return text;
}

BOOST_FIXTURE_TEST_SUITE(fault_run, Muted)

BOOST_AUTO_TEST_CASE(each_scene_succeeds_without_a_failure_on_each_backend) {
  testing::allow_time(std::chrono::seconds(60));
  for (const PollerBackend& entry : registered_pollers()) {
    for (const Scene& scene : scenes()) {
      const Outcome outcome = play(scene, {.poller = entry.name});
      BOOST_TEST(outcome.problems.empty(), arguments_of(scene, entry.name, {}) << text_of(outcome));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_scene_makes_the_same_calls_each_time) {
  for (const Scene& scene : scenes()) {
    if (scene.threads) continue;
    const Outcome one = play(scene, {.poller = "poll"});
    const Outcome other = play(scene, {.poller = "poll"});
    BOOST_TEST((one.calls == other.calls), std::string(scene.name));
  }
}

// One error for each call, and every third allocation. The program plays all of them.
BOOST_AUTO_TEST_CASE(each_scene_keeps_its_promises_whichever_call_fails) {
  testing::allow_time(std::chrono::seconds(300));
  for (const PollerBackend& entry : registered_pollers()) {
    for (const Scene& scene : scenes()) {
      sweep(scene, {.poller = entry.name, .one_error = true},
            {.on_case = [](const Case&) { return true; },
             .on_outcome =
                 [&](const Case& one, const Outcome& outcome) {
                   if (outcome.problems.empty()) return;
                   BOOST_ERROR(arguments_of(scene, entry.name, one) << text_of(outcome));
                 }});
    }
  }
}

// ---- What the stage notices ----

std::string problem_of(void (*play_scene)(Stage&), Play what = {.poller = "poll"}) {
  const Outcome outcome = play({.name = "a test's", .about = "", .play = play_scene}, what);
  return outcome.problems.empty() ? "" : outcome.problems.front();
}

BOOST_AUTO_TEST_CASE(descriptor_left_open_is_problem) {
  const std::string problem = problem_of(
      [](Stage&) { static_cast<void>(platform::open_stream_socket(platform::Family::kIpv4)); });
  BOOST_TEST(problem.starts_with("left open"), problem);
}

BOOST_AUTO_TEST_CASE(descriptor_closed_twice_is_problem) {
  const std::string problem = problem_of([](Stage&) {
    const int fd = platform::open_stream_socket(platform::Family::kIpv4).descriptor();
    platform::close_descriptor(fd);
    platform::close_descriptor(fd);
  });
  BOOST_TEST(problem.find("isn't open") != std::string::npos, problem);
}

BOOST_AUTO_TEST_CASE(scene_without_end_is_problem) {
  const std::string problem =
      problem_of([](Stage& stage) { stage.until("the end of time", [] { return false; }); });
  BOOST_TEST(problem == "hangs: the end of time");
}

BOOST_AUTO_TEST_CASE(loop_that_never_sleeps_is_problem) {
  const std::string problem = problem_of(
      [](Stage& stage) {
        Task again;
        again = [&] { stage.loop().post([&] { again(); }); };
        again();
        stage.until("the end of time", [] { return false; });
      },
      {.poller = "poll", .most_calls = 1000});
  BOOST_TEST(problem.starts_with("spins"), problem);
}

BOOST_AUTO_TEST_CASE(exception_without_failure_is_problem) {
  const std::string problem = problem_of(
      [](Stage&) { throw std::system_error(std::make_error_code(std::errc::io_error), "I"); });
  BOOST_TEST(problem.starts_with("the scene throws: I"), problem);
}

BOOST_AUTO_TEST_CASE(connection_without_end_is_problem) {
  const std::string problem = problem_of([](Stage& stage) {
    Account& account = stage.account("a server");
    const ConnectionHandlers handlers = account.handlers();
    TcpServer server(stage.loop(), Address::loopback(0),
                     {.on_connect = [&](const TcpConnectionPtr& connection) {
                       handlers.on_connect(connection);
                     }});
    server.start();
    static_cast<void>(stage.connect(server.address()));
    stage.until("a connection", [&] { return account.connects() == 1; });
  });
  BOOST_TEST(problem == "a server: 1 connections have no on_disconnect");
}

BOOST_AUTO_TEST_CASE(blow_strikes_the_call_that_it_names) {
  const Scene& scene = scenes().front();
  const Outcome calm = play(scene, {.poller = "poll"});
  const auto receive = std::ranges::find(calm.calls, Kind::kRecv);
  BOOST_TEST_REQUIRE((receive != calm.calls.end()));
  const auto number = static_cast<std::uint64_t>(receive - calm.calls.begin()) + 1;
  const Outcome struck =
      play(scene, {.poller = "poll", .blow = {.call = number, .error = ECONNRESET}});
  BOOST_TEST((struck.struck == Kind::kRecv));
  BOOST_TEST(struck.problems.empty(), text_of(struck));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::fault_run
