// Addresses: what is read, what is written, what is refused and in which words.
#include "pollard/net/names/address.h"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "pollard/platform/socket.h"
#include "pollard/testkit/forked.h"
#include "pollard/testkit/sockets.h"

namespace pollard::testing {
namespace {

using namespace std::string_literals;

const std::error_code kInvalid = std::make_error_code(std::errc::invalid_argument);

// What `action` throws, and what it says.
template <class Action>
std::system_error thrown_by(Action action) {
  try {
    action();
  } catch (const std::system_error& error) {
    return error;
  }
  BOOST_FAIL("nothing was thrown");
  return std::system_error(std::error_code());
}

// The name of this machine's loopback interface: "lo" on Linux, "lo0" elsewhere.
std::string loopback_interface() {
  for (const char* name : {"lo", "lo0"}) {
    Address address;
    if (!Address::parse("[fe80::1%"s + name + "]:1", address)) return name;
  }
  BOOST_FAIL("a machine without a loopback interface");
  return {};
}

BOOST_AUTO_TEST_SUITE(address)

BOOST_AUTO_TEST_CASE(what_is_written_as_it_is_read) {
  for (const char* text :
       {"192.0.2.1:80", "0.0.0.0:0", "255.255.255.255:65535", "127.0.0.1:1", "[2001:db8::1]:80",
        "[::]:0", "[::1]:65535", "[fe80::1]:443", "[::ffff:192.0.2.1]:80",
        "[2001:db8:1:2:3:4:5:6]:7", "unix:/run/socket", "unix:relative",
        "unix:/with space:and:colons", "unix:@abstract", "unix:@", "unix:unix:"}) {
    BOOST_TEST_CONTEXT(text) {
      const Address address = Address::parse(text);
      BOOST_TEST(address.to_string() == text);
      BOOST_TEST((Address::parse(address.to_string()) == address));
      BOOST_TEST(address.is_ipv4() + address.is_ipv6() + address.is_unix() == 1);
      BOOST_TEST(!address.empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(other_spellings_are_read_and_written_in_the_usual_one) {
  const auto written = [](std::string_view text) { return Address::parse(text).to_string(); };
  BOOST_TEST(written("*:80") == "0.0.0.0:80");
  BOOST_TEST(written("*:0") == "0.0.0.0:0");
  BOOST_TEST(written("[2001:DB8:0:0:0:0:0:1]:80") == "[2001:db8::1]:80");
  BOOST_TEST(written("127.0.0.1:00080") == "127.0.0.1:80");
  BOOST_TEST(written("[fe80::1%0]:80") == "[fe80::1]:80");
}

BOOST_AUTO_TEST_CASE(a_scope_is_an_interface_by_name_or_by_number) {
  const std::string name = loopback_interface();
  const Address named = Address::parse("[fe80::1%" + name + "]:80");
  BOOST_TEST(named.to_string() == "[fe80::1%" + name + "]:80");
  const std::uint32_t number = named.endpoint().scope;
  BOOST_TEST(number > 0U);
  BOOST_TEST((Address::parse("[fe80::1%" + std::to_string(number) + "]:80") == named));
  BOOST_TEST((Address::parse("[fe80::1]:80") != named));
  // A number that no interface has is kept as it is.
  BOOST_TEST(Address::parse("[fe80::1%4294967295]:80").to_string() == "[fe80::1%4294967295]:80");
}

const std::string kNotAddresses[] = {"",
                                     ":",
                                     "80",
                                     ":80",
                                     "127.0.0.1",
                                     "127.0.0.1:",
                                     "127.0.0.1:http",
                                     "127.0.0.1:-1",
                                     "127.0.0.1:+80",
                                     "127.0.0.1: 80",
                                     "127.0.0.1:80 ",
                                     " 127.0.0.1:80",
                                     "127.0.0.1:65536",
                                     "127.0.0.1:99999999999999999999",
                                     "127.0.0.1:0x50",
                                     "127.0.0.1:80:80",
                                     "127.0.0:80",
                                     "127.0.0.256:80",
                                     "127.0.0.1.1:80",
                                     "1:80",
                                     "0x7f.0.0.1:80",
                                     "127.0.0.1%lo:80",
                                     "localhost:80",
                                     "example.org:80",
                                     "**:80",
                                     "[*]:80",
                                     "::1:80",
                                     "2001:db8::1:80",
                                     "[::1]",
                                     "[::1]80",
                                     "[::1]:",
                                     "::1]:80",
                                     "[::1:80",
                                     "[]:80",
                                     "[:]:80",
                                     "[:::]:80",
                                     "[::1::2]:80",
                                     "[127.0.0.1]:80",
                                     "[::g]:80",
                                     "[1:2:3:4:5:6:7:8:9]:80",
                                     "[fe80::1%]:80",
                                     "[fe80::1%no-such-interface]:80",
                                     "[fe80::1%4294967296]:80",
                                     "[[::1]]:80",
                                     "[::1]:80x",
                                     "unix:",
                                     "Unix:/path",
                                     "unix:/nul\0inside"s,
                                     "unix:@\0"s,
                                     "127.0.0.1\0:80"s,
                                     "127.0.0.1:80\0"s,
                                     "[::1\0]:80"s,
                                     "\0"s};

BOOST_AUTO_TEST_CASE(what_is_no_address_is_an_invalid_argument_that_leaves_the_old_one) {
  const Address before = Address::loopback(7);
  for (const std::string& text : kNotAddresses) {
    BOOST_TEST_CONTEXT('\'' << text << '\'') {
      Address address = before;
      BOOST_TEST(Address::parse(text, address) == kInvalid);
      BOOST_TEST((address == before));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_error_says_what_was_given_and_what_is_wanted) {
  for (const std::string& text : kNotAddresses) {
    BOOST_TEST_CONTEXT('\'' << text << '\'') {
      const std::system_error error = thrown_by([&] { std::ignore = Address::parse(text); });
      const std::string message = error.what();
      BOOST_TEST(error.code() == kInvalid);
      const std::string visible = text.substr(0, text.find('\0'));
      BOOST_TEST(message.find("address '" + visible) == 0U, message);
      BOOST_TEST(message.find("192.0.2.1:80") != std::string::npos, message);
      BOOST_TEST(message.find("unix:/path") != std::string::npos, message);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_port_is_any_number_of_sixteen_bits) {
  for (const auto port : std::initializer_list<std::uint16_t>{0, 1, 80, 65534, 65535}) {
    BOOST_TEST(Address::any(port).port() == port);
    BOOST_TEST(Address::parse("10.0.0.1:" + std::to_string(port)).port() == port);
    BOOST_TEST(Address::parse("[::]:" + std::to_string(port)).port() == port);
  }
}

BOOST_AUTO_TEST_CASE(the_well_known_places_are_what_their_names_say) {
  BOOST_TEST(Address::any(1).to_string() == "0.0.0.0:1");
  BOOST_TEST(Address::any_ipv6(2).to_string() == "[::]:2");
  BOOST_TEST(Address::loopback(3).to_string() == "127.0.0.1:3");
  BOOST_TEST(Address::loopback_ipv6(4).to_string() == "[::1]:4");
  BOOST_TEST(Address::any(0).is_ipv4());
  BOOST_TEST(Address::any_ipv6(0).is_ipv6());
  BOOST_TEST(Address::unix_path("/run/socket").is_unix());
}

BOOST_AUTO_TEST_CASE(no_address_is_empty_and_says_so) {
  const Address none;
  BOOST_TEST(none.empty());
  BOOST_TEST(!none.is_ipv4());
  BOOST_TEST(!none.is_ipv6());
  BOOST_TEST(!none.is_unix());
  BOOST_TEST(none.port() == 0);
  BOOST_TEST(none.path() == "");
  BOOST_TEST(none.to_string() == "(none)");
  BOOST_TEST((none == Address()));
  BOOST_TEST((none != Address::any(0)));
}

BOOST_AUTO_TEST_CASE(addresses_are_equal_when_they_name_the_same_place) {
  const std::vector<Address> different = {
      Address(),
      Address::any(0),
      Address::any(1),
      Address::loopback(1),
      Address::any_ipv6(0),
      Address::any_ipv6(1),
      Address::loopback_ipv6(1),
      Address::parse("[::ffff:127.0.0.1]:1"),
      Address::parse("[fe80::1%1]:1"),
      Address::parse("[fe80::1%2]:1"),
      Address::unix_path("a"),
      Address::unix_path("@a"),
      Address::unix_path("b"),
  };
  for (std::size_t i = 0; i < different.size(); ++i) {
    for (std::size_t j = 0; j < different.size(); ++j) {
      BOOST_TEST((different[i] == different[j]) == (i == j),
                 different[i].to_string() << " and " << different[j].to_string());
    }
  }
  BOOST_TEST((Address::unix_path("/same") == Address::parse("unix:/same")));
}

BOOST_AUTO_TEST_CASE(another_port_is_the_same_place) {
  for (const char* text : {"192.0.2.1:80", "[fe80::1%1]:80"}) {
    const Address address = Address::parse(text);
    const Address other = address.with_port(8080);
    BOOST_TEST(other.port() == 8080);
    BOOST_TEST(address.port() == 80);
    BOOST_TEST((other.with_port(80) == address));
  }
}

BOOST_AUTO_TEST_CASE(a_place_without_ports_has_no_other_one) {
  BOOST_TEST(aborts([] { std::ignore = Address().with_port(1); }));
  BOOST_TEST(aborts([] { std::ignore = Address::unix_path("/path").with_port(1); }));
}

BOOST_AUTO_TEST_CASE(a_path_is_given_back_as_it_was_given) {
  BOOST_TEST(Address::unix_path("/run/socket").path() == "/run/socket");
  BOOST_TEST(Address::unix_path("@name").path() == "@name");
  BOOST_TEST(Address::unix_path("@name").endpoint().path_view() == "\0name"s);
  BOOST_TEST(Address::unix_path("@name").to_string() == "unix:@name");
  BOOST_TEST(Address::loopback(1).path() == "");
}

BOOST_AUTO_TEST_CASE(a_path_is_as_long_as_the_system_allows_and_no_longer) {
  const std::size_t longest = platform::longest_unix_path();
  for (const char first : {'/', '@'}) {
    const std::string path = first + std::string(longest - 1, 'x');
    BOOST_TEST(Address::unix_path(path).path() == path);
    BOOST_TEST(Address::parse("unix:" + path).path() == path);
    const std::system_error error =
        thrown_by([&] { std::ignore = Address::unix_path(path + 'x'); });
    const std::string message = error.what();
    BOOST_TEST((error.code() == std::errc::filename_too_long));
    BOOST_TEST(message.find(path + 'x') != std::string::npos, message);
    BOOST_TEST(message.find(std::to_string(longest)) != std::string::npos, message);
    Address address;
    BOOST_TEST((Address::parse("unix:" + path + 'x', address) == std::errc::filename_too_long));
    BOOST_TEST(address.empty());
  }
}

BOOST_AUTO_TEST_CASE(what_can_be_no_path_is_an_invalid_argument) {
  for (const std::string& path : {""s, "nul\0inside"s, "\0abstract"s}) {
    const std::system_error error = thrown_by([&] { std::ignore = Address::unix_path(path); });
    BOOST_TEST(error.code() == kInvalid);
  }
}

BOOST_AUTO_TEST_CASE(the_longest_names_can_be_bound_and_come_back_from_the_system) {
  const std::string directory = "/tmp/pollard-address-" + std::to_string(::getpid()) + '-';
  const std::size_t longest = platform::longest_unix_path();
  const std::string path = directory + std::string(longest - directory.size(), 'p');
  const platform::Result made = platform::open_stream_socket(platform::Family::kUnix);
  BOOST_TEST_REQUIRE(made.ok());
  const Descriptor socket(made.descriptor());
  const Address address = Address::unix_path(path);
  BOOST_TEST_REQUIRE(platform::bind_socket(socket.get(), address.endpoint()).ok());
  platform::Endpoint bound;
  BOOST_TEST(platform::local_endpoint(socket.get(), bound).ok());
  ::unlink(path.c_str());
  BOOST_TEST((Address(bound) == address), Address(bound).to_string());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
