// Looking names up: what the system's answers become. No test here asks a name server: numbers are
// looked up, or the answer is a test's own.
#include "pollard/platform/names.h"

#include <netdb.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/names/address.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/fake_names.h"

namespace pollard::testing {
namespace {

BOOST_AUTO_TEST_SUITE(names)

BOOST_AUTO_TEST_CASE(numbers_are_names_of_themselves) {
  std::vector<platform::Endpoint> found;
  BOOST_TEST(!platform::look_up("192.0.2.1", "80", found));
  BOOST_TEST_REQUIRE(found.size() == 1U);
  BOOST_TEST(Address(found[0]).to_string() == "192.0.2.1:80");
  BOOST_TEST(!platform::look_up("2001:db8::1", "7007", found));
  BOOST_TEST_REQUIRE(found.size() == 1U, "the former answer is replaced");
  BOOST_TEST(Address(found[0]).to_string() == "[2001:db8::1]:7007");
}

BOOST_AUTO_TEST_CASE(the_order_is_kept_and_what_comes_twice_is_told_once) {
  Faults faults;
  FakeNames names(faults);
  const Address first = Address::parse("[2001:db8::1]:80");
  const Address second = Address::parse("192.0.2.1:80");
  const Address third = Address::parse("[2001:db8::2]:80");
  names.know("host.example", {first, second, first, third, second});
  std::vector<platform::Endpoint> found;
  BOOST_TEST(!platform::look_up("host.example", "80", found));
  BOOST_TEST((found == std::vector{first.endpoint(), second.endpoint(), third.endpoint()}));
}

BOOST_AUTO_TEST_CASE(each_failure_has_a_code) {
  struct {
    int answer;
    std::error_code code;
  } const kCases[] = {
      {std::abs(EAI_NONAME), Error::kHostNotFound},
      {std::abs(EAI_SERVICE), Error::kServiceNotFound},
      {std::abs(EAI_AGAIN), Error::kNameServiceBusy},
      {std::abs(EAI_FAIL), Error::kNameServiceFailed},
      {std::abs(EAI_MEMORY), std::make_error_code(std::errc::not_enough_memory)},
      {std::abs(EAI_FAMILY), Error::kNameServiceFailed},
      {-EMFILE, std::error_code(EMFILE, std::system_category())},
  };
  Faults faults;
  FakeNames names(faults);
  for (const auto& [answer, code] : kCases) {
    names.fail("host.example", answer);
    std::vector<platform::Endpoint> found;
    BOOST_TEST(platform::look_up("host.example", "80", found) == code);
    BOOST_TEST(found.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_host_without_addresses_is_not_found) {
  Faults faults;
  FakeNames names(faults);
  names.know("host.example", {});
  std::vector<platform::Endpoint> found;
  BOOST_TEST((platform::look_up("host.example", "80", found) == Error::kHostNotFound));
}

BOOST_AUTO_TEST_CASE(an_answer_of_the_table_of_faults_is_the_systems) {
  Faults faults;
  faults.fail(Call::kGetaddrinfo, std::errc::too_many_files_open);
  std::vector<platform::Endpoint> found;
  BOOST_TEST((platform::look_up("127.0.0.1", "80", found) == std::errc::too_many_files_open));
  BOOST_TEST(faults.count(Call::kGetaddrinfo) == 1U);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
