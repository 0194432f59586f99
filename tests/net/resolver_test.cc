// Looking names up beside a loop: answers, failures, deadlines, withdrawal, and the end of it all
// while a lookup hangs.
#include "pollard/net/names/resolver.h"

#include <netdb.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/loop/loop_thread.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/fake_names.h"

namespace pollard::testing {
namespace {

// What one asker was told.
struct Answer {
  unsigned times = 0;
  std::error_code error;
  std::vector<Address> addresses;

  Resolver::OnResolved hear() {
    return [this](std::error_code code, const std::vector<Address>& found) {
      ++times;
      error = code;
      addresses = found;
    };
  }
};

struct Asking {
  explicit Asking(const std::string& backend, const ResolverOptions& options = {})
      : loop({.poller = backend}), resolver(std::in_place, options) {}

  Lookup ask(const HostPort& where, Answer& answer,
             Duration deadline = Resolver::kDefaultDeadline) {
    return resolver->resolve(loop, where, answer.hear(), deadline);
  }
  void until_answered(const Answer& answer) {
    run_until(loop, [&] { return answer.times > 0; });
  }
  void until_held(std::size_t count) {
    run_until(loop, [&] { return names.held() == count; });
  }

  Faults faults;
  FakeNames names{faults};
  EventLoop loop;
  std::optional<Resolver> resolver;
};

const Address kFirst = Address::parse("[2001:db8::1]:80");
const Address kSecond = Address::parse("192.0.2.1:80");

POLLARD_EACH_BACKEND(a_name_is_looked_up_and_answered_in_the_loop_in_the_systems_order) {
  Asking one(backend);
  one.names.know("host.example", {kFirst, kSecond});
  Answer answer;
  const Lookup lookup = one.ask("host.example:80", answer);
  BOOST_TEST(lookup.active());
  BOOST_TEST(answer.times == 0U, "not inside the call");
  one.until_answered(answer);
  run_until_idle(one.loop);
  BOOST_TEST(answer.times == 1U);
  BOOST_TEST(!answer.error);
  BOOST_TEST((answer.addresses == std::vector{kFirst, kSecond}));
  BOOST_TEST(!lookup.active());
}

POLLARD_EACH_BACKEND(a_literal_needs_no_helper_and_isnt_answered_inside_the_call) {
  Asking one(backend);
  for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/it.sock"}) {
    Answer answer;
    const Lookup lookup = one.ask(text, answer);
    BOOST_TEST(answer.times == 0U);
    run_until_idle(one.loop);
    BOOST_TEST(answer.times == 1U);
    BOOST_TEST((answer.addresses == std::vector{Address::parse(text)}));
  }
  Answer every;
  const Lookup lookup = one.ask("*:80", every);
  run_until_idle(one.loop);
  BOOST_TEST((every.addresses == std::vector{Address::any_ipv6(80), Address::any(80)}));
  BOOST_TEST(one.faults.count(Call::kGetaddrinfo) == 0U);
}

POLLARD_EACH_BACKEND(a_failure_is_told_as_what_it_is) {
  Asking one(backend);
  one.names.fail("busy.example", std::abs(EAI_AGAIN));
  Answer unknown;
  Answer busy;
  const Lookup first = one.ask("nobody.example:80", unknown);
  const Lookup second = one.ask("busy.example:80", busy);
  one.until_answered(unknown);
  one.until_answered(busy);
  BOOST_TEST(unknown.error == Error::kHostNotFound);
  BOOST_TEST(unknown.addresses.empty());
  BOOST_TEST(busy.error == Error::kNameServiceBusy);
}

POLLARD_EACH_BACKEND(the_same_question_is_looked_up_once_and_answered_to_all) {
  Asking one(backend);
  one.names.know("host.example", {kFirst});
  one.names.hold();
  std::vector<Answer> answers(5);
  std::vector<Lookup> lookups;
  for (Answer& answer : answers) lookups.push_back(one.ask("host.example:80", answer));
  one.until_held(1);
  Answer late;
  const Lookup another = one.ask("host.example:80", late);
  one.names.release();
  one.until_answered(late);
  run_until_idle(one.loop);
  for (const Answer& answer : answers) BOOST_TEST((answer.addresses == std::vector{kFirst}));
  BOOST_TEST(one.names.asked("host.example") == 1U);
  // And anew when it has been answered: what is true now may not be true for long.
  one.names.know("host.example", {kSecond});
  Answer again;
  const Lookup anew = one.ask("host.example:80", again);
  one.until_answered(again);
  BOOST_TEST((again.addresses == std::vector{kSecond}));
  BOOST_TEST(one.names.asked("host.example") == 2U);
}

POLLARD_EACH_BACKEND(another_port_is_another_question) {
  Asking one(backend);
  one.names.know("host.example", {kFirst});
  one.names.hold();
  Answer web;
  Answer mail;
  const Lookup first = one.ask("host.example:80", web);
  const Lookup second = one.ask("host.example:25", mail);
  one.until_held(2);
  one.names.release();
  one.until_answered(web);
  one.until_answered(mail);
}

POLLARD_EACH_BACKEND(who_loses_patience_hears_it_and_the_others_wait_on) {
  Asking one(backend);
  one.names.know("host.example", {kFirst});
  one.names.hold();
  Answer hasty;
  Answer patient;
  const MonotonicTime start = platform::monotonic_now();
  const Lookup first = one.ask("host.example:80", hasty, 20ms);
  const Lookup second = one.ask("host.example:80", patient);
  one.until_answered(hasty);
  BOOST_TEST(hasty.error == std::errc::timed_out);
  BOOST_TEST((platform::monotonic_now() - start >= 20ms));
  BOOST_TEST(patient.times == 0U);
  one.until_held(1);
  one.names.release();
  one.until_answered(patient);
  BOOST_TEST(!patient.error);
  run_until_idle(one.loop);
  BOOST_TEST(hasty.times == 1U);
}

POLLARD_EACH_BACKEND(what_is_withdrawn_is_not_answered_and_if_it_waited_not_looked_up) {
  Asking one(backend, {.max_threads = 1, .hangs_after = 1h});
  one.names.know("first.example", {kFirst});
  one.names.know("third.example", {kFirst});
  one.names.hold();
  Answer first;
  Answer second;
  Answer third;
  std::optional<Lookup> running = one.ask("first.example:80", first);
  one.until_held(1);
  std::optional<Lookup> waiting = one.ask("second.example:80", second);
  const Lookup wanted = one.ask("third.example:80", third);
  // In this order: a helper whose lookup is withdrawn gives its place to the next one.
  waiting->cancel();
  BOOST_TEST(!waiting->active());
  running.reset();
  one.names.release();
  one.until_answered(third);
  run_until_idle(one.loop);
  BOOST_TEST(first.times == 0U);
  BOOST_TEST(second.times == 0U);
  BOOST_TEST(one.names.asked("second.example") == 0U);
  BOOST_TEST(one.names.asked("first.example") == 1U);
}

POLLARD_EACH_BACKEND(withdrawn_between_the_answer_and_the_callback_it_is_withdrawn) {
  Asking one(backend);
  one.names.know("host.example", {kFirst});
  Answer answer;
  std::optional<Lookup> lookup = one.ask("host.example:80", answer);
  // Askers are answered in the order in which they asked: when another loop has its answer, ours
  // lies in its mailbox.
  LoopThread other({.poller = backend});
  std::promise<void> answered;
  std::optional<Lookup> second;
  other.run_and_wait([&](EventLoop& loop) {
    second = one.resolver->resolve(loop, "host.example:80",
                                   [&](std::error_code, const auto&) { answered.set_value(); });
  });
  answered.get_future().get();
  lookup.reset();
  run_until_idle(one.loop);
  BOOST_TEST(answer.times == 0U);
  other.run_and_wait([&](EventLoop&) { second.reset(); });
}

POLLARD_EACH_BACKEND(a_literal_is_withdrawn_like_any_other) {
  Asking one(backend);
  Answer answer;
  one.ask("192.0.2.1:80", answer).cancel();
  run_until_idle(one.loop);
  BOOST_TEST(answer.times == 0U);
}

POLLARD_EACH_BACKEND(no_more_helpers_than_allowed_and_none_before_they_are_needed) {
  Asking one(backend, {.max_threads = 3});
  one.names.hold();
  std::vector<Answer> answers(10);
  std::vector<Lookup> lookups;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const std::string host = "host" + std::to_string(i) + ".example:80";
    lookups.push_back(one.ask(HostPort(host), answers[i]));
  }
  one.until_held(3);
  run_until_idle(one.loop);
  BOOST_TEST(one.names.held() == 3U);
  one.names.release();
  for (const Answer& answer : answers) one.until_answered(answer);
  BOOST_TEST(one.names.asked_in_order().size() == answers.size());
}

POLLARD_EACH_BACKEND(a_full_queue_refuses_the_newcomer_alone) {
  Asking one(backend, {.max_threads = 1, .max_waiting = 2});
  one.names.hold();
  std::vector<Answer> answers(4);
  std::vector<Lookup> lookups;
  lookups.push_back(one.ask("host0.example:80", answers[0]));
  one.until_held(1);
  lookups.push_back(one.ask("host1.example:80", answers[1]));
  lookups.push_back(one.ask("host2.example:80", answers[2]));
  lookups.push_back(one.ask("host3.example:80", answers[3]));
  BOOST_TEST(answers[3].times == 0U);
  one.until_answered(answers[3]);
  BOOST_TEST(answers[3].error == std::errc::resource_unavailable_try_again);
  one.names.release();
  for (int i : {0, 1, 2}) one.until_answered(answers[static_cast<std::size_t>(i)]);
  BOOST_TEST(answers[2].error == Error::kHostNotFound);
}

// ---- Ends ----

POLLARD_EACH_BACKEND(a_resolver_ends_at_once_though_a_lookup_hangs) {
  Asking one(backend, {.max_threads = 1, .hangs_after = 1h});
  one.names.know("hangs.example", {kFirst});
  one.names.hold();
  Answer hanging;
  Answer waiting;
  const Lookup first = one.ask("hangs.example:80", hanging);
  one.until_held(1);
  const Lookup second = one.ask("waits.example:80", waiting);
  one.resolver.reset();
  BOOST_TEST(hanging.times == 0U, "not inside the destructor");
  BOOST_TEST(!Resolver::join_left_behind(Duration::zero()), "the helper is still in there");
  one.until_answered(hanging);
  one.until_answered(waiting);
  BOOST_TEST(hanging.error == std::errc::operation_canceled);
  BOOST_TEST(waiting.error == std::errc::operation_canceled);
  one.names.release();
  BOOST_TEST(Resolver::join_left_behind(Duration::max()), "for ever is long enough");
  run_until_idle(one.loop);
  BOOST_TEST(hanging.times == 1U);
  BOOST_TEST(one.names.asked("waits.example") == 0U);
}

POLLARD_EACH_BACKEND(a_resolver_with_idle_helpers_leaves_none_behind) {
  Asking one(backend);
  Answer answer;
  const Lookup lookup = one.ask("host.example:80", answer);
  one.until_answered(answer);
  one.resolver.reset();
  BOOST_TEST(Resolver::join_left_behind(10s));
}

POLLARD_EACH_BACKEND(a_callback_may_end_everything) {
  Asking one(backend);
  one.names.know("host.example", {kFirst});
  for (const char* where : {"192.0.2.1:80", "host.example:80", "nobody.example:80"}) {
    one.resolver.emplace();
    std::optional<Lookup> lookup;
    bool called = false;
    lookup = one.resolver->resolve(one.loop, where, [&](std::error_code, const auto&) {
      called = true;
      one.resolver.reset();
      lookup.reset();
    });
    run_until(one.loop, [&] { return called; });
    run_until_idle(one.loop);
    BOOST_TEST(!lookup.has_value());
  }
}

POLLARD_EACH_BACKEND(a_callback_may_ask_again_in_the_place_of_its_own_lookup) {
  Asking one(backend);
  one.names.know("second.example", {kFirst});
  Lookup lookup;
  Answer answer;
  lookup = one.resolver->resolve(one.loop, "first.example:80", [&](std::error_code, const auto&) {
    lookup = one.ask("second.example:80", answer);
  });
  one.until_answered(answer);
  BOOST_TEST((answer.addresses == std::vector{kFirst}));
}

POLLARD_EACH_BACKEND(a_deadline_may_end_everything_too) {
  Asking one(backend);
  one.names.hold();
  std::optional<Lookup> lookup;
  std::error_code heard;
  lookup = one.resolver->resolve(
      one.loop, "host.example:80",
      [&](std::error_code error, const auto&) {
        heard = error;
        lookup.reset();
        one.resolver.reset();
      },
      1ms);
  run_until(one.loop, [&] { return static_cast<bool>(heard); });
  BOOST_TEST(heard == std::errc::timed_out);
}

POLLARD_EACH_BACKEND(a_lookup_may_outlive_its_loop_and_its_resolver) {
  Asking one(backend);
  one.names.hold();
  Answer answer;
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  std::optional<Lookup> lookup = one.resolver->resolve(*loop, "host.example:80", answer.hear());
  one.until_held(1);
  loop.reset();
  one.names.release();
  one.resolver.reset();
  lookup.reset();
  BOOST_TEST(answer.times == 0U);
}

POLLARD_EACH_BACKEND(loops_of_several_threads_share_a_resolver) {
  Asking one(backend);
  one.names.know("host.example", {kFirst, kSecond});
  std::vector<std::unique_ptr<LoopThread>> threads;
  for (int i = 0; i < 3; ++i) {
    threads.push_back(std::make_unique<LoopThread>(EventLoopOptions{.poller = backend}));
  }
  std::atomic<unsigned> answered{0};
  std::vector<std::vector<Lookup>> lookups(threads.size());
  for (unsigned round = 0; round < 50; ++round) {
    for (std::size_t i = 0; i < threads.size(); ++i) {
      threads[i]->run_and_wait([&](EventLoop& loop) {
        lookups[i].push_back(one.resolver->resolve(
            loop, "host.example:80", [&, &here = loop](std::error_code error, const auto& found) {
              if (!error && found.size() == 2 && here.in_loop_thread()) ++answered;
            }));
        if (round % 2 == 1) lookups[i].pop_back();  // withdrawn, maybe just before it is answered
      });
    }
  }
  run_until(one.loop, [&] { return answered == threads.size() * 25; });
  for (std::size_t i = 0; i < threads.size(); ++i) {
    threads[i]->run_and_wait([&](EventLoop&) { lookups[i].clear(); });
  }
}

POLLARD_EACH_BACKEND(everybody_shares_one_while_somebody_holds_it) {
  Faults faults;
  FakeNames names(faults);
  names.know("host.example", {kFirst});
  EventLoop loop({.poller = backend});
  std::shared_ptr<Resolver> shared = Resolver::shared();
  BOOST_TEST(shared == Resolver::shared());
  Answer answer;
  const Lookup lookup = shared->resolve(loop, "host.example:80", answer.hear());
  run_until(loop, [&] { return answer.times > 0; });
  const std::weak_ptr<Resolver> gone = shared;
  shared.reset();
  BOOST_TEST(gone.expired());
}

POLLARD_EACH_BACKEND(a_forked_childs_resolver_says_so_and_ends) {
  Asking one(backend);
  Answer answer;
  const Lookup lookup = one.ask("host.example:80", answer);
  one.until_answered(answer);
  const std::shared_ptr<Resolver> shared = Resolver::shared();
  BOOST_TEST(true_in_child([&] {
    EventLoop loop({.poller = backend});
    Answer told;
    const Lookup refused = one.resolver->resolve(loop, "host.example:80", told.hear());
    for (int turns = 0; turns < 10 && told.times == 0; ++turns) {
      static_cast<void>(loop.run_once(Duration::zero()));
    }
    one.resolver.reset();
    return told.error == Error::kForked && Resolver::shared() != shared;
  }));
}

// ---- Waiting for the answer, before a loop runs ----

BOOST_AUTO_TEST_SUITE(resolve_blocking)

BOOST_AUTO_TEST_CASE(the_answer_is_returned_or_thrown) {
  Faults faults;
  FakeNames names(faults);
  names.know("host.example", {kFirst, kSecond});
  BOOST_TEST((Resolver::resolve_blocking("host.example:80") == std::vector{kFirst, kSecond}));
  BOOST_TEST((Resolver::resolve_blocking("192.0.2.1:80") == std::vector{kSecond}));
  BOOST_CHECK_EXCEPTION(static_cast<void>(Resolver::resolve_blocking("nobody.example:80")),
                        std::system_error, [](const std::system_error& error) {
                          return error.code() == Error::kHostNotFound &&
                                 std::string_view(error.what()).find("nobody.example:80") !=
                                     std::string_view::npos;
                        });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
