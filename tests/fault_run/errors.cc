#include "pollard/tests/fault_run/errors.h"

#include <netdb.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace pollard::fault_run {
namespace {

using Failures = std::vector<Failure>;

constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::kCount);

constexpr std::array<std::string_view, kKinds> kNames = {"close",
                                                         "read",
                                                         "write",
                                                         "pread",
                                                         "open",
                                                         "unlink",
                                                         "lstat",
                                                         "fcntl",
                                                         "pipe",
                                                         "pipe2",
                                                         "eventfd",
                                                         "sigaction",
                                                         "socket",
                                                         "bind",
                                                         "listen",
                                                         "accept",
                                                         "accept4",
                                                         "connect",
                                                         "shutdown",
                                                         "getsockname",
                                                         "getpeername",
                                                         "getsockopt",
                                                         "setsockopt",
                                                         "recv",
                                                         "send",
                                                         "sendmsg",
                                                         "sendfile",
                                                         "epoll_create1",
                                                         "epoll_ctl add",
                                                         "epoll_ctl modify",
                                                         "epoll_ctl remove",
                                                         "epoll_wait",
                                                         "epoll_pwait2",
                                                         "kqueue",
                                                         "kevent",
                                                         "poll",
                                                         "poll of one",
                                                         "ppoll",
                                                         "pselect",
                                                         "pselect at once",
                                                         "getaddrinfo"};

Failure none(int error) { return {.error = error, .harm = Harm::kNone}; }
Failure some(int error) { return {.error = error}; }
Failure broken(int error) { return {.error = error, .harm = Harm::kBroken}; }
Failure replaced(int error) { return {.error = error, .harm = Harm::kNone, .for_good = true}; }

Failures all_some(std::initializer_list<int> errors) {
  Failures failures;
  for (const int error : errors) failures.push_back(some(error));
  return failures;
}

Failures all_none(std::initializer_list<int> errors) {
  Failures failures;
  for (const int error : errors) failures.push_back(none(error));
  return failures;
}

Failures joined(Failures one, const Failures& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

// A missing mechanism for which the library has another one.
Failures with_substitute(Failures failures) {
  return joined(std::move(failures), {replaced(ENOSYS), replaced(EPERM)});
}

Failures failures_of_accept() {
  // Short of descriptors, a server turns one client away.
  return joined({some(EMFILE)},
                all_none({EINTR, EAGAIN, ECONNABORTED, ENFILE, ENOBUFS, ENOMEM, EPROTO, EPERM,
                          ENETDOWN, ENOPROTOOPT, EHOSTDOWN, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH,
                          ETIMEDOUT, ESOCKTNOSUPPORT, EPROTONOSUPPORT}));
}

Failures failures_of_send() {
  return joined(all_none({EINTR, EAGAIN, ENOBUFS, ENOMEM}),
                {broken(EPIPE), broken(ECONNRESET), broken(ETIMEDOUT), some(EACCES), some(EPERM),
                 some(EHOSTUNREACH), some(ENETUNREACH), some(ENETDOWN)});
}

Failures failures_of_wait() { return all_none({EINTR, EAGAIN, ENOMEM}); }

Failures make_failures(Kind kind) {
  switch (kind) {
    case Kind::kClose: return all_none({EINTR, EIO, ENOSPC});
    case Kind::kRead: return all_none({EINTR, EAGAIN});
    case Kind::kWrite: return all_none({EINTR});
    case Kind::kPread: return joined(all_none({EINTR}), {some(EIO), some(ENOMEM)});
    case Kind::kOpen: return all_some({EMFILE, ENFILE, ENOMEM, EINTR, EACCES, ENOENT, EPERM});
    case Kind::kUnlink: return all_some({EACCES, EBUSY, ENOENT, EPERM, EROFS, ENOMEM});
    case Kind::kLstat: return all_some({EACCES, ENOENT, ENOMEM, EPERM});
    case Kind::kFcntl: return all_some({EMFILE, EPERM, EINVAL});
    case Kind::kPipe: return all_some({EMFILE, ENFILE, EPERM});
    case Kind::kPipe2: return with_substitute(all_some({EMFILE, ENFILE}));
    case Kind::kEventfd: return with_substitute(all_some({EMFILE, ENFILE, ENODEV, ENOMEM}));
    case Kind::kSigaction: return all_some({EINVAL, EPERM, ENOSYS});
    case Kind::kSocket:
      return all_some({EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM,
                       EPROTONOSUPPORT, EPERM, ENOSYS});
    case Kind::kBind:
      return all_some({EACCES, EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOMEM, EPERM, EROFS});
    case Kind::kListen: return all_some({EADDRINUSE, EOPNOTSUPP, EPERM});
    case Kind::kAccept: return failures_of_accept();
    case Kind::kAccept4: return joined(failures_of_accept(), {replaced(ENOSYS)});
    case Kind::kConnect:
      return joined(all_none({EINTR}),
                    all_some({EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN,
                              ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENETDOWN, ENOBUFS,
                              ENOMEM, EPROTOTYPE, ETIMEDOUT, EINVAL, EPROTO}));
    case Kind::kShutdown: return {broken(ENOTCONN), some(ENOBUFS)};
    case Kind::kGetsockname: return all_some({ENOBUFS, EPERM, EINVAL});
    case Kind::kGetpeername: return {broken(ENOTCONN), some(ENOBUFS), some(EPERM)};
    case Kind::kGetsockopt: return all_some({ENOPROTOOPT, EINVAL, ENOBUFS, EPERM, ENOSYS});
    case Kind::kSetsockopt:
      return all_some({ENOPROTOOPT, EINVAL, EDOM, ENOMEM, ENOBUFS, EPERM, ENOSYS});
    case Kind::kRecv:
      return joined(all_none({EINTR, EAGAIN, ENOBUFS, ENOMEM}),
                    {broken(ECONNRESET), broken(ETIMEDOUT), some(ECONNREFUSED), some(EHOSTUNREACH),
                     some(EPERM)});
    case Kind::kSend:
    case Kind::kSendmsg: return failures_of_send();
    case Kind::kSendfile:
      return joined(with_substitute(failures_of_send()), {none(EINVAL), some(EIO)});
    case Kind::kEpollCreate1: return all_some({EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS});
    case Kind::kEpollAdd: return all_some({ENOMEM, ENOSPC, EPERM});
    case Kind::kEpollModify: return all_some({ENOMEM});
    case Kind::kEpollRemove: return all_some({ENOENT, EPERM});
    case Kind::kEpollWait: return joined(failures_of_wait(), {some(EINVAL), some(EPERM)});
    case Kind::kEpollPwait2: return joined(with_substitute(failures_of_wait()), {some(EINVAL)});
    case Kind::kKqueue: return all_some({EMFILE, ENFILE, ENOMEM, EPERM});
    case Kind::kKevent: return joined(all_none({EINTR}), all_some({ENOMEM, EACCES, EINVAL}));
    case Kind::kPoll: return joined(failures_of_wait(), {none(EINVAL), some(EPERM)});
    case Kind::kPollOfOne:
      return joined(all_none({EINTR}), all_some({EAGAIN, ENOMEM, EINVAL, EPERM}));
    case Kind::kPpoll: return joined(with_substitute(failures_of_wait()), {none(EINVAL)});
    case Kind::kPselect: return joined(failures_of_wait(), {some(EINVAL), some(EPERM)});
    case Kind::kPselectAtOnce:
      return joined(all_none({EINTR}), all_some({EAGAIN, ENOMEM, EINVAL, EPERM}));
    case Kind::kGetaddrinfo:
      return all_some({-std::abs(EAI_AGAIN), -std::abs(EAI_FAIL), -std::abs(EAI_MEMORY),
                       -std::abs(EAI_NONAME), EINTR, EMFILE, ENOMEM});
    case Kind::kCount: break;
  }
  return {};
}

}  // namespace

std::string_view to_string(Kind kind) { return kNames.at(static_cast<std::size_t>(kind)); }

std::span<const Failure> failures_of(Kind kind) {
  static const auto all = [] {
    std::array<Failures, kKinds> made;
    for (std::size_t i = 0; i < kKinds; ++i) made[i] = make_failures(static_cast<Kind>(i));
    return made;
  }();
  return all.at(static_cast<std::size_t>(kind));
}

Failure failure_of(Kind kind, int error) {
  const std::span<const Failure> all = failures_of(kind);
  const auto found = std::ranges::find(all, error, &Failure::error);
  return found == all.end() ? some(error) : *found;
}

std::string name_of(int error) {
  if (error < 0) return "EAI " + std::to_string(-error);
  return std::to_string(error) + " (" + std::generic_category().message(error) + ")";
}

}  // namespace pollard::fault_run
