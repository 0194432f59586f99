// What a failed system call says about the next try: one table, so that no part of the library
// keeps a list of errno values of its own.
//
// std::errc has no names for EHOSTDOWN, ENONET, ENOSR and others, so a list that is written with it
// is wrong. The table is written with the system's own names, each of them only where it exists.
#pragma once

#include <cstdint>
#include <string_view>
#include <system_error>

#include "pollard/platform/result.h"

namespace pollard::platform {

/// What a failure says about the next try.
enum class FailureKind : std::uint8_t {
  /// EINTR, EAGAIN, EINPROGRESS: call again, or wait for readiness first.
  kTransient,
  /// The network or the peer: only this connection, or this attempt, has failed.
  kPeer,
  /// This process or system is short of memory, buffers or descriptors for now. The same call may
  /// succeed later; the caller must wait before the next try.
  kShortage,
  /// The mechanism doesn't exist, or a sandbox forbids it: use another one.
  kUnavailable,
  /// The call itself is wrong, and stays so.
  kPermanent,
};

/// "transient", "peer", "shortage", "unavailable" or "permanent".
[[nodiscard]] std::string_view to_string(FailureKind kind);

/// What was attempted. The same errno means different things to different calls.
enum class Operation : std::uint8_t {
  kAccept,   ///< accept(2), accept4(2)
  kConnect,  ///< socket(2), bind(2) and connect(2) of one attempt, and the SO_ERROR that ends it
  kSend,     ///< send(2), sendmsg(2), sendfile(2)
  kReceive,  ///< recv(2)
  kWait,     ///< epoll_wait(2), kevent(2), poll(2), select(2), and making the set that they wait on
  kWatch,    ///< epoll_ctl(2), or the changes of kevent(2)
  kResolve,  ///< getaddrinfo(3), where it fails with EAI_SYSTEM
};

/// Looks up what `error` says when `operation` has failed with it. `error` must be an error. A code
/// of another category counts as the std::errc that it is equivalent to, and without one as an
/// error of the network. Any thread.
[[nodiscard]] FailureKind classify(Operation operation, std::error_code error);

/// Returns whether a call says that it doesn't exist (ENOSYS) or that a sandbox forbids it (EPERM
/// or EACCES of seccomp(2), ENOTCAPABLE or ECAPMODE of capsicum(4)). A caller that has another way
/// must take it. Any thread.
[[nodiscard]] bool is_absent(Result result);

/// Returns whether a wait, or making the set that it waits on, has failed for lack of memory or
/// descriptors. Any thread.
[[nodiscard]] bool is_shortage(Result waited);

}  // namespace pollard::platform
