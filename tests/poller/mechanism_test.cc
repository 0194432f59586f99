// What a backend of one's own can be built on.
#include "pollard/poller/mechanism.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/io.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard {
namespace {

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(mechanism)

BOOST_AUTO_TEST_CASE(ask_reports_only_what_interest_names) {
  const sim::Kernel kernel;
  platform::Descriptor reader;
  platform::Descriptor writer;
  BOOST_TEST_REQUIRE(platform::open_pipe(reader, writer).ok());
  DescriptorState ready;
  BOOST_TEST(ask_readiness(writer.get(), Interest::kRead, ready).ok());
  BOOST_TEST(!ready.writable);
  BOOST_TEST(ask_readiness(writer.get(), Interest::kWrite, ready).ok());
  BOOST_TEST(ready.writable);
  BOOST_TEST(ask_readiness(reader.get(), Interest::kRead, ready).ok());
  BOOST_TEST(!ready.readable);
  const std::string_view text = "x";
  BOOST_TEST(platform::write(writer.get(), std::as_bytes(std::span(text))).ok());
  BOOST_TEST(ask_readiness(reader.get(), Interest::kRead, ready).ok());
  BOOST_TEST(ready.readable);
  BOOST_TEST(!ready.writable);
  BOOST_TEST(!ready.hangup);
}

BOOST_AUTO_TEST_CASE(ask_reports_hangup_and_error_without_interest) {
  const sim::Kernel kernel;
  platform::Descriptor reader;
  platform::Descriptor writer;
  BOOST_TEST_REQUIRE(platform::open_pipe(reader, writer).ok());
  DescriptorState ready;
  platform::Descriptor second_reader;
  platform::Descriptor second_writer;
  BOOST_TEST_REQUIRE(platform::open_pipe(second_reader, second_writer).ok());
  writer.reset();
  BOOST_TEST(ask_readiness(reader.get(), Interest::kNone, ready).ok());
  BOOST_TEST(ready.hangup);
  second_reader.reset();
  BOOST_TEST(ask_readiness(second_writer.get(), Interest::kNone, ready).ok());
  BOOST_TEST(ready.error);
}

BOOST_AUTO_TEST_CASE(ask_says_that_descriptor_is_not_open) {
  const sim::Kernel kernel;
  DescriptorState ready;
  BOOST_TEST(ask_readiness(4'000, Interest::kRead, ready).ok());
  BOOST_TEST(ready.closed);
}

BOOST_AUTO_TEST_CASE(sleep_lasts_at_least_the_interval_and_ends_with_a_signal) {
  sim::Kernel kernel;
  const MonotonicTime before = monotonic_now();
  BOOST_TEST(sleep_unless_interrupted(1'500us).ok());
  BOOST_TEST((monotonic_now() - before >= 1'500us));
  testing::Faults faults;
  faults.fail(testing::Call::kPoll, std::errc::interrupted);
  BOOST_TEST(sleep_unless_interrupted(1h).interrupted());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard
