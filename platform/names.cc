#include "pollard/platform/names.h"

#include <netdb.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "pollard/base/error.h"
#include "pollard/platform/socket_address.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {
namespace {

// Numbers that some systems lack get zero, which no failure has.
#if defined(EAI_NODATA)
constexpr int kNoData = EAI_NODATA;
#else
constexpr int kNoData = 0;
#endif
#if defined(EAI_ADDRFAMILY)
constexpr int kAddressFamily = EAI_ADDRFAMILY;
#else
constexpr int kAddressFamily = 0;
#endif
#if defined(EAI_OVERFLOW)
constexpr int kOverflow = EAI_OVERFLOW;
#else
constexpr int kOverflow = 0;
#endif

std::error_code error_of(int answer) {
  if (answer == 0) return {};
  if (answer < 0) return {-answer, std::system_category()};
  const auto is = [answer](int number) { return answer == std::abs(number); };
  if (is(EAI_NONAME) || is(kNoData) || is(kAddressFamily)) return Error::kHostNotFound;
  if (is(EAI_SERVICE)) return Error::kServiceNotFound;
  if (is(EAI_AGAIN)) return Error::kNameServiceBusy;
  if (is(EAI_MEMORY)) return std::make_error_code(std::errc::not_enough_memory);
  if (is(kOverflow)) return std::make_error_code(std::errc::filename_too_long);
  return Error::kNameServiceFailed;
}

// Gives an answer back, also when memory gets short while it is read.
struct Answer {
  addrinfo* list;
  ~Answer() { system_calls().freeaddrinfo(list); }
};

void append(const addrinfo& entry, std::vector<Endpoint>& found) {
  SocketAddress address;
  if (entry.ai_addr == nullptr || entry.ai_addrlen > sizeof address.storage) return;
  std::memcpy(&address.storage, entry.ai_addr, entry.ai_addrlen);
  address.size = entry.ai_addrlen;
  Endpoint endpoint = to_endpoint(address);
  const bool new_here =
      endpoint.family != Family::kNone && std::ranges::count(found, endpoint) == 0;
  if (new_here) found.push_back(std::move(endpoint));
}

}  // namespace

std::error_code look_up(const std::string& host, const std::string& service,
                        std::vector<Endpoint>& found) {
  // Without AI_ADDRCONFIG, which would hide a loopback address on a machine that has no other of
  // its family: an address that can't be reached costs a connect that fails at once.
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int answer = system_calls().getaddrinfo(host.c_str(), service.c_str(), &hints, &list);
  if (answer != 0) return error_of(answer);
  const Answer owner{list};
  found.clear();
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    append(*entry, found);
  }
  return found.empty() ? make_error_code(Error::kHostNotFound) : std::error_code();
}

}  // namespace pollard::platform
