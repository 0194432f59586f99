// What the fuzzers have found worth keeping, run through their targets without a fuzzer; and, as
// far as a few seconds go, bytes by chance.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/tests/fuzz/targets.h"
#include "pollard/tests/support/quiet.h"
#include "pollard/tests/support/watchdog.h"

namespace pollard::fuzz {
namespace {

const std::filesystem::path kCorpus = "tests/fuzz/corpus";

std::vector<std::uint8_t> contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

BOOST_AUTO_TEST_SUITE(fuzz)

BOOST_FIXTURE_TEST_CASE(the_kept_corpus_passes, testing::Quiet) {
  testing::allow_time(std::chrono::minutes(3));
  BOOST_TEST_REQUIRE(std::filesystem::is_directory(kCorpus),
                     "run this in the root of the source tree, where " << kCorpus << " is");
  for (const Target& target : kTargets) {
    std::size_t inputs = 0;
    for (const auto& entry : std::filesystem::directory_iterator(kCorpus / target.name)) {
      BOOST_TEST_INFO(entry.path());
      BOOST_CHECK_NO_THROW(target.run(contents(entry.path())));
      ++inputs;
    }
    BOOST_TEST(inputs > 0U, "no corpus for " << target.name);
  }
}

BOOST_FIXTURE_TEST_CASE(bytes_by_chance_pass, testing::Quiet) {
  testing::allow_time(std::chrono::minutes(3));
  constexpr int kInputs = 300;
  SplitMix64 random(1);
  for (const Target& target : kTargets) {
    for (int input = 0; input < kInputs; ++input) {
      std::vector<std::uint8_t> bytes(random.up_to(200U));
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
      BOOST_TEST_INFO(target.name << ' ' << input);
      BOOST_CHECK_NO_THROW(target.run(bytes));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::fuzz
