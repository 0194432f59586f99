#include "pollard/net/names/address.h"

#include <string>
#include <system_error>

#include "pollard/base/assert.h"
#include "pollard/tests/fuzz/script.h"

namespace pollard::fuzz {

void fuzz_address(Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Address address;
  const std::error_code failed = Address::parse(text, address);
  bool thrown = false;
  try {
    POLLARD_ASSERT(Address::parse(text) == address, "both ways of parsing agree");
  } catch (const std::system_error&) {
    thrown = true;
  }
  POLLARD_ASSERT(thrown == static_cast<bool>(failed), "both ways of parsing fail alike");
  POLLARD_ASSERT(address.empty() == static_cast<bool>(failed), "what fails changes nothing");
  if (failed) return;
  const std::string written = address.to_string();
  Address again;
  POLLARD_ASSERT(!Address::parse(written, again), "what to_string() writes, parse() reads");
  POLLARD_ASSERT(again == address, "and it is the same place");
  POLLARD_ASSERT(again.to_string() == written, "written the same way");
  POLLARD_ASSERT(address.is_ipv4() + address.is_ipv6() + address.is_unix() == 1,
                 "an address is of one family");
  if (!address.is_unix()) {
    POLLARD_ASSERT(address.with_port(address.port()) == address, "a port is a port");
  }
}

}  // namespace pollard::fuzz
