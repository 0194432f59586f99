// Which system calls a scene makes, and what each of them may answer on a bad day.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pollard::fault_run {

/// A system call of the table. One whose errors depend on what it is asked to do is several.
enum class Kind : std::uint8_t {
  kClose,
  kRead,
  kWrite,
  kPread,
  kOpen,
  kUnlink,
  kLstat,
  kFcntl,
  kPipe,
  kPipe2,
  kEventfd,
  kSigaction,
  kSocket,
  kBind,
  kListen,
  kAccept,
  kAccept4,
  kConnect,
  kShutdown,
  kGetsockname,
  kGetpeername,
  kGetsockopt,
  kSetsockopt,
  kRecv,
  kSend,
  kSendmsg,
  kSendfile,
  kEpollCreate1,
  kEpollAdd,
  kEpollModify,
  kEpollRemove,
  kEpollWait,
  kEpollPwait2,
  kKqueue,
  kKevent,
  kPoll,
  kPollOfOne,  ///< poll or ppoll of one descriptor: may it be watched?
  kPpoll,
  kPselect,
  kPselectAtOnce,  ///< pselect without waiting
  kGetaddrinfo,
  kCount
};

/// The name of the call: "accept4". The three of epoll_ctl are "epoll_ctl add" and so on.
[[nodiscard]] std::string_view to_string(Kind kind);

/// What a failure of the call may cost.
enum class Harm : std::uint8_t {
  kNone,    ///< the library tries again, so that everything is as without the failure
  kSome,    ///< what the call was made for may fail, and says so
  kBroken,  ///< the connection is gone, for both ends
};

/// One answer of a call: `error` is what the table answers, negated. Errors of getaddrinfo that
/// aren't in errno are negative here.
struct Failure {
  int error = 0;
  Harm harm = Harm::kSome;
  /// From then on the call always fails like this: it doesn't exist, or a sandbox forbids it.
  bool for_good = false;
};

/// The errors of the call's manual page that a correct program can meet, and EPERM or ENOSYS where
/// a sandbox may forbid the call.
[[nodiscard]] std::span<const Failure> failures_of(Kind kind);

/// The failure with this error; one that may do some harm where the table has none.
[[nodiscard]] Failure failure_of(Kind kind, int error);

/// "ECONNRESET", or the number.
[[nodiscard]] std::string name_of(int error);

}  // namespace pollard::fault_run
