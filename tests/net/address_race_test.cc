// Races of addresses: who starts when, who wins, and that the losers are gone.
#include "pollard/net/tcp/internal/address_race.h"

#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

// A race, and what it did so far. Time passes when a test says so.
struct Racing {
  explicit Racing(const std::string& backend) : loop({.poller = backend}) {}

  void start(std::vector<Address> addresses, const RaceOptions& options = {}) {
    race.emplace(
        loop, std::move(addresses),
        AddressRace::Handlers{.on_end =
                                  [this](RaceResult how) {
                                    BOOST_TEST(!result.has_value(), "a race ends once");
                                    result = std::move(how);
                                  },
                              .on_socket = [this](int, const Address& it) { tried.push_back(it); }},
        options);
    race->start();
    run_until_idle(loop);
  }
  void pass(Duration time) {
    clock.advance(time);
    run_until_idle(loop);
  }
  void until_tried(std::size_t count) {
    run_until(loop, [&] { return tried.size() == count; });
  }
  void until_ended() {
    run_until(loop, [&] { return result.has_value(); });
  }

  Faults faults;
  StoppedClock clock{faults};
  EventLoop loop;
  std::vector<Address> tried;
  std::optional<RaceResult> result;
  std::optional<AddressRace> race;
};

Address refusing() { return Address(refusing_endpoint()); }

std::vector<Address> parse_all(std::initializer_list<const char*> texts) {
  std::vector<Address> addresses;
  for (const char* text : texts) addresses.push_back(Address::parse(text));
  return addresses;
}

BOOST_AUTO_TEST_SUITE(interleaving)

BOOST_AUTO_TEST_CASE(families_take_turns_beginning_with_that_of_the_first) {
  BOOST_TEST((interleave_families(parse_all({"[::1]:1", "[::2]:1", "[::3]:1", "0.0.0.1:1"})) ==
              parse_all({"[::1]:1", "0.0.0.1:1", "[::2]:1", "[::3]:1"})));
  BOOST_TEST((interleave_families(parse_all({"0.0.0.1:1", "0.0.0.2:1", "[::1]:1", "[::2]:1"})) ==
              parse_all({"0.0.0.1:1", "[::1]:1", "0.0.0.2:1", "[::2]:1"})));
  BOOST_TEST((interleave_families(parse_all({"0.0.0.1:1", "[::1]:1", "[::2]:1", "[::3]:1"})) ==
              parse_all({"0.0.0.1:1", "[::1]:1", "[::2]:1", "[::3]:1"})));
}

BOOST_AUTO_TEST_CASE(one_family_stays_as_it_is) {
  const std::vector<Address> one = parse_all({"0.0.0.3:1", "0.0.0.1:1", "0.0.0.2:1"});
  BOOST_TEST((interleave_families(one) == one));
  BOOST_TEST(interleave_families({}).empty());
}

BOOST_AUTO_TEST_SUITE_END()

POLLARD_EACH_BACKEND(the_first_that_answers_in_time_races_alone) {
  const Listener first = listen_on_loopback();
  const Listener second = listen_on_loopback();
  Racing one(backend);
  one.start({Address(first.endpoint), Address(second.endpoint)});
  one.until_ended();
  BOOST_TEST(static_cast<bool>(one.result->socket));
  BOOST_TEST((one.result->winner == Address(first.endpoint)));
  BOOST_TEST(one.result->failed.empty());
  one.pass(1h);
  BOOST_TEST(one.tried.size() == 1U);
  BOOST_TEST(!has_newcomer(second));
  BOOST_TEST(one.loop.stats().watched == 1U);
}

POLLARD_EACH_BACKEND(the_next_begins_after_the_head_start_and_not_before) {
  const SilentListener silent;
  const SilentListener silent_too;
  const Listener third = listen_on_loopback();
  Racing one(backend);
  const std::size_t before = open_descriptors();
  one.start({Address(silent.listener.endpoint), Address(silent_too.listener.endpoint),
             Address(third.endpoint)},
            {.connection_attempt_delay = 250ms});
  BOOST_TEST(one.tried.size() == 1U);
  one.pass(250ms - 1ns);
  BOOST_TEST(one.tried.size() == 1U);
  one.pass(1ns);
  BOOST_TEST(one.tried.size() == 2U);
  one.pass(250ms - 1ns);
  BOOST_TEST(one.tried.size() == 2U);
  BOOST_TEST(open_descriptors() == before + 2);
  one.pass(1ns);
  one.until_ended();
  BOOST_TEST((one.result->winner == Address(third.endpoint)));
  BOOST_TEST(one.result->failed.empty(), "who loses hasn't failed");
  BOOST_TEST(open_descriptors() == before + 1, "the losers are closed");
  BOOST_TEST(one.loop.stats().watched == 1U);
}

POLLARD_EACH_BACKEND(a_winner_ends_the_attempts_that_began_before_and_after_it) {
  const SilentListener silent;
  const Listener second = listen_on_loopback();
  const SilentListener third;
  Racing one(backend);
  const std::size_t before = open_descriptors();
  one.start({Address(silent.listener.endpoint), Address(second.endpoint),
             Address(third.listener.endpoint)},
            {.connection_attempt_delay = Duration::zero()});
  one.until_ended();
  BOOST_TEST((one.result->winner == Address(second.endpoint)));
  BOOST_TEST(open_descriptors() == before + 1);
  const std::size_t tried = one.tried.size();
  one.pass(1h);
  BOOST_TEST(one.tried.size() == tried);
}

POLLARD_EACH_BACKEND(when_one_fails_the_next_begins_at_once_with_its_own_head_start) {
  const SilentListener silent;
  const Listener last = listen_on_loopback();
  Racing one(backend);
  const Address refused = refusing();
  one.start({refused, Address(silent.listener.endpoint), Address(last.endpoint)});
  one.until_tried(2);
  one.pass(250ms - 1ns);
  BOOST_TEST(one.tried.size() == 2U);
  one.pass(1ns);
  one.until_ended();
  BOOST_TEST((one.result->winner == Address(last.endpoint)));
  BOOST_TEST_REQUIRE(one.result->failed.size() == 1U);
  BOOST_TEST((one.result->failed[0].address == refused));
  BOOST_TEST(one.result->failed[0].error == std::errc::connection_refused);
}

POLLARD_EACH_BACKEND(a_late_failure_begins_the_next_although_another_still_runs) {
  const SilentListener silent;
  const Listener last = listen_on_loopback();
  Racing one(backend);
  one.start({Address(silent.listener.endpoint), refusing(), Address(last.endpoint)});
  one.pass(250ms);
  one.until_ended();
  BOOST_TEST((one.result->winner == Address(last.endpoint)));
  BOOST_TEST(one.tried.size() == 3U);
}

POLLARD_EACH_BACKEND(what_fails_at_once_costs_no_time) {
  const Listener last = listen_on_loopback();
  Racing one(backend);
  one.faults.fail(Call::kConnect, std::errc::network_unreachable, {.times = 2});
  const Address first = refusing();
  const Address second = refusing();
  one.start({first, second, Address(last.endpoint)});
  one.until_ended();
  BOOST_TEST((one.result->winner == Address(last.endpoint)));
  BOOST_TEST_REQUIRE(one.result->failed.size() == 2U);
  BOOST_TEST(one.result->failed[1].error == std::errc::network_unreachable);
}

POLLARD_EACH_BACKEND(when_all_fail_each_is_told_with_its_error) {
  const SilentListener silent;
  Racing one(backend);
  const std::size_t before = open_descriptors();
  const Address refused = refusing();
  const Address quiet(silent.listener.endpoint);
  one.start({quiet, refused}, {.connect_timeout = 10s});
  one.pass(250ms);
  one.until_tried(2);
  run_until_idle(one.loop);
  one.pass(10s - 250ms - 1ns);
  BOOST_TEST(!one.result.has_value());
  one.pass(1ns);
  BOOST_TEST_REQUIRE(one.result.has_value());
  BOOST_TEST(!one.result->socket);
  BOOST_TEST_REQUIRE(one.result->failed.size() == 2U);
  BOOST_TEST((one.result->failed[0].address == refused));
  BOOST_TEST(one.result->failed[0].error == std::errc::connection_refused);
  BOOST_TEST((one.result->failed[1].address == quiet));
  BOOST_TEST(one.result->failed[1].error == std::errc::timed_out);
  BOOST_TEST(open_descriptors() == before);
}

POLLARD_EACH_BACKEND(each_address_has_its_own_time) {
  const SilentListener first;
  const SilentListener second;
  Racing one(backend);
  one.start({Address(first.listener.endpoint), Address(second.listener.endpoint)},
            {.connection_attempt_delay = 1s, .connect_timeout = 10s});
  one.pass(1s);
  one.pass(9s);
  BOOST_TEST(!one.result.has_value());
  one.pass(1s - 1ns);
  BOOST_TEST(!one.result.has_value());
  one.pass(1ns);
  BOOST_TEST_REQUIRE(one.result.has_value());
  BOOST_TEST(one.result->failed.size() == 2U);
}

POLLARD_EACH_BACKEND(a_race_that_can_only_fail_ends_while_it_starts) {
  const Address refusing_before = refusing();
  Racing one(backend);
  one.faults.fail(Call::kSocket, std::errc::too_many_files_open, {.times = kForever});
  one.race.emplace(
      one.loop, std::vector{refusing_before, refusing_before},
      AddressRace::Handlers{.on_end = [&](RaceResult how) { one.result = std::move(how); }},
      RaceOptions{});
  one.race->start();
  BOOST_TEST_REQUIRE(one.result.has_value());
  BOOST_TEST(one.result->failed.size() == 2U);
  BOOST_TEST(one.result->failed[0].error == std::errc::too_many_files_open);
}

POLLARD_EACH_BACKEND(who_meets_himself_is_handed_over_to_keep_his_port) {
  Racing one(backend);
  const Address nobody = refusing();
  one.faults.replace<&platform::SystemCalls::connect>(
      [&](int fd, const sockaddr* address, socklen_t size) {
        BOOST_TEST(one.faults.underlying().bind(fd, address, size) == 0);
        return one.faults.underlying().connect(fd, address, size);
      });
  one.start({nobody});
  one.until_ended();
  BOOST_TEST(!one.result->socket);
  BOOST_TEST(one.result->failed[0].error == Error::kSelfConnect);
  BOOST_TEST(one.result->self_connected.size() == 1U);
}

POLLARD_EACH_BACKEND(families_race_each_other) {
  const Listener only_ipv4 = listen_on_loopback();
  const Address there(only_ipv4.endpoint);
  Racing one(backend);
  one.start({Address::loopback_ipv6(there.port()), there});
  one.until_ended();
  BOOST_TEST((one.result->winner == there));
  BOOST_TEST(one.result->failed.size() == 1U);
}

POLLARD_EACH_BACKEND(a_race_may_be_ended_at_any_time_and_leaves_nothing) {
  const SilentListener silent;
  const SilentListener silent_too;
  for (const int passed : {0, 1, 2}) {
    Racing one(backend);
    const std::size_t before = open_descriptors();
    one.start({Address(silent.listener.endpoint), Address(silent_too.listener.endpoint)});
    for (int i = 0; i < passed; ++i) one.pass(250ms);
    one.race.reset();
    BOOST_TEST(open_descriptors() == before);
    one.pass(1h);
    BOOST_TEST(!one.result.has_value());
    BOOST_TEST(one.loop.stats().watched == 1U);
  }
}

POLLARD_EACH_BACKEND(a_race_may_be_ended_by_its_own_handler) {
  const Listener listener = listen_on_loopback();
  for (const bool wins : {true, false}) {
    EventLoop loop({.poller = backend});
    std::unique_ptr<AddressRace> race;
    bool ended = false;
    race = std::make_unique<AddressRace>(
        loop, std::vector{refusing(), wins ? Address(listener.endpoint) : refusing()},
        AddressRace::Handlers{.on_end =
                                  [&](RaceResult) {
                                    race.reset();
                                    ended = true;
                                  }},
        RaceOptions{});
    race->start();
    run_until(loop, [&] { return ended; });
    run_until_idle(loop);
    BOOST_TEST(loop.stats().watched == 1U);
  }
}

POLLARD_EACH_BACKEND(a_race_may_outlive_its_loop) {
  const SilentListener silent;
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  const std::size_t before = open_descriptors();
  bool ended = false;
  std::optional<AddressRace> race;
  race.emplace(*loop, std::vector{Address(silent.listener.endpoint)},
               AddressRace::Handlers{.on_end = [&](RaceResult) { ended = true; }}, RaceOptions{});
  race->start();
  BOOST_TEST(open_descriptors() == before + 1);
  loop.reset();
  race.reset();
  BOOST_TEST(!ended);
}

}  // namespace
}  // namespace pollard::testing
