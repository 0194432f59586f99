#include "pollard/platform/failure.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <span>

#include "pollard/base/assert.h"

namespace pollard::platform {
namespace {

// Some systems lack some of these. Zero is no error, so it never matches.
#if defined(ENONET)
constexpr int kNoNetwork = ENONET;
#else
constexpr int kNoNetwork = 0;
#endif
#if defined(ENOSR)
constexpr int kNoStreams = ENOSR;
#else
constexpr int kNoStreams = 0;
#endif

constexpr std::array kTransient = {EINTR, EAGAIN, EWOULDBLOCK};
constexpr std::array kShortage = {ENOMEM, ENOBUFS, EMFILE, ENFILE, ENOSPC, kNoStreams};
constexpr std::array kUnavailable = {ENOSYS, EPERM};

// accept(2): with these the kernel reports that the connection in the queue has failed. Linux hands
// through what is pending on it, and a firewall's EPERM.
constexpr std::array kAcceptOurs = {EBADF, EINVAL, ENOTSOCK, EFAULT};

// Of one attempt to connect: the address or the call is wrong, whatever the network does.
constexpr std::array kConnectOurs = {EBADF,           EFAULT,  ENOTSOCK,     EAFNOSUPPORT,
                                     EPROTONOSUPPORT, EISCONN, EPROTOTYPE,   ENOTDIR,
                                     ENAMETOOLONG,    ELOOP,   EDESTADDRREQ, EOPNOTSUPP};

template <std::size_t N>
bool is_one_of(const std::array<int, N>& list, int error) {
  return std::find(list.begin(), list.end(), error) != list.end();
}

FailureKind classify_accept(int error) {
  if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
    return FailureKind::kShortage;
  }
  return is_one_of(kAcceptOurs, error) ? FailureKind::kPermanent : FailureKind::kPeer;
}

FailureKind classify_connect(int error) {
  if (is_one_of(kConnectOurs, error)) return FailureKind::kPermanent;
  return is_one_of(kShortage, error) ? FailureKind::kShortage : FailureKind::kPeer;
}

FailureKind classify_transfer(int error) {
  if (error == ENOMEM || error == ENOBUFS || error == kNoStreams) return FailureKind::kShortage;
  const bool ours = error == EBADF || error == EFAULT || error == ENOTSOCK;
  return ours ? FailureKind::kPermanent : FailureKind::kPeer;
}

FailureKind classify_wait(int error) {
  if (is_one_of(kShortage, error)) return FailureKind::kShortage;
  return is_one_of(kUnavailable, error) ? FailureKind::kUnavailable : FailureKind::kPermanent;
}

FailureKind classify_watch(int error) {
  return is_one_of(kShortage, error) ? FailureKind::kShortage : FailureKind::kPermanent;
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
  // Codes of other categories (a resolver's, the library's own) are translated by std::errc.
  const int number =
      error.category() == std::system_category() || error.category() == std::generic_category()
          ? error.value()
          : error.default_error_condition().value();
  // EAGAIN of a wait or of a registration says that the kernel lacks memory, not readiness.
  const bool waits_for_readiness = operation != Operation::kWait && operation != Operation::kWatch;
  if (number == EINTR) return FailureKind::kTransient;
  if (is_one_of(kTransient, number)) {
    return waits_for_readiness ? FailureKind::kTransient : FailureKind::kShortage;
  }
  switch (operation) {
    case Operation::kAccept: return classify_accept(number);
    case Operation::kConnect: return classify_connect(number);
    case Operation::kSend:
    case Operation::kReceive: return classify_transfer(number);
    case Operation::kWait: return classify_wait(number);
    case Operation::kWatch: return classify_watch(number);
    case Operation::kResolve: return FailureKind::kPeer;
  }
  return FailureKind::kPermanent;
}

}  // namespace pollard::platform
