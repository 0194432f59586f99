#include "pollard/platform/failure.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "pollard/base/assert.h"

namespace pollard::platform {
namespace {

// Some systems lack some of these. Zero is no error, so it never matches.
#if defined(ENOSR)  // Linux, macOS, NetBSD
constexpr int kNoStreams = ENOSR;
#else
constexpr int kNoStreams = 0;
#endif
#if defined(ESOCKTNOSUPPORT)  // all but Haiku
constexpr int kNoSocketType = ESOCKTNOSUPPORT;
#else
constexpr int kNoSocketType = 0;
#endif
#if defined(EPFNOSUPPORT)  // all but Haiku
constexpr int kNoProtocolFamily = EPFNOSUPPORT;
#else
constexpr int kNoProtocolFamily = 0;
#endif
#if defined(EQFULL)  // macOS: the queue of a network interface is full
constexpr int kQueueFull = EQFULL;
#else
constexpr int kQueueFull = 0;
#endif
#if defined(ENOTCAPABLE)  // FreeBSD: a descriptor lacks the capability
constexpr int kNotCapable = ENOTCAPABLE;
#else
constexpr int kNotCapable = 0;
#endif
#if defined(ECAPMODE)  // FreeBSD: the call is forbidden in capability mode
constexpr int kCapabilityMode = ECAPMODE;
#else
constexpr int kCapabilityMode = 0;
#endif

constexpr std::size_t kOperations = 7;
using Kinds = std::array<FailureKind, kOperations>;

struct Row {
  int error;
  Kinds kinds;
};

// The columns are the operations in their order:
//
//   accept     accept(2) of Linux hands through what is pending on the connection in the queue, and
//              a firewall's EPERM. What isn't about the listener is about that connection.
//   connect    ICMP and routes: EACCES of a "prohibit" route, EINVAL of a blackhole, EOPNOTSUPP
//              and ENOPROTOOPT of ICMP (Linux, icmp_err_convert). EAGAIN is a Unix-domain server
//              whose backlog is full. Only a wrong family, address or type stays wrong.
//   send       sendfile's EIO and EOVERFLOW concern this file, so this connection.
//   receive
//   wait       EAGAIN is macOS' way to say that poll(2) and select(2) lack memory.
//   watch      EPERM is epoll's way to refuse regular files. No registration makes a descriptor, so
//              EMFILE is a backend's word for a number that its mechanism can't name (select).
//   resolve    What getaddrinfo(3) met on its way to the name server.
constexpr FailureKind T = FailureKind::kTransient;
constexpr FailureKind P = FailureKind::kPeer;
constexpr FailureKind S = FailureKind::kShortage;
constexpr FailureKind U = FailureKind::kUnavailable;
constexpr FailureKind X = FailureKind::kPermanent;

// What is in no row: of a connection, the network or the peer; of a poller, our own fault.
constexpr Kinds kOthers = {P, P, P, P, X, X, P};

constexpr Row kRows[] = {
    //                accept connect send receive wait watch resolve
    {EINTR, /*            */ {T, T, T, T, T, T, T}},
    {EAGAIN, /*           */ {T, P, T, T, S, S, S}},
    {EWOULDBLOCK, /*      */ {T, P, T, T, S, S, S}},
    {EINPROGRESS, /*      */ {P, T, P, P, X, X, P}},
    {EALREADY, /*         */ {P, T, P, P, X, X, P}},
    {ENOMEM, /*           */ {S, S, S, S, S, S, S}},
    {ENOBUFS, /*          */ {S, S, S, S, S, S, S}},
    {EMFILE, /*           */ {S, S, S, S, S, X, S}},
    {ENFILE, /*           */ {S, S, S, S, S, X, S}},
    {ENOSPC, /*           */ {P, S, P, P, S, S, P}},
    {kNoStreams, /*       */ {P, S, S, S, S, S, S}},
    {kQueueFull, /*       */ {P, S, S, S, S, S, S}},
    {ENOSYS, /*           */ {U, U, U, U, U, U, U}},
    {kNotCapable, /*      */ {U, U, U, U, U, U, U}},
    {kCapabilityMode, /*  */ {U, U, U, U, U, U, U}},
    {EPERM, /*            */ {P, P, P, P, U, X, P}},
    {EACCES, /*           */ {P, P, P, P, U, X, P}},
    {EBADF, /*            */ {X, X, X, X, X, X, P}},
    {EFAULT, /*           */ {X, X, X, X, X, X, P}},
    {ENOTSOCK, /*         */ {X, X, X, X, X, X, P}},
    {EINVAL, /*           */ {X, P, P, P, X, X, P}},
    {EAFNOSUPPORT, /*     */ {P, X, P, P, X, X, P}},
    {kNoProtocolFamily, /**/ {P, X, P, P, X, X, P}},
    {EPROTONOSUPPORT, /*  */ {P, X, P, P, X, X, P}},
    {kNoSocketType, /*    */ {P, X, P, P, X, X, P}},
    {EPROTOTYPE, /*       */ {P, X, P, P, X, X, P}},
    {EDESTADDRREQ, /*     */ {P, X, P, P, X, X, P}},
    {ENAMETOOLONG, /*     */ {P, X, P, P, X, X, P}},
    {EISCONN, /*          */ {P, X, P, P, X, X, P}},
};

// The number of the system behind a code. Zero for codes of other categories that std::errc has no
// word for: their numbers mean something else.
int number_of(std::error_code error) {
  if (error.category() == std::system_category()) return error.value();
  const std::error_condition condition = error.default_error_condition();
  return condition.category() == std::generic_category() ? condition.value() : 0;
}

}  // namespace

std::string_view to_string(FailureKind kind) {
  switch (kind) {
    case FailureKind::kTransient: return "transient";
    case FailureKind::kPeer: return "peer";
    case FailureKind::kShortage: return "shortage";
    case FailureKind::kUnavailable: return "unavailable";
    case FailureKind::kPermanent: return "permanent";
  }
  return "unknown";
}

FailureKind classify(Operation operation, std::error_code error) {
  POLLARD_ASSERT(static_cast<bool>(error), "error must be an error");
  const auto column = static_cast<std::size_t>(operation);
  POLLARD_ASSERT(column < kOperations, "operation must be an enumerator of Operation");
  const int number = number_of(error);
  if (number == 0) return kOthers[column];
  const auto* const row = std::ranges::find(kRows, number, &Row::error);
  return row == std::end(kRows) ? kOthers[column] : row->kinds[column];
}

bool is_absent(Result result) {
  if (result.ok()) return false;
  const int number = result.error().value();
  return number == ENOSYS || number == EPERM || number == EACCES ||
         (number != 0 && (number == kNotCapable || number == kCapabilityMode));
}

bool is_shortage(Result waited) {
  return !waited.ok() && classify(Operation::kWait, waited.error()) == FailureKind::kShortage;
}

}  // namespace pollard::platform
