// Places as people write them: which are names, which are addresses, and what is refused.
#include "pollard/net/names/host_port.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>
#include <system_error>

namespace pollard::testing {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

BOOST_AUTO_TEST_SUITE(host_port)

BOOST_AUTO_TEST_CASE(a_name_is_kept_and_not_looked_up) {
  const HostPort web("www.example.org:80");
  BOOST_TEST(!web.is_literal());
  BOOST_TEST(web.address().empty());
  BOOST_TEST(web.host() == "www.example.org");
  BOOST_TEST(web.service() == "80");
  const HostPort named = HostPort::parse("host-1_a.example.:http");
  BOOST_TEST(named.host() == "host-1_a.example.");
  BOOST_TEST(named.service() == "http");
  BOOST_TEST(HostPort("bücher.example:80").host() == "bücher.example");
}

BOOST_AUTO_TEST_CASE(an_address_is_a_literal) {
  for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:80", "unix:/run/it.sock", "*:80"}) {
    const HostPort literal(text);
    BOOST_TEST(literal.is_literal(), text);
    BOOST_TEST((literal.address() == Address::parse(text)));
    BOOST_TEST(literal.to_string() == text);
    BOOST_TEST(literal.is_wildcard() == ("*:80"sv == text));
  }
  const HostPort converted = Address::loopback(80);
  BOOST_TEST((converted == HostPort("127.0.0.1:80"s)));
  BOOST_TEST(!HostPort(Address::any(80)).is_wildcard());
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read_again) {
  for (const char* text : {"localhost:7007", "example.org:http", "127.1:80"}) {
    BOOST_TEST(HostPort(text).to_string() == text);
    BOOST_TEST((HostPort::parse(HostPort(text).to_string()) == HostPort(text)));
  }
}

BOOST_AUTO_TEST_CASE(what_is_none_is_refused_and_changes_nothing) {
  for (const std::string_view text : {""sv,
                                      ":"sv,
                                      "host"sv,
                                      "host:"sv,
                                      ":80"sv,
                                      "host:65536"sv,
                                      "host:99999999999"sv,
                                      "host:-1"sv,
                                      "host: 80"sv,
                                      " host:80"sv,
                                      "ho st:80"sv,
                                      "host:80/"sv,
                                      "http://host:80"sv,
                                      "user@host:80"sv,
                                      "[host]:80"sv,
                                      "[::1]"sv,
                                      "::1:80"sv,
                                      "[::1:80"sv,
                                      "2001:db8::1"sv,
                                      "ho\0st:80"sv,
                                      "host:8\0"sv,
                                      "unix:"sv,
                                      "host\n:80"sv,
                                      "[fe80::1%nosuch]:80"sv}) {
    HostPort parsed("before.example:1");
    BOOST_TEST((HostPort::parse(text, parsed) == std::errc::invalid_argument), text);
    BOOST_TEST(parsed.host() == "before.example");
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_says_what_was_given_and_what_is_wanted) {
  BOOST_CHECK_EXCEPTION(HostPort("host"), std::system_error, [](const std::system_error& error) {
    const std::string_view what = error.what();
    return error.code() == std::errc::invalid_argument && what.starts_with("address 'host'") &&
           what.find("example.org:80") != std::string_view::npos;
  });
}

BOOST_AUTO_TEST_CASE(a_path_that_is_too_long_says_so) {
  HostPort parsed("before.example:1");
  BOOST_TEST(
      (HostPort::parse("unix:/" + std::string(500, 'x'), parsed) == std::errc::filename_too_long));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
