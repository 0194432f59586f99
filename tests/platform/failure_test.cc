// The classification of every errno that this system has, for every operation, as the manual pages
// and the systems' sources have it. The lists here were written from those pages, not from the
// table.
#include "pollard/platform/failure.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/testkit/sim/errno_names.h"

namespace pollard::platform {
namespace {

using sim::errno_named;
using sim::errno_names;
using Names = std::vector<std::string_view>;

struct Promise {
  const char* name;
  Operation operation;
  FailureKind others;  // of errnos that are in no list
  std::map<FailureKind, Names> lists;
};

// ENOTCAPABLE and ECAPMODE are capsicum(4)'s; ENOSYS is a kernel or a sandbox without the call.
const Names kAbsent = {"ENOSYS", "ENOTCAPABLE", "ECAPMODE"};
const Names kShort = {"ENOMEM", "ENOBUFS", "EMFILE", "ENFILE", "ENOSR", "EQFULL"};
const Names kBadCall = {"EBADF", "EFAULT", "ENOTSOCK"};

Names operator+(Names left, const Names& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

std::vector<Promise> promises() {
  using enum FailureKind;
  return {
      // accept(2): "… already-pending network errors … should be treated like EAGAIN by retrying."
      {"accept",
       Operation::kAccept,
       kPeer,
       {{kTransient, {"EINTR", "EAGAIN", "EWOULDBLOCK"}},
        {kShortage, {"ENOMEM", "ENOBUFS", "EMFILE", "ENFILE"}},
        {kUnavailable, kAbsent},
        {kPermanent, kBadCall + Names{"EINVAL"}}}},
      // What a later attempt can't change: the wrong family, type or address.
      {"connect",
       Operation::kConnect,
       kPeer,
       {{kTransient, {"EINTR", "EINPROGRESS", "EALREADY"}},
        {kShortage, kShort + Names{"ENOSPC"}},
        {kUnavailable, kAbsent},
        {kPermanent,
         kBadCall + Names{"EAFNOSUPPORT", "EPFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT",
                          "EPROTOTYPE", "EDESTADDRREQ", "ENAMETOOLONG", "EISCONN"}}}},
      {"send",
       Operation::kSend,
       kPeer,
       {{kTransient, {"EINTR", "EAGAIN", "EWOULDBLOCK"}},
        {kShortage, kShort},
        {kUnavailable, kAbsent},
        {kPermanent, kBadCall}}},
      {"receive",
       Operation::kReceive,
       kPeer,
       {{kTransient, {"EINTR", "EAGAIN", "EWOULDBLOCK"}},
        {kShortage, kShort},
        {kUnavailable, kAbsent},
        {kPermanent, kBadCall}}},
      // poll(2) of macOS fails with EAGAIN for lack of memory; seccomp(2) says EPERM or EACCES.
      {"wait",
       Operation::kWait,
       kPermanent,
       {{kTransient, {"EINTR"}},
        {kShortage, kShort + Names{"EAGAIN", "EWOULDBLOCK", "ENOSPC"}},
        {kUnavailable, kAbsent + Names{"EPERM", "EACCES"}}}},
      // epoll_ctl(2): ENOSPC is max_user_watches; EPERM is a regular file. No call of this kind
      // makes a descriptor.
      {"watch",
       Operation::kWatch,
       kPermanent,
       {{kTransient, {"EINTR"}},
        {kShortage, {"ENOMEM", "ENOBUFS", "ENOSR", "EQFULL", "EAGAIN", "EWOULDBLOCK", "ENOSPC"}},
        {kUnavailable, kAbsent}}},
      {"resolve",
       Operation::kResolve,
       kPeer,
       {{kTransient, {"EINTR"}},
        {kShortage, kShort + Names{"EAGAIN", "EWOULDBLOCK"}},
        {kUnavailable, kAbsent}}},
  };
}

FailureKind promised(const Promise& promise, int number) {
  for (const auto& [kind, names] : promise.lists) {
    for (const std::string_view name : names) {
      if (errno_named(name) == number) return kind;
    }
  }
  return promise.others;
}

std::error_code code(std::string_view name) { return {errno_named(name), std::system_category()}; }

BOOST_AUTO_TEST_SUITE(failure)

BOOST_AUTO_TEST_CASE(each_errno_has_promised_kind_for_each_operation) {
  for (const Promise& promise : promises()) {
    for (const sim::ErrnoName& error : errno_names()) {
      BOOST_TEST_CONTEXT(promise.name << " fails with " << error.name) {
        const auto kind = classify(promise.operation, {error.number, std::system_category()});
        BOOST_TEST(to_string(kind) == to_string(promised(promise, error.number)));
      }
    }
  }
}

// The text of an errno that the C library doesn't know is that of any other unknown number, but
// for the number in it.
BOOST_AUTO_TEST_CASE(list_of_names_holds_each_errno_that_the_system_describes) {
  const auto is_described = [](int number) {
    std::string unknown = std::strerror(12'345);
    unknown.replace(unknown.find("12345"), 5, std::to_string(number));
    return std::strerror(number) != unknown;
  };
  for (int number = 1; number <= 150; ++number) {
    const bool is_listed = std::ranges::count(errno_names(), number, &sim::ErrnoName::number) == 1;
    BOOST_TEST(is_listed == is_described(number), "errno " << number);
  }
}

BOOST_AUTO_TEST_CASE(error_of_other_category_counts_as_its_condition) {
  const auto kind = [](std::error_code error) { return classify(Operation::kWait, error); };
  BOOST_TEST((kind(std::make_error_code(std::errc::not_enough_memory)) == FailureKind::kShortage));
  BOOST_TEST((kind(Error::kIdleTimeout) == FailureKind::kPermanent), "ETIMEDOUT, of no wait");
  // The library's own numbers are no errnos: the first of them is not EPERM.
  for (const Error error : {Error::kHostNotFound, Error::kNameServiceBusy}) {
    BOOST_TEST((kind(error) == FailureKind::kPermanent));
    BOOST_TEST((classify(Operation::kConnect, error) == FailureKind::kPeer));
  }
}

BOOST_AUTO_TEST_CASE(call_is_absent_when_kernel_or_sandbox_says_so) {
  for (const sim::ErrnoName& error : errno_names()) {
    const Names absent = kAbsent + Names{"EPERM", "EACCES"};
    BOOST_TEST(is_absent(Result(-error.number)) == (std::ranges::count(absent, error.name) == 1),
               error.name);
  }
  BOOST_TEST(!is_absent(Result(0)));
  BOOST_TEST(!is_absent(Result(1)));
}

BOOST_AUTO_TEST_CASE(kind_has_name) {
  BOOST_TEST(to_string(FailureKind::kTransient) == "transient");
  BOOST_TEST(to_string(FailureKind::kPeer) == "peer");
  BOOST_TEST(to_string(FailureKind::kShortage) == "shortage");
  BOOST_TEST(to_string(FailureKind::kUnavailable) == "unavailable");
  BOOST_TEST(to_string(FailureKind::kPermanent) == "permanent");
}

// What a list of std::errc can't say.
BOOST_AUTO_TEST_CASE(network_errors_without_std_errc_are_of_the_peer) {
  for (const char* const name : {"EHOSTDOWN", "ENONET"}) {
    if (errno_named(name) == 0) continue;
    BOOST_TEST((classify(Operation::kAccept, code(name)) == FailureKind::kPeer));
    BOOST_TEST((classify(Operation::kConnect, code(name)) == FailureKind::kPeer));
    BOOST_TEST((classify(Operation::kSend, code(name)) == FailureKind::kPeer));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
