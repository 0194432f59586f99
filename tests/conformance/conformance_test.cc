// The kit can fail: each poller here is a good one with one fault, and the kit must name the
// promises that the fault breaks.
#include "pollard/testkit/conformance/conformance.h"

#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/time.h"
#include "pollard/testkit/conformance/differential.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::conformance {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string>;

// A good poller, to be spoilt.
class Spoilt : public DrivenPoller {
 public:
  explicit Spoilt(const std::string& name) : DrivenPoller(make_poller(name)) {}
};

// The best poller of this machine that has edges, or that has none.
PollerBackend good_poller(bool edges) {
  for (const PollerBackend& entry : registered_pollers()) {
    if (entry.capabilities.edge_triggered == edges && why_unusable(entry).empty()) return entry;
  }
  BOOST_FAIL("no such poller works here");
  return {};
}

template <class Fault>
Subject spoilt_subject(bool edges) {
  const PollerBackend good = good_poller(edges);
  return {.name = "spoilt " + good.name,
          .capabilities = good.capabilities,
          .create = [name = good.name] { return std::make_unique<Fault>(name); }};
}

Promise promise_named(const std::string& name) {
  const auto found =
      std::ranges::find_if(promises(), [&](const Promise& each) { return each.name == name; });
  BOOST_REQUIRE_MESSAGE(found != promises().end(), "there is no promise " << name);
  return *found;
}

// Each of these promises is found broken, with a reason; without the fault it holds.
template <class Fault>
void expect_caught(const Names& broken, bool edges = false) {
  const Subject spoilt = spoilt_subject<Fault>(edges);
  const Subject good = subject(good_poller(edges));
  for (const std::string& name : broken) {
    BOOST_TEST_CONTEXT(name) {
      const Finding finding = check(promise_named(name), spoilt);
      BOOST_TEST((finding.verdict == Verdict::kDoesNotHold));
      BOOST_TEST(!finding.reason.empty());
      BOOST_TEST((check(promise_named(name), good).verdict == Verdict::kHolds));
    }
  }
}

// What a wait found, taken at once: a wrapper can change it then.
class Collecting : public Spoilt {
 public:
  using Spoilt::Spoilt;

  std::error_code wait(std::optional<Duration> timeout) override {
    events_.clear();
    cursor_ = 0;
    const std::error_code failed = Spoilt::wait(timeout);
    for (Event event; Spoilt::next(event);) events_.push_back(event);
    spoil(events_);
    return failed;
  }
  bool next(Event& event) override {
    if (!has_ready()) return false;
    event = events_[cursor_++];
    return true;
  }
  [[nodiscard]] bool has_ready() const override { return cursor_ < events_.size(); }

 protected:
  virtual void spoil(std::vector<Event>&) {}

 private:
  std::vector<Event> events_;
  std::size_t cursor_ = 0;
};

template <class Change>
void change_each(std::vector<Event>& events, Change change) {
  for (Event& event : events) change(event);
  std::erase_if(events, [](const Event& event) { return !event.readable && !event.writable; });
}

struct ReportsALevelOnce : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    std::set<Token> ready;
    for (const Event& event : events) ready.insert(event.token);
    std::erase_if(events, [this](const Event& event) { return before_.contains(event.token); });
    before_ = std::move(ready);
  }
  std::set<Token> before_;
};

struct ForgetsWhatWasNotTaken : Collecting {
  using Collecting::Collecting;
  std::error_code wait(std::optional<Duration> timeout) override {
    const bool left_over = has_ready();
    const std::error_code failed = Collecting::wait(timeout);
    if (left_over) {
      for (Event event; next(event);) {
      }
    }
    return failed;
  }
};

struct ShortensTokens : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    for (Event& event : events) event.token = Token{static_cast<std::uint32_t>(event.token)};
  }
};

struct ReportsEachFilter : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    std::vector<Event> split;
    for (Event event : events) {
      if (event.readable && event.writable) {
        event.writable = false;
        split.push_back(event);
        std::swap(event.readable, event.writable);
      }
      split.push_back(event);
    }
    events = std::move(split);
  }
};

struct DropsWhatHasEnded : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    change_each(events, [](Event& event) {
      if (event.error || event.hangup) event.readable = event.writable = false;
    });
  }
};

struct IgnoresPauses : Spoilt {
  using Spoilt::Spoilt;
  static Interest at_least_reading(Interest interest) {
    return interest == Interest::kNone ? Interest::kRead : interest;
  }
  std::error_code add(int fd, Interest interest, Token token, Trigger trigger) override {
    return Spoilt::add(fd, at_least_reading(interest), token, trigger);
  }
  std::error_code modify(int fd, Interest interest) override {
    return Spoilt::modify(fd, at_least_reading(interest));
  }
};

struct IgnoresChanges : Spoilt {
  using Spoilt::Spoilt;
  std::error_code modify(int fd, Interest interest) override {
    return interest == Interest::kNone ? Spoilt::modify(fd, interest) : std::error_code();
  }
};

struct ForgetsClosedRegistrations : Spoilt {
  using Spoilt::Spoilt;
  std::error_code remove(int fd) override {
    return platform::is_open(fd) ? Spoilt::remove(fd) : std::error_code();
  }
};

struct AcceptsTwice : Spoilt {
  using Spoilt::Spoilt;
  std::error_code add(int fd, Interest interest, Token token, Trigger trigger) override {
    const std::error_code refused = Spoilt::add(fd, interest, token, trigger);
    return refused == std::errc::file_exists ? std::error_code() : refused;
  }
};

struct AcceptsWhatIsClosed : Spoilt {
  using Spoilt::Spoilt;
  std::error_code add(int fd, Interest interest, Token token, Trigger trigger) override {
    const std::error_code refused = Spoilt::add(fd, interest, token, trigger);
    return refused == std::errc::bad_file_descriptor ? std::error_code() : refused;
  }
};

struct KnowsStrangers : Spoilt {
  using Spoilt::Spoilt;
  std::error_code modify(int fd, Interest interest) override {
    static_cast<void>(Spoilt::modify(fd, interest));
    return {};
  }
};

struct CountsEveryAdd : Spoilt {
  using Spoilt::Spoilt;
  std::error_code add(int fd, Interest interest, Token token, Trigger trigger) override {
    ++adds_;
    return Spoilt::add(fd, interest, token, trigger);
  }
  [[nodiscard]] std::size_t size() const override { return adds_; }
  std::size_t adds_ = 0;
};

struct IsEarly : Spoilt {
  using Spoilt::Spoilt;
  std::error_code wait(std::optional<Duration> timeout) override {
    return Spoilt::wait(timeout.has_value() ? std::optional(*timeout / 2) : timeout);
  }
};

struct RoundsDown : Spoilt {
  using Spoilt::Spoilt;
  std::error_code wait(std::optional<Duration> timeout) override {
    if (!timeout.has_value()) return Spoilt::wait(timeout);
    return Spoilt::wait(std::chrono::duration_cast<std::chrono::milliseconds>(*timeout));
  }
};

struct CountsIn32Bits : Spoilt {
  using Spoilt::Spoilt;
  std::error_code wait(std::optional<Duration> timeout) override {
    if (!timeout.has_value()) return Spoilt::wait(timeout);
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(*timeout).count();
    return Spoilt::wait(std::chrono::milliseconds(static_cast<std::int32_t>(milliseconds)));
  }
};

struct HasNoStep : Spoilt {
  using Spoilt::Spoilt;
  [[nodiscard]] Duration resolution() const override { return Duration::zero(); }
};

struct ReportsInterruptions : Spoilt {
  using Spoilt::Spoilt;
  std::error_code wait(std::optional<Duration> timeout) override {
    const MonotonicTime start = platform::monotonic_now();
    const std::error_code failed = Spoilt::wait(timeout);
    const bool too_early = !timeout.has_value() || platform::monotonic_now() - start < *timeout;
    if (failed || has_ready() || !too_early) return failed;
    return std::make_error_code(std::errc::interrupted);
  }
};

struct TriesAgain : Spoilt {
  using Spoilt::Spoilt;
  std::error_code wait(std::optional<Duration> timeout) override {
    return Spoilt::wait(timeout) ? Spoilt::wait(timeout) : std::error_code();
  }
};

struct HidesFailures : Spoilt {
  using Spoilt::Spoilt;
  std::error_code wait(std::optional<Duration> timeout) override {
    static_cast<void>(Spoilt::wait(timeout));
    return {};
  }
};

struct TakesEdgesForLevels : Spoilt {
  using Spoilt::Spoilt;
  std::error_code add(int fd, Interest interest, Token token, Trigger) override {
    return Spoilt::add(fd, interest, token, Trigger::kLevel);
  }
};

struct KeepsHangupsToItself : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    for (Event& event : events) event.hangup = false;
  }
};

// The second edge of a descriptor is taken for the first.
struct LosesEdges : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    std::erase_if(events, [this](const Event& event) { return ++count_[event.token] % 2 == 0; });
  }
  std::map<Token, int> count_;
};

// Asks the kernel at each change, and not at the next wait.
struct AsksAtEachChange : Spoilt {
  using Spoilt::Spoilt;
  std::error_code modify(int fd, Interest interest) override {
    const std::error_code refused = Spoilt::modify(fd, interest);
    static_cast<void>(Spoilt::wait(Duration::zero()));
    return refused;
  }
};

// Always the lowest numbers, in small batches.
struct ServesTheFirst : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    std::ranges::sort(events, {}, &Event::token);
    if (events.size() > 64) events.resize(64);
  }
};

struct HasNoBatches : Collecting {
  using Collecting::Collecting;
  void spoil(std::vector<Event>& events) override {
    std::set<Token> known;
    for (const Event& event : events) known.insert(event.token);
    for (int more = 0; more < 3; ++more) {
      static_cast<void>(Spoilt::wait(Duration::zero()));
      for (Event event; Spoilt::next(event);) {
        if (known.insert(event.token).second) events.push_back(event);
      }
    }
  }
};

struct WorksInAForkedChild : Spoilt {
  using Spoilt::Spoilt;
  std::error_code wait(std::optional<Duration> timeout) override {
    const std::error_code failed = Spoilt::wait(timeout);
    return failed == Error::kForked ? std::error_code() : failed;
  }
};

struct SurvivesAnExec : Spoilt {
  explicit SurvivesAnExec(const std::string& name) : Spoilt(name), left_(::dup(STDIN_FILENO)) {}
  platform::Descriptor left_;
};

struct DeclaresMore : Spoilt {
  using Spoilt::Spoilt;
  [[nodiscard]] PollerCapabilities capabilities() const override {
    PollerCapabilities more = Spoilt::capabilities();
    more.scales_with_ready = !more.scales_with_ready;
    return more;
  }
};

BOOST_AUTO_TEST_SUITE(the_kit_catches)

BOOST_AUTO_TEST_CASE(a_level_that_is_reported_once) {
  expect_caught<ReportsALevelOnce>({"a_level_is_reported_by_every_wait_while_its_cause_lasts",
                                    "a_level_that_is_served_in_part_is_reported_again",
                                    "every_interest_is_followed_by_every_other_with_levels",
                                    "with_levels_a_wait_says_what_the_kernel_says"});
}

BOOST_AUTO_TEST_CASE(events_that_are_lost_when_they_are_not_taken) {
  expect_caught<ForgetsWhatWasNotTaken>({"what_was_not_taken_comes_with_the_next_wait"});
}

BOOST_AUTO_TEST_CASE(tokens_that_are_shortened) {
  expect_caught<ShortensTokens>({"a_token_is_handed_back_unread"});
}

BOOST_AUTO_TEST_CASE(two_records_of_one_descriptor) {
  expect_caught<ReportsEachFilter>({"reading_and_writing_are_one_event_of_one_descriptor",
                                    "an_end_in_both_directions_is_one_event"});
}

BOOST_AUTO_TEST_CASE(ends_that_are_not_readable) {
  expect_caught<DropsWhatHasEnded>(
      {"an_end_in_both_directions_is_one_event", "with_levels_a_wait_says_what_the_kernel_says"});
}

BOOST_AUTO_TEST_CASE(pauses_that_are_ignored) {
  expect_caught<IgnoresPauses>({"a_paused_descriptor_whose_peer_hangs_up_is_silent",
                                "a_descriptor_that_is_added_paused_is_silent_until_it_is_resumed",
                                "every_interest_is_followed_by_every_other_with_levels"});
}

BOOST_AUTO_TEST_CASE(changes_that_are_ignored) {
  expect_caught<IgnoresChanges>({"every_interest_is_followed_by_every_other_with_levels",
                                 "of_several_changes_between_two_waits_the_last_counts_with_levels",
                                 "a_change_that_waits_for_its_wait_dies_with_its_registration",
                                 "an_interrupted_wait_loses_no_change"});
}

BOOST_AUTO_TEST_CASE(stale_events) {
  expect_caught<Collecting>({"a_removed_descriptor_has_no_event_even_if_it_was_collected",
                             "a_number_that_is_used_again_gets_no_event_of_its_predecessor",
                             "a_descriptor_that_is_removed_and_added_again_begins_anew",
                             "a_registration_may_end_while_events_are_taken",
                             "what_the_caller_stops_wanting_after_the_wait_is_not_delivered"});
}

BOOST_AUTO_TEST_CASE(closed_registrations_that_live_on) {
  expect_caught<ForgetsClosedRegistrations>(
      {"a_descriptor_may_be_closed_before_it_is_removed",
       "the_next_owner_of_a_number_is_not_haunted_by_a_duplicate"});
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_is_added_twice) {
  expect_caught<AcceptsTwice>({"a_descriptor_is_added_once"});
}

BOOST_AUTO_TEST_CASE(what_is_no_descriptor) {
  expect_caught<AcceptsWhatIsClosed>(
      {"what_is_no_descriptor_is_refused",
       "a_descriptor_that_was_refused_can_be_added_when_it_is_another"});
}

BOOST_AUTO_TEST_CASE(strangers_that_are_modified) {
  expect_caught<KnowsStrangers>({"strangers_are_neither_modified_nor_removed"});
}

BOOST_AUTO_TEST_CASE(registrations_that_are_miscounted) {
  expect_caught<CountsEveryAdd>({"registrations_are_counted",
                                 "registering_and_removing_leaves_nothing_behind",
                                 "with_levels_a_wait_says_what_the_kernel_says"});
}

// On a clock that no busy machine can make late: an early timeout there would seem to be in time.
BOOST_AUTO_TEST_CASE(early_timeouts) {
  const sim::Kernel kernel;
  expect_caught<IsEarly>({"a_timeout_is_never_early"});
  expect_caught<RoundsDown>({"a_timeout_is_never_early"});
}

BOOST_AUTO_TEST_CASE(timeouts_that_wrap_around) {
  expect_caught<CountsIn32Bits>({"a_huge_timeout_does_not_wrap_around"});
}

BOOST_AUTO_TEST_CASE(a_step_of_nothing) {
  expect_caught<HasNoStep>({"the_step_of_timeouts_is_told"});
}

BOOST_AUTO_TEST_CASE(interruptions_that_are_errors) {
  expect_caught<ReportsInterruptions>({"an_interrupted_wait_is_a_wait_that_found_nothing",
                                       "a_signal_ends_a_wait_without_an_error"});
}

BOOST_AUTO_TEST_CASE(failures_that_are_hidden_or_tried_again) {
  expect_caught<TriesAgain>({"any_other_failure_of_a_wait_is_returned"});
  expect_caught<HidesFailures>({"any_other_failure_of_a_wait_is_returned"});
}

BOOST_AUTO_TEST_CASE(edges_that_are_not_declared) {
  expect_caught<TakesEdgesForLevels>(
      {"edges_are_had_where_they_are_declared_and_refused_elsewhere"});
}

BOOST_AUTO_TEST_CASE(changes_that_cost_a_call_each) {
  expect_caught<AsksAtEachChange>(
      {"write_interest_that_comes_and_goes_between_two_waits_costs_no_call",
       "changes_ride_along_with_the_wait_where_they_are_batched"});
}

BOOST_AUTO_TEST_CASE(batches_that_are_unfair_or_endless) {
  expect_caught<ServesTheFirst>({"with_more_ready_than_a_batch_holds_all_are_served_in_turn"});
  expect_caught<HasNoBatches>({"with_more_ready_than_a_batch_holds_all_are_served_in_turn"});
}

BOOST_AUTO_TEST_CASE(a_poller_that_works_in_a_forked_child) {
  expect_caught<WorksInAForkedChild>(
      {"a_childs_operations_fail_and_its_parents_registrations_live"});
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_outlives_an_exec) {
  expect_caught<SurvivesAnExec>({"a_poller_has_no_descriptor_that_outlives_an_exec"});
}

BOOST_AUTO_TEST_CASE(capabilities_other_than_the_declared) {
  expect_caught<DeclaresMore>({"capabilities_are_what_was_declared"});
}

BOOST_AUTO_TEST_CASE(a_poller_that_differs_from_another) {
  const Subject good = subject(good_poller(false));
  for (const Subject& spoilt :
       {spoilt_subject<ReportsALevelOnce>(false), spoilt_subject<IgnoresChanges>(false),
        spoilt_subject<ForgetsClosedRegistrations>(false)}) {
    const Finding finding = compare(good, spoilt, {});
    BOOST_TEST((finding.verdict == Verdict::kDoesNotHold));
    BOOST_TEST(finding.reason.find("seed 1") != std::string::npos, finding.reason);
  }
  BOOST_TEST((compare(good, good, {}).verdict == Verdict::kHolds));
}

// These take a poller with edges, which not every machine has on its own kernel.
struct WithEdges {
  WithEdges() {
    runs = std::ranges::any_of(usable_subjects(), [](const Subject& usable) {
      return usable.capabilities.edge_triggered;
    });
  }
  boost::test_tools::assertion_result operator()(boost::unit_test::test_unit_id) const {
    return runs;
  }
  bool runs = false;
};

BOOST_AUTO_TEST_CASE(faults_of_edges, *boost::unit_test::precondition(WithEdges())) {
  expect_caught<TakesEdgesForLevels>(
      {"an_edge_is_reported_once", "every_interest_is_followed_by_every_other_with_edges"}, true);
  expect_caught<KeepsHangupsToItself>(
      {"an_end_behind_data_is_told_with_the_edge_of_the_data",
       "an_end_after_data_is_an_edge_of_its_own", "a_peer_that_ends_its_side_is_one_edge"},
      true);
  expect_caught<Collecting>(
      {"an_edge_that_was_withheld_after_its_wait_comes_when_the_interest_returns"}, true);
  expect_caught<LosesEdges>({"an_edge_is_reported_once"}, true);
}

BOOST_AUTO_TEST_CASE(a_difference_in_edges, *boost::unit_test::precondition(WithEdges())) {
  const Subject good = subject(good_poller(true));
  const Script edges{.trigger = Trigger::kEdge};
  for (const Subject& spoilt :
       {spoilt_subject<LosesEdges>(true), spoilt_subject<KeepsHangupsToItself>(true)}) {
    BOOST_TEST((compare(spoilt, good, edges).verdict == Verdict::kDoesNotHold));
  }
  BOOST_TEST((compare(good, good, edges).verdict == Verdict::kHolds));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(the_kit)

BOOST_AUTO_TEST_CASE(has_a_name_of_its_own_for_each_promise_and_promises_in_each_chapter) {
  std::set<std::string> names;
  std::set<std::size_t> seen;
  for (const Promise& promise : promises()) {
    BOOST_TEST(names.insert(promise.name).second, promise.name);
    seen.insert(promise.chapter);
  }
  BOOST_TEST(seen.size() == chapters().size());
}

BOOST_AUTO_TEST_CASE(excuses_what_is_not_declared_and_says_by_which_capability) {
  const Finding finding =
      check(promise_named("an_edge_is_reported_once"), subject(good_poller(false)));
  BOOST_TEST((finding.verdict == Verdict::kNotSupported));
  BOOST_TEST(finding.reason.find("edge_triggered") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(takes_a_poller_that_cannot_be_made_for_one_that_keeps_nothing) {
  const Subject none = subject(
      "none", {}, []() -> std::unique_ptr<Poller> { throw std::runtime_error("out of luck"); });
  const Finding finding = check(promises().front(), none);
  BOOST_TEST((finding.verdict == Verdict::kDoesNotHold));
  BOOST_TEST(finding.reason.find("out of luck") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(prints_the_matrix_with_its_reasons_and_the_counts_last) {
  const Report report = run({subject(good_poller(false)), spoilt_subject<ShortensTokens>(false)},
                            {.promise = "a_token_is_handed_back_unread"});
  BOOST_TEST(report.failed() == 1U);
  BOOST_TEST(report.count(Verdict::kHolds) == 1U);
  std::ostringstream out;
  print(out, report);
  const std::string text = out.str();
  for (const char* part : {"a token is handed back unread", "holds", "DOES NOT HOLD", "FAILED: "}) {
    BOOST_TEST(text.find(part) != std::string::npos, part);
  }
  BOOST_TEST(text.ends_with("\n1 passed, 1 failed, 0 skipped\n"));
}

BOOST_AUTO_TEST_CASE(refuses_a_name_that_is_not_registered_with_those_that_are) {
  BOOST_CHECK_EXCEPTION(static_cast<void>(registered_subject("nonsense")), std::system_error,
                        [](const std::system_error& error) {
                          return error.code() == Error::kPollerUnknown &&
                                 std::string(error.what()).find("poll") != std::string::npos;
                        });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::conformance
