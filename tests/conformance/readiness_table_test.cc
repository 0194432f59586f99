// The readiness table of this machine is that of its golden file, and that of the simulated kernel.
#include "pollard/testkit/conformance/readiness_table.h"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/testkit/conformance/system_name.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::conformance {
namespace {

const std::string kGoldenFolder = POLLARD_GOLDEN_FOLDER;

Table golden_table(const std::string& file_name) {
  std::ifstream file(kGoldenFolder + "/" + file_name);
  BOOST_REQUIRE_MESSAGE(file.is_open(), "can't read " << kGoldenFolder << "/" << file_name);
  return read_table(file);
}

Table small_table() {
  return {.system = "Nowhere 1.2.3 abacus",
          .columns = {"one", "one+edge"},
          .rows = {{.state = "fresh, and idle", .cells = {"rw--", "----"}},
                   {.state = "gone", .cells = {"rwh-", "r?he"}}}};
}

Table simulated_table(const std::vector<Subject>& subjects) {
  const sim::Kernel kernel;
  return take_table(subjects);
}

void expect_equal(const Table& expected, const Table& seen) {
  BOOST_TEST(!seen.rows.empty());
  for (const Difference& difference : differences(expected, seen)) {
    BOOST_ERROR(to_string(difference));
  }
}

BOOST_AUTO_TEST_SUITE(a_readiness_table)

BOOST_AUTO_TEST_CASE(is_read_as_it_was_printed) {
  std::stringstream text;
  print(text, small_table());
  const Table read = read_table(text);
  BOOST_TEST(read.system == small_table().system);
  BOOST_TEST(read.columns == small_table().columns, boost::test_tools::per_element());
  BOOST_TEST(differences(small_table(), read).empty());
}

BOOST_AUTO_TEST_CASE(that_has_another_line_is_refused_with_it) {
  for (const char* line :
       {"nonsense", "state | one\nfresh | rw-- | rw--", "state | one\nfresh | rw"}) {
    std::istringstream text(line);
    BOOST_CHECK_EXCEPTION(static_cast<void>(read_table(text)), std::runtime_error,
                          [&](const std::runtime_error& error) {
                            const std::string last =
                                std::string(line).substr(std::string(line).find('\n') + 1);
                            return std::string(error.what()).find(last) != std::string::npos;
                          });
  }
}

BOOST_AUTO_TEST_CASE(differs_in_what_is_guaranteed_or_in_a_hint_but_not_in_the_unknown) {
  Table other = small_table();
  other.rows[0].cells[0] = "-w--";
  other.rows[1].cells[0] = "rw--";
  other.rows[1].cells[1] = "rwhe";
  other.rows.push_back({.state = "more", .cells = {"----", "----"}});
  const std::vector<Difference> found = differences(small_table(), other);
  BOOST_TEST_REQUIRE(found.size() == 3U);
  BOOST_TEST(to_string(found[0]) == "fresh, and idle, one: expected rw--, saw -w--");
  BOOST_TEST(to_string(found[1]) == "gone, one: expected rwh-, saw rw-- (a hint)");
  BOOST_TEST(to_string(found[2]) == "more: expected nothing, saw this state");
  BOOST_TEST(found[2].guaranteed);
}

BOOST_AUTO_TEST_CASE(belongs_to_a_system_and_its_version) {
  BOOST_TEST(same_version("Linux 6.18.44-fc x86_64", "Linux 6.18.2 aarch64"));
  BOOST_TEST(!same_version("Linux 6.18.44 x86_64", "Linux 6.1.0 x86_64"));
  BOOST_TEST(!same_version("Linux 6.1.0 x86_64", "Darwin 6.1.0 x86_64"));
  BOOST_TEST(system_name().find('.') != std::string::npos);
}

// What is guaranteed is so in every version; a hint may be another in the next.
BOOST_AUTO_TEST_CASE(of_this_system_is_the_golden_one) {
  if (!std::ifstream(kGoldenFolder + "/" + golden_file_name()).is_open()) {
    BOOST_TEST_MESSAGE("there is no golden file for this system: " << golden_file_name());
    return;
  }
  const Table golden = golden_table(golden_file_name());
  const bool hints_count = same_version(golden.system, system_name());
  for (const Difference& difference : differences(golden, take_table(usable_subjects()))) {
    if (difference.guaranteed || hints_count) {
      BOOST_ERROR(to_string(difference));
    } else {
      BOOST_TEST_MESSAGE("unlike " << golden.system << ": " << to_string(difference));
    }
  }
}

BOOST_AUTO_TEST_CASE(of_the_simulated_kernel_is_that_of_the_real_one) {
  const std::vector<Subject> subjects = usable_subjects();
  expect_equal(take_table(subjects), simulated_table(subjects));
}

Table table_of_profile(std::string_view name) {
  sim::KernelOptions options;
  options.profile = *sim::profile_named(name);
  const sim::Kernel kernel(options);
  return take_table(usable_subjects());
}

// Every cell of kqueue, poll and select, hints included, is what a real NetBSD kernel gave.
BOOST_AUTO_TEST_CASE(profile_netbsd_gives_the_table_of_a_real_kernel) {
  const Table golden = golden_table("netbsd.txt");
  const Table seen = table_of_profile("netbsd");
  BOOST_TEST(golden.columns == seen.columns, boost::test_tools::per_element());
  expect_equal(golden, seen);
}

// Of these no table was taken on the system itself: a difference is a change of the profile.
BOOST_AUTO_TEST_CASE(other_profiles_give_the_tables_that_are_kept) {
  for (const std::string_view name : sim::profile_names()) {
    if (name == "netbsd") continue;
    expect_equal(golden_table("simulated/" + std::string(name) + ".txt"), table_of_profile(name));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::conformance
