// The helpers of a resolver: how many there are, what hangs and what doesn't wait for it, and what
// happens when they are short of memory or threads.
#include <netdb.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/names/resolver.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/exempt_kernel.h"
#include "pollard/tests/support/failing_allocation.h"
#include "pollard/tests/support/fake_names.h"
#include "pollard/tests/support/stopped_clock.h"

namespace pollard::testing {
namespace {

// A resolver whose lookups hang, and a clock that stands still.
struct Hanging {
  explicit Hanging(const std::string& backend, const ResolverOptions& options = {})
      : loop({.poller = backend}), resolver(std::in_place, options) {
    names.hold();
  }

  // Lookups of as many names.
  void ask(std::size_t count, Duration deadline = 1h) {
    for (std::size_t i = 0; i < count; ++i) {
      ask("host" + std::to_string(lookups.size()) + ".example:80", deadline);
    }
  }
  void ask(const std::string& where, Duration deadline = 1h) {
    lookups.push_back(resolver->resolve(
        loop, HostPort(where),
        [this](std::error_code error, const auto&) { answers.push_back(error); }, deadline));
  }
  void until_held(std::size_t count) {
    run_until(loop, [&] { return names.held() == count; });
  }
  void pass(Duration time) {
    clock.advance(time);
    run_until_idle(loop);
  }

  Faults faults;
  StoppedClock clock{faults};
  FakeNames names{faults};
  EventLoop loop;
  std::optional<Resolver> resolver;
  std::vector<Lookup> lookups;
  std::vector<std::error_code> answers;
};

POLLARD_EACH_BACKEND(resolver_makes_a_helper_for_each_name_and_no_more_than_allowed) {
  Hanging one(backend, {.max_threads = 3});
  BOOST_TEST(one.resolver->stats().helpers == 0U);
  for (const std::size_t helpers : {1U, 2U, 3U, 3U, 3U}) {
    one.ask(1);
    BOOST_TEST(one.resolver->stats().helpers == helpers);
  }
  one.until_held(3);
  BOOST_TEST(one.resolver->stats().waiting == 2U);
  BOOST_TEST(one.resolver->stats().hanging == 0U);
}

POLLARD_EACH_BACKEND(resolver_without_threads_has_one_all_the_same) {
  Hanging one(backend, {.max_threads = 0, .max_hanging = 0});
  one.ask(2);
  BOOST_TEST(one.resolver->stats().helpers == 1U);
}

POLLARD_EACH_BACKEND(helpers_that_hang_are_replaced_up_to_a_bound) {
  Hanging one(backend, {.max_threads = 2, .max_hanging = 3, .hangs_after = 1s});
  one.ask(20);
  one.until_held(2);
  one.pass(1s - 1ns);
  BOOST_TEST(one.resolver->stats().helpers == 2U);
  one.pass(1ns);
  BOOST_TEST(one.resolver->stats().helpers == 4U, "one for each that hangs");
  one.until_held(4);
  one.pass(1s);
  BOOST_TEST(one.resolver->stats().helpers == 5U);
  one.until_held(5);
  one.pass(1s);
  BOOST_TEST(one.resolver->stats().helpers == 5U);
  BOOST_TEST(one.resolver->stats().hanging == 5U);
  BOOST_TEST(one.resolver->stats().waiting == 15U);
}

POLLARD_EACH_BACKEND(name_that_is_asked_for_while_helpers_hang_is_looked_up_at_once) {
  Hanging one(backend, {.max_threads = 2});
  one.ask(2);
  one.until_held(2);
  one.pass(1s);
  one.ask("good.example:80");
  one.until_held(3);
  BOOST_TEST(one.names.asked("good.example") == 1U);
}

POLLARD_EACH_BACKEND(lookup_that_all_withdraw_from_makes_room_for_the_next_at_once) {
  Hanging one(backend, {.max_threads = 1});
  one.ask(2);
  one.until_held(1);
  one.lookups.front().cancel();
  one.until_held(2);
  BOOST_TEST(one.names.asked("host1.example") == 1U);
  BOOST_TEST(one.resolver->stats().hanging == 1U);
}

POLLARD_EACH_BACKEND(lookup_past_its_deadline_makes_room_for_the_next_at_once) {
  Hanging one(backend, {.max_threads = 1, .hangs_after = 1h});
  one.ask(1, 10s);
  one.ask(1, 1h);
  one.until_held(1);
  one.pass(10s);
  BOOST_TEST_REQUIRE(one.answers.size() == 1U);
  BOOST_TEST(one.answers.front() == std::errc::timed_out);
  one.until_held(2);
}

POLLARD_EACH_BACKEND(helpers_end_when_those_that_hung_come_back) {
  Hanging one(backend, {.max_threads = 2});
  one.ask(4);
  one.until_held(2);
  one.pass(1s);
  one.until_held(4);
  one.names.release();
  run_until(one.loop, [&] { return one.answers.size() == 4; });
  run_until(one.loop, [&] { return one.resolver->stats().helpers == 2; });
  BOOST_TEST(Resolver::join_left_behind(10s));
  one.names.hold();
  one.ask(3);
  one.until_held(2);
  BOOST_TEST(one.resolver->stats().helpers == 2U);
}

POLLARD_EACH_BACKEND(local_names_and_numbers_never_wait_for_those_that_hang) {
  Hanging one(backend, {.max_threads = 2, .max_hanging = 0});
  one.ask(10);
  one.until_held(2);
  for (const char* host :
       {"localhost", "LocalHost", "localhost.", "me.localhost", "127.0.0.1", "192.0.2.7"}) {
    const std::size_t before = one.answers.size();
    one.ask(std::string(host) + ":http");
    one.until_held(3);
    BOOST_TEST(one.names.asked(host) == 1U);
    one.names.let_one_go(host);
    run_until(one.loop, [&] { return one.answers.size() > before; });
  }
  one.ask("localhost.example:80");
  one.ask("notlocalhost:80");
  BOOST_TEST(one.resolver->stats().waiting == 10U, "these are asked of name servers");
}

POLLARD_EACH_BACKEND(withdrawing_many_lookups_of_a_name_takes_no_time_for_each_other) {
  Hanging one(backend, {.max_threads = 1, .max_waiting = 1'000'000});
  constexpr std::size_t kMany = 40'000;
  // Of one name, of as many names, and of one whose lookup runs. If each withdrawal took time for
  // each other lookup, the watchdog would end this test: it waits for no time of its own, which
  // depends on what else the machine does.
  for (std::size_t i = 0; i < kMany; ++i) one.ask("running.example:80");
  one.until_held(1);
  for (std::size_t i = 0; i < kMany; ++i) one.ask("waiting.example:80");
  for (std::size_t i = 0; i < kMany; ++i) one.ask(std::to_string(i) + "x.example:80");
  while (!one.lookups.empty()) one.lookups.pop_back();
  BOOST_TEST(one.resolver->stats().waiting == 0U);
}

POLLARD_EACH_BACKEND(resolver_that_gets_no_thread_refuses_and_recovers) {
  Hanging one(backend, {.max_threads = 1});
  one.names.release();
  with_each_allocation_failing([&](std::uint64_t which) {
    one.resolver.emplace();
    one.answers.clear();
    one.lookups.clear();
    bool failed = false;
    {
      const FailingAllocation failing(which);
      try {
        one.ask("host.example:80");
      } catch (const std::bad_alloc&) {
      }
      failed = failing.has_failed();
    }
    one.ask("other.example:80");
    run_until(one.loop, [&] { return one.answers.size() == one.lookups.size(); });
    BOOST_TEST(one.answers.back() == Error::kHostNotFound);
    return failed;
  });
}

// Fails an allocation of the helper's, from the end of the lookup on.
struct FailingInHelper {
  std::optional<FailingAllocation> failing;
  std::atomic<bool>* failed = nullptr;
  ~FailingInHelper() { stop(); }
  void stop() {
    if (failing.has_value() && failing->has_failed()) *failed = true;
    failing.reset();
  }
};

POLLARD_EACH_BACKEND(lookup_whose_helper_is_short_of_memory_is_answered) {
  const ExemptKernel exempt;          // a simulated pipe has no memory of its own
  constexpr Duration kNoHurry = 24h;  // virtual time may pass while the helper's thread begins
  with_each_allocation_failing([&](std::uint64_t which) {
    static std::atomic<bool> failed;  // the helper ends a little after join_left_behind()
    failed = false;
    Faults faults;
    FakeNames names(faults);
    for (const char* name : {"server.example", "last.example"}) {
      names.know(name, {Address::loopback(1), Address::loopback_ipv6(2)});
    }
    const auto look_up = detail::Replacement<&platform::SystemCalls::getaddrinfo>::get();
    faults.replace<&platform::SystemCalls::getaddrinfo>(
        [&](const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
          static thread_local FailingInHelper short_of_memory;
          short_of_memory.stop();  // a second lookup of this helper has memory until its end, too
          const int answer = (*look_up)(host, service, hints, found);
          short_of_memory.failed = &failed;
          short_of_memory.failing.emplace(which);
          return answer;
        });
    EventLoop loop({.poller = backend});
    std::optional<Resolver> resolver;
    resolver.emplace(ResolverOptions{.max_threads = 1});
    std::size_t answers = 0;
    const auto on_resolved = [&](std::error_code error, const std::vector<Address>& found) {
      ++answers;
      BOOST_TEST((error ? error == std::errc::not_enough_memory : found.size() == 2),
                 error.message());
    };
    std::vector<Lookup> lookups;
    const auto look_up_and_wait = [&](const std::string& name, int times) {
      for (int i = 0; i < times; ++i) {
        lookups.push_back(resolver->resolve(loop, name, on_resolved, kNoHurry));
      }
      run_until(loop, [&] { return answers == lookups.size(); });
    };
    look_up_and_wait("server.example:80", 3);
    look_up_and_wait("last.example:80", 1);  // the helper has said whether the first ones failed
    resolver.reset();
    BOOST_TEST(Resolver::join_left_behind(10s));
    return failed.load();
  });
}

POLLARD_EACH_BACKEND(resolver_takes_extreme_options) {
  for (const Duration extreme :
       {Duration::min(), Duration(-1), Duration::zero(), Duration(1), Duration::max()}) {
    Hanging one(backend, {.max_threads = UINT_MAX,
                          .max_hanging = UINT_MAX,
                          .hangs_after = extreme,
                          .max_waiting = SIZE_MAX});
    one.ask(1, extreme);
    one.ask(1, Duration::max());
    one.pass(1ms);
    BOOST_TEST(one.answers.size() == (extreme == Duration::max() ? 0U : 1U));
    one.lookups.clear();
    one.names.release();
    one.resolver.reset();
    BOOST_TEST(Resolver::join_left_behind(Duration::max()));
    static_cast<void>(Resolver::join_left_behind(extreme));
  }
}

POLLARD_EACH_BACKEND(lookup_asserts_the_thread_of_its_loop) {
  Hanging one(backend);
  one.ask("192.0.2.1:80");
  const auto aborts_elsewhere = [](const std::function<void()>& call) {
    return aborts([&] { std::thread(call).join(); });
  };
  BOOST_TEST(aborts_elsewhere([&] { one.lookups.front().cancel(); }));
  BOOST_TEST(aborts_elsewhere([&] { static_cast<void>(one.lookups.front().active()); }));
  BOOST_TEST(aborts_elsewhere([&] { one.lookups.pop_back(); }));
  BOOST_TEST(aborts_elsewhere([&] { one.lookups.front() = Lookup(); }));
}

}  // namespace
}  // namespace pollard::testing
