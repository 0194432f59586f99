#include "pollard/platform/endpoint.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "pollard/platform/socket_address.h"

namespace pollard::platform {
namespace {

using namespace std::string_view_literals;

Endpoint ip(std::string_view text, std::uint16_t port = 0) {
  Endpoint endpoint{.port = port};
  BOOST_TEST_REQUIRE(parse_ip(text, endpoint), text);
  return endpoint;
}

Endpoint unix_path(std::string_view path) {
  return {.family = Family::kUnix, .path = std::make_shared<const std::string>(path)};
}

Endpoint round_trip(const Endpoint& endpoint) { return to_endpoint(to_socket_address(endpoint)); }

BOOST_AUTO_TEST_SUITE(endpoint)

BOOST_AUTO_TEST_CASE(an_address_is_formatted_as_it_was_written) {
  for (const char* text : {"0.0.0.0", "127.0.0.1", "192.0.2.255", "::", "::1", "2001:db8::1",
                           "fe80::1", "::ffff:192.0.2.1"}) {
    BOOST_TEST(format_ip(ip(text)) == text);
  }
  BOOST_TEST(format_ip(ip("2001:DB8:0:0:0:0:0:1")) == "2001:db8::1");
}

BOOST_AUTO_TEST_CASE(a_parsed_address_keeps_its_port) {
  const Endpoint four = ip("192.0.2.1", 80);
  BOOST_TEST((four.family == Family::kIpv4));
  BOOST_TEST(four.port == 80);
  const Endpoint six = ip("2001:db8::1", 443);
  BOOST_TEST((six.family == Family::kIpv6));
  BOOST_TEST(six.port == 443);
  BOOST_TEST(six.scope == 0U);
}

BOOST_AUTO_TEST_CASE(what_is_no_address_is_refused_and_changes_nothing) {
  Endpoint endpoint = ip("192.0.2.1", 80);
  const Endpoint before = endpoint;
  for (const std::string_view text : {""sv,
                                      " "sv,
                                      "localhost"sv,
                                      "1.2.3"sv,
                                      "1.2.3.4.5"sv,
                                      "256.0.0.1"sv,
                                      "1.2.3.4 "sv,
                                      "127.0.0.1\0"sv,
                                      "127.0.0.1\0.example"sv,
                                      "::1\0"sv,
                                      "fe80::1%1\0"sv,
                                      ":::"sv,
                                      "[::1]"sv,
                                      "1.2.3.4:80"sv,
                                      "1.2.3.4%1"sv,
                                      "fe80::1%"sv,
                                      "fe80::1%no-such-interface"sv,
                                      "fe80::1%99999999999"sv,
                                      "fe80::1%-1"sv,
                                      "fe80::1%1%1"sv,
                                      "%1"sv,
                                      "g::1"sv}) {
    BOOST_TEST(!parse_ip(text, endpoint), '\'' << text << '\'');
    BOOST_TEST((endpoint == before));
  }
}

BOOST_AUTO_TEST_CASE(a_long_text_is_refused) {
  Endpoint endpoint;
  BOOST_TEST(!parse_ip(std::string(100'000, '1'), endpoint));
  BOOST_TEST(!parse_ip("fe80::1%" + std::string(100'000, 'x'), endpoint));
}

BOOST_AUTO_TEST_CASE(a_scope_is_a_number_or_the_name_of_an_interface) {
  BOOST_TEST(ip("fe80::1%7").scope == 7U);
  BOOST_TEST(ip("fe80::1%4294967295").scope == 4294967295U);
  struct if_nameindex* const interfaces = ::if_nameindex();
  BOOST_TEST_REQUIRE(interfaces != nullptr);
  for (const struct if_nameindex* each = interfaces; each->if_index != 0; ++each) {
    const std::string text = std::string("fe80::1%") + each->if_name;
    BOOST_TEST(ip(text).scope == each->if_index);
    BOOST_TEST(format_ip(ip(text)) == text);
    BOOST_TEST(format_ip(ip("fe80::1%" + std::to_string(each->if_index))) == text);
  }
  ::if_freenameindex(interfaces);
  BOOST_TEST(format_ip(ip("fe80::1%4000000000")) == "fe80::1%4000000000");
}

BOOST_AUTO_TEST_CASE(addresses_survive_the_systems_structures) {
  for (const Endpoint& endpoint :
       {ip("192.0.2.1", 80), ip("0.0.0.0", 0), ip("255.255.255.255", 65535), ip("::1", 443),
        ip("fe80::1%7", 1), unix_path("/run/pollard.sock"), unix_path("relative"),
        unix_path("\0abstract"sv), unix_path("\0with\0zeros\0"sv),
        unix_path(std::string(longest_unix_path(), 'x')), unix_path("")}) {
    BOOST_TEST((round_trip(endpoint) == endpoint));
  }
}

BOOST_AUTO_TEST_CASE(the_size_is_that_of_the_familys_structure) {
  BOOST_TEST(to_socket_address(ip("192.0.2.1")).size == sizeof(sockaddr_in));
  BOOST_TEST(to_socket_address(ip("::1")).size == sizeof(sockaddr_in6));
  const std::size_t start = offsetof(sockaddr_un, sun_path);
  BOOST_TEST(to_socket_address(unix_path("/a")).size == start + 3);
  BOOST_TEST(to_socket_address(unix_path("\0a"sv)).size == start + 2);
}

BOOST_AUTO_TEST_CASE(the_port_is_in_network_byte_order_there) {
  const SocketAddress address = to_socket_address(ip("192.0.2.1", 0x1234));
  sockaddr_in structure{};
  std::memcpy(&structure, &address.storage, sizeof structure);
  BOOST_TEST(structure.sin_port == htons(0x1234));
  BOOST_TEST(structure.sin_addr.s_addr == htonl(0xc0000201U));
}

// A path may fill the structure without a NUL; Linux then counts the one that isn't there.
BOOST_AUTO_TEST_CASE(a_path_that_fills_the_structure_is_read_to_its_end) {
  SocketAddress address;
  sockaddr_un structure{};
  structure.sun_family = AF_UNIX;
  std::memset(structure.sun_path, 'x', sizeof structure.sun_path);
  std::memcpy(&address.storage, &structure, sizeof structure);
  const std::string whole(sizeof structure.sun_path, 'x');
  for (const std::size_t size : {sizeof structure, sizeof structure + 1}) {
    address.size = static_cast<socklen_t>(size);
    BOOST_TEST(to_endpoint(address).path_view() == whole);
  }
}

BOOST_AUTO_TEST_CASE(an_unnamed_socket_has_no_path) {
  SocketAddress address;
  address.storage.ss_family = AF_UNIX;
  address.size = offsetof(sockaddr_un, sun_path);
  const Endpoint endpoint = to_endpoint(address);
  BOOST_TEST((endpoint.family == Family::kUnix));
  BOOST_TEST(endpoint.path_view().empty());
}

// FreeBSD, OpenBSD and macOS: sun_noname of uipc_usrreq.c, 16 bytes of which 14 are NUL.
BOOST_AUTO_TEST_CASE(structure_of_nuls_is_unnamed_socket) {
  SocketAddress address;
  address.storage.ss_family = AF_UNIX;
  for (const std::size_t size : {std::size_t{16}, sizeof(sockaddr_un)}) {
    address.size = static_cast<socklen_t>(size);
    BOOST_TEST((to_endpoint(address) == unix_path("")));
  }
}

BOOST_AUTO_TEST_CASE(a_family_that_is_not_ours_is_no_endpoint) {
  SocketAddress address;
  address.storage.ss_family = AF_UNSPEC;
  BOOST_TEST((to_endpoint(address).family == Family::kNone));
}

BOOST_AUTO_TEST_CASE(endpoints_are_equal_when_all_that_they_say_is) {
  BOOST_TEST((ip("::1", 1) == ip("::1", 1)));
  BOOST_TEST((ip("::1", 1) != ip("::1", 2)));
  BOOST_TEST((ip("fe80::1%1", 1) != ip("fe80::1%2", 1)));
  BOOST_TEST((ip("127.0.0.1") != ip("::ffff:127.0.0.1")));
  BOOST_TEST((unix_path("a") == unix_path("a")));
  BOOST_TEST((unix_path("a") != unix_path("b")));
  BOOST_TEST((unix_path("") == Endpoint{.family = Family::kUnix}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
