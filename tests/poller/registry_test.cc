// Choosing a poller: what is registered, what a list of names leads to, and what the errors say.
#include "pollard/poller/registry.h"

#include <stdlib.h>

#include <boost/test/unit_test.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/poller/backends.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// The variable as a test wants it, and afterwards as it was.
class Environment {
 public:
  explicit Environment(const char* value) {
    if (const char* before = ::getenv(kName)) before_ = before;
    value == nullptr ? ::unsetenv(kName) : ::setenv(kName, value, 1);
  }
  ~Environment() { before_.has_value() ? ::setenv(kName, before_->c_str(), 1) : ::unsetenv(kName); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static constexpr const char* kName = "POLLARD_POLLER";
  std::optional<std::string> before_;
};

// main's arguments, in memory that may be changed.
class Arguments {
 public:
  Arguments(std::initializer_list<const char*> arguments)
      : texts_(arguments.begin(), arguments.end()), count_(static_cast<int>(texts_.size())) {
    for (std::string& text : texts_) pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
  }

  PollerChoice take() { return poller_from_args(count_, pointers_.data()); }

  [[nodiscard]] std::vector<std::string> left() const {
    BOOST_TEST(pointers_[static_cast<std::size_t>(count_)] == nullptr);
    return {pointers_.begin(), pointers_.begin() + count_};
  }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
  int count_;
};

using Names = std::vector<std::string>;

// The error that `action` throws, and that its message holds each of these.
template <class Action>
void expect_error(std::error_code code, const std::vector<std::string>& words, Action action) {
  BOOST_CHECK_EXCEPTION(action(), std::system_error, [&](const std::system_error& error) {
    const std::string message = error.what();
    for (const std::string& word : words) {
      BOOST_TEST(message.find(word) != std::string::npos, message << " doesn't say " << word);
    }
    return error.code() == code;
  });
}

const std::error_code kInvalid = std::make_error_code(std::errc::invalid_argument);

// Registers, once, a poller of the name `name` that can't be had.
void register_broken(const std::string& name, const std::string& reason) {
  static std::vector<std::string> known;
  if (std::ranges::count(known, name) != 0) return;
  known.push_back(name);
  register_poller({.name = name, .create = make_poll_poller, .probe = [reason] { return reason; }});
}

POLLARD_EACH_BACKEND(a_named_poller_is_the_one_that_is_made) {
  const auto poller = make_poller(backend);
  BOOST_TEST(poller->name() == backend);
  for (const PollerBackend& entry : registered_pollers()) {
    if (entry.name != backend) continue;
    BOOST_TEST(why_unusable(entry) == "");
    BOOST_TEST(entry.capabilities.edge_triggered == poller->capabilities().edge_triggered);
    BOOST_TEST(entry.capabilities.batched_changes == poller->capabilities().batched_changes);
    BOOST_TEST(entry.capabilities.scales_with_ready == poller->capabilities().scales_with_ready);
  }
}

POLLARD_EACH_BACKEND(the_environment_chooses_where_the_program_does_not) {
  const Environment variable(backend.c_str());
  BOOST_TEST(make_poller()->name() == backend);
  BOOST_TEST(make_poller("poll")->name() == "poll");
}

BOOST_AUTO_TEST_SUITE(registry)

BOOST_AUTO_TEST_CASE(the_four_backends_are_registered_everywhere_best_first) {
  const std::vector<PollerBackend> entries = registered_pollers();
  BOOST_TEST_REQUIRE(entries.size() >= 4U);
  Names names;
  for (std::size_t i = 0; i < 4; ++i) names.push_back(entries[i].name);
  BOOST_TEST(names == (Names{"epoll", "kqueue", "poll", "select"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(without_a_choice_the_best_that_works_is_made) {
  const Environment variable(nullptr);
  std::string best;
  for (const PollerBackend& entry : registered_pollers()) {
    if (best.empty() && why_unusable(entry).empty()) best = entry.name;
  }
  BOOST_TEST(make_poller()->name() == best);
  BOOST_TEST((effective_choice({}).source == PollerChoice::Source::kDefault));
}

BOOST_AUTO_TEST_CASE(an_unknown_name_is_an_error_that_lists_what_there_is) {
  expect_error(Error::kPollerUnknown, {"'nonsense'", "the program", "poll", "select"},
               [] { static_cast<void>(make_poller("nonsense")); });
}

BOOST_AUTO_TEST_CASE(an_unknown_name_behind_one_that_works_is_an_error_too) {
  expect_error(Error::kPollerUnknown, {"'poll,nonsense'"},
               [] { static_cast<void>(make_poller("poll,nonsense")); });
}

BOOST_AUTO_TEST_CASE(an_unusable_name_is_an_error_that_says_why) {
  register_broken("broken", "the kernel is on holiday");
  expect_error(Error::kPollerUnusable, {"'broken'", "the kernel is on holiday", "poll"},
               [] { static_cast<void>(make_poller("broken")); });
}

BOOST_AUTO_TEST_CASE(a_list_leads_to_the_first_that_works) {
  register_broken("broken", "the kernel is on holiday");
  BOOST_TEST(make_poller("broken,select,poll")->name() == "select");
  BOOST_TEST(make_poller("poll,broken")->name() == "poll");
  expect_error(Error::kPollerUnusable, {"'broken,broken'"},
               [] { static_cast<void>(make_poller("broken,broken")); });
}

BOOST_AUTO_TEST_CASE(a_list_that_is_none_is_an_invalid_argument) {
  for (const char* list :
       {",", "poll,", ",poll", "poll,,select", " poll", "poll select", "poll;x"}) {
    BOOST_TEST_CONTEXT('\'' << list << '\'') {
      expect_error(kInvalid, {list}, [list] { static_cast<void>(make_poller(list)); });
    }
  }
}

BOOST_AUTO_TEST_CASE(the_environment_is_named_when_it_is_wrong) {
  const Environment variable("nonsense");
  expect_error(Error::kPollerUnknown, {"'nonsense'", "POLLARD_POLLER"},
               [] { static_cast<void>(make_poller()); });
  BOOST_TEST(make_poller("poll")->name() == "poll");
}

BOOST_AUTO_TEST_CASE(an_empty_environment_has_no_opinion) {
  const Environment variable("");
  BOOST_TEST((effective_choice({}).source == PollerChoice::Source::kDefault));
}

BOOST_AUTO_TEST_CASE(the_environment_may_hold_a_list) {
  register_broken("broken", "the kernel is on holiday");
  const Environment variable("broken,select");
  BOOST_TEST(make_poller()->name() == "select");
}

BOOST_AUTO_TEST_CASE(code_comes_before_the_environment) {
  const Environment variable("select");
  BOOST_TEST((effective_choice("poll").source == PollerChoice::Source::kCode));
  BOOST_TEST((effective_choice({}).source == PollerChoice::Source::kEnvironment));
  const PollerChoice flag("poll", PollerChoice::Source::kFlag);
  BOOST_TEST((effective_choice(flag).source == PollerChoice::Source::kFlag));
}

BOOST_AUTO_TEST_CASE(the_flag_is_taken_out_of_the_arguments_in_both_its_forms) {
  Arguments joined{"program", "a", "--poller=poll", "b"};
  BOOST_TEST(joined.take().names == "poll");
  BOOST_TEST(joined.left() == (Names{"program", "a", "b"}), boost::test_tools::per_element());
  Arguments separate{"program", "--poller", "poll,select"};
  const PollerChoice choice = separate.take();
  BOOST_TEST(choice.names == "poll,select");
  BOOST_TEST((choice.source == PollerChoice::Source::kFlag));
  BOOST_TEST(separate.left() == (Names{"program"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(of_several_flags_the_last_counts) {
  Arguments several{"program", "--poller=poll", "x", "--poller", "select"};
  BOOST_TEST(several.take().names == "select");
  BOOST_TEST(several.left() == (Names{"program", "x"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(arguments_without_the_flag_are_left_alone) {
  const Names before{"--poller", "-p", "--pollers=x", "--pol", "--", "--poller=poll", "--poller"};
  Arguments arguments{"--poller", "-p", "--pollers=x", "--pol", "--", "--poller=poll", "--poller"};
  BOOST_TEST(arguments.take().names == "");
  BOOST_TEST(arguments.left() == before, boost::test_tools::per_element());
  Arguments none{};
  BOOST_TEST(none.take().names == "");
}

BOOST_AUTO_TEST_CASE(a_flag_without_names_is_an_invalid_argument) {
  for (const Names& wrong : {Names{"--poller"}, Names{"--poller="}, Names{"--poller", ""}}) {
    Arguments arguments = wrong.size() == 1 ? Arguments{"program", wrong[0].c_str()}
                                            : Arguments{"program", wrong[0].c_str(), ""};
    expect_error(kInvalid, {"--poller"}, [&] { static_cast<void>(arguments.take()); });
  }
}

BOOST_AUTO_TEST_CASE(names_that_cannot_be_chosen_are_not_registered) {
  for (const char* name : {"", "a,b", "with space", "semi;colon", "ümlaut"}) {
    expect_error(kInvalid, {name},
                 [name] { register_poller({.name = name, .create = make_poll_poller}); });
  }
  expect_error(kInvalid, {"uncreated"}, [] { register_poller({.name = "uncreated"}); });
  for (const char* name : {"epoll", "kqueue", "poll", "select"}) {
    expect_error(std::make_error_code(std::errc::file_exists), {name},
                 [name] { register_poller({.name = name, .create = make_poll_poller}); });
  }
}

// Everything that it watches is always ready: the smallest poller there can be.
class OptimisticPoller final : public Poller {
 public:
  OptimisticPoller() : Poller("optimist", {.batched_changes = true}) {}
  [[nodiscard]] Duration resolution() const override { return Duration(1); }

 private:
  std::error_code apply(int, Interest, Interest) override { return {}; }
  platform::Result collect(Duration) override {
    for_each_applied([this](int fd, Interest) { report(fd, Ready::kReadable | Ready::kWritable); });
    return {};
  }
};

BOOST_AUTO_TEST_CASE(a_poller_of_the_users_own_is_chosen_by_its_name) {
  register_poller({.name = "my-poller_2",
                   .create = [] { return std::make_unique<OptimisticPoller>(); },
                   .probe = [] { return std::string(); }});
  Watch watch("my-poller_2");
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  BOOST_TEST(watch.ready(pair.near) == kReadable);
  BOOST_TEST((watch->add(pair.far.get(), Interest::kRead, Token{}, Trigger::kEdge) ==
              std::errc::operation_not_supported));
  const Environment variable("my-poller_2");
  BOOST_TEST(make_poller()->name() == "optimist");
}

BOOST_AUTO_TEST_CASE(a_poller_without_a_probe_has_to_report_a_byte_in_a_pipe) {
  const PollerBackend liar{.name = "liar",
                           .create = [] { return std::make_unique<OptimisticPoller>(); }};
  BOOST_TEST(why_unusable(liar) == "it reports an empty pipe as ready");
  const PollerBackend good{.name = "good", .create = make_poll_poller};
  BOOST_TEST(why_unusable(good) == "");
}

BOOST_AUTO_TEST_CASE(a_probe_or_a_creation_that_fails_is_a_reason) {
  const auto fail = [] { throw std::runtime_error("out of luck"); };
  const PollerBackend creation{.name = "x", .create = [&]() -> std::unique_ptr<Poller> {
                                 fail();
                                 return nullptr;
                               }};
  BOOST_TEST(why_unusable(creation) == "out of luck");
  const PollerBackend probe{.name = "x", .create = make_poll_poller, .probe = [&] {
                              fail();
                              return std::string();
                            }};
  BOOST_TEST(why_unusable(probe) == "out of luck");
  const PollerBackend nothing{.name = "x", .create = [] { return std::unique_ptr<Poller>(); }};
  BOOST_TEST(why_unusable(nothing) != "");
}

BOOST_AUTO_TEST_CASE(a_mechanism_that_the_system_lacks_says_so) {
  Faults faults;
  faults.fail(Call::kEpollCreate1, std::errc::function_not_supported, {.times = kForever});
  faults.fail(Call::kKqueue, std::errc::function_not_supported, {.times = kForever});
  for (const PollerBackend& entry : registered_pollers()) {
    const bool lacking = entry.name == "epoll" || entry.name == "kqueue";
    if (lacking) BOOST_TEST(why_unusable(entry).find(entry.name) != std::string::npos);
  }
  const Environment variable(nullptr);
  BOOST_TEST(make_poller()->name() == "poll");
  expect_error(Error::kPollerUnusable, {"'epoll,kqueue'", "epoll_create1"},
               [] { static_cast<void>(make_poller("epoll,kqueue")); });
}

BOOST_AUTO_TEST_CASE(a_shortage_while_a_poller_is_tried_is_the_error) {
  const Environment variable(nullptr);
  for (const std::errc error :
       {std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
        std::errc::not_enough_memory}) {
    for (const char* choice : {"", "epoll,poll", "poll"}) {
      Faults faults;
      faults.fail(Call::kPipe2, error, {.times = kForever});
      faults.fail(Call::kPipe, error, {.times = kForever});
      const std::error_code code(static_cast<int>(error), std::system_category());
      expect_error(code, {"trying the poller", code.message()},
                   [choice] { static_cast<void>(make_poller(choice)); });
    }
  }
}

// Not even the descriptor that the mechanism itself needs.
BOOST_AUTO_TEST_CASE(a_shortage_while_a_poller_is_made_is_the_error) {
  Faults faults;
  faults.fail(Call::kEpollCreate1, std::errc::too_many_files_open, {.times = kForever});
  faults.fail(Call::kKqueue, std::errc::too_many_files_open, {.times = kForever});
  for (const char* choice : {"epoll,poll", "kqueue,select"}) {
    BOOST_CHECK_EXCEPTION(static_cast<void>(make_poller(choice)), std::system_error,
                          [](const std::system_error& thrown) {
                            return thrown.code() == std::errc::too_many_files_open;
                          });
  }
}

BOOST_AUTO_TEST_CASE(a_select_that_is_forbidden_is_unusable_and_says_why) {
  Faults faults;
  faults.fail(Call::kPselect, std::errc::operation_not_permitted, {.times = kForever});
  const std::string reason = std::make_error_code(std::errc::operation_not_permitted).message();
  expect_error(Error::kPollerUnusable, {"'select'", reason},
               [] { static_cast<void>(make_poller("select")); });
  BOOST_TEST(make_poller("select,poll")->name() == "poll");
}

BOOST_AUTO_TEST_CASE(interests_and_sources_have_names) {
  Names names;
  for (const Interest interest : kInterests) names.emplace_back(to_string(interest));
  BOOST_TEST(names == (Names{"none", "read", "write", "both"}), boost::test_tools::per_element());
  using Source = PollerChoice::Source;
  BOOST_TEST(to_string(Source::kCode) == "the program");
  BOOST_TEST(to_string(Source::kFlag) == "--poller");
  BOOST_TEST(to_string(Source::kEnvironment) == "POLLARD_POLLER");
  BOOST_TEST(to_string(Source::kDefault) == "the default");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
