// What a program does with descriptors beside sockets.
#include "pollard/net/loop/descriptors.h"

#include <fcntl.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include "pollard/platform/io.h"
#include "pollard/testkit/faults.h"

namespace pollard {
namespace {

struct Pipe {
  Pipe() { BOOST_TEST_REQUIRE(platform::open_pipe(reader, writer).ok()); }
  void write(std::string_view text) {
    BOOST_TEST_REQUIRE(platform::write(writer.get(), std::as_bytes(std::span(text))).ok());
  }

  platform::Descriptor reader;
  platform::Descriptor writer;
  std::array<std::byte, 8> space{};
  std::size_t count = 77;
};

BOOST_AUTO_TEST_SUITE(descriptors)

BOOST_AUTO_TEST_CASE(read_takes_what_is_there_and_no_more_than_fits) {
  Pipe pipe;
  pipe.write("ten bytes!");
  BOOST_TEST(!read_available(pipe.reader.get(), pipe.space, pipe.count));
  BOOST_TEST(pipe.count == 8U);
  BOOST_TEST(!read_available(pipe.reader.get(), pipe.space, pipe.count));
  BOOST_TEST(pipe.count == 2U);
}

BOOST_AUTO_TEST_CASE(read_says_that_nothing_is_there_and_stores_zero) {
  Pipe pipe;
  const std::error_code error = read_available(pipe.reader.get(), pipe.space, pipe.count);
  BOOST_TEST((error == std::errc::resource_unavailable_try_again));
  BOOST_TEST(pipe.count == 0U);
}

BOOST_AUTO_TEST_CASE(read_reports_the_end_as_zero_bytes) {
  Pipe pipe;
  pipe.writer.reset();
  BOOST_TEST(!read_available(pipe.reader.get(), pipe.space, pipe.count));
  BOOST_TEST(pipe.count == 0U);
}

BOOST_AUTO_TEST_CASE(read_is_made_again_after_a_signal) {
  Pipe pipe;
  pipe.write("x");
  testing::Faults faults;
  faults.fail(testing::Call::kRead, std::errc::interrupted, {.times = 2});
  BOOST_TEST(!read_available(pipe.reader.get(), pipe.space, pipe.count));
  BOOST_TEST(pipe.count == 1U);
  BOOST_TEST(faults.count(testing::Call::kRead) == 3U);
}

BOOST_AUTO_TEST_CASE(file_is_opened_close_on_exec_or_error_says_why_not) {
  platform::Descriptor file;
  BOOST_TEST(!open_for_reading("/dev/null", file));
  const int opened = file.get();
  BOOST_TEST((::fcntl(opened, F_GETFD) & FD_CLOEXEC) != 0);
  const std::error_code missing = open_for_reading("/no/such/file", file);
  BOOST_TEST((missing == std::errc::no_such_file_or_directory));
  BOOST_TEST(file.get() == opened);
}

BOOST_AUTO_TEST_CASE(limit_is_raised_and_never_lowered) {
  const std::uint64_t now = raise_descriptor_limit(0);
  BOOST_TEST(now > 0U);
  BOOST_TEST(raise_descriptor_limit(1) == now);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard
