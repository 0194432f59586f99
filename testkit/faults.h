// Bad days on demand: a table of system calls that forwards to the one before it, counts every
// call, and fails, shortens or replaces those that a test asks for.
//
//   Faults faults;
//   faults.fail(Call::kAccept4, std::errc::too_many_files_open, {.after = 2, .times = 1});
//   faults.cap(Call::kRecv, 1);
//   … make the loop, run it …
//   BOOST_TEST(faults.count(Call::kWait) < 10);
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "pollard/platform/system_calls.h"

namespace pollard::testing {

/// The entries of the table, and four groups of them that count and fail as one.
enum class Call : std::uint8_t {
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
  kGetrlimit,
  kSetrlimit,
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
  kEpollCtl,
  kEpollWait,
  kEpollPwait2,
  kKqueue,
  kKevent,
  kPoll,
  kPpoll,
  kPselect,
  kGetaddrinfo,
  kClockGettime,
  kWait,       ///< epoll_wait, epoll_pwait2, kevent, poll, ppoll, pselect
  kAnyAccept,  ///< accept, accept4
  kAnySend,    ///< send, sendmsg, sendfile
  kAny,        ///< all of them
  kCount
};

inline constexpr std::size_t kForever = SIZE_MAX;

/// Which calls a failure befalls: `times` of them, after `after` more that go through.
struct Which {
  std::size_t after = 0;
  std::size_t times = 1;
};

/// The kernel in force, real or simulated, without the faults that are in force too.
[[nodiscard]] const platform::SystemCalls& kernel_calls();

/// In force while it lives; made before the loops and pollers that it is to befall, destroyed after
/// them. One at a time. All operations: any thread.
class Faults {
 public:
  Faults();
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  /// How many calls were made (or would have been, where they were made to fail) since the
  /// beginning.
  [[nodiscard]] std::size_t count(Call call) const;

  /// Makes calls fail without reaching the kernel. A later script for the same call replaces this
  /// one.
  void fail(Call call, std::errc error, Which which = {});
  /// The same for an errno that std::errc has no name for, by its number.
  void fail(Call call, int error_number, Which which = {});

  /// Lets a call through again.
  void restore(Call call);

  /// Cuts every read, pread, write, recv, send, sendmsg or sendfile to at most this many bytes.
  void cap(Call call, std::size_t bytes);

  /// Puts a function in the place of one entry, as in
  ///   faults.replace<&SystemCalls::recv>([&](int fd, void* bytes, std::size_t size, int flags)
  ///   {…});
  /// It may call underlying().recv.
  template <auto Entry, class Function>
  void replace(Function function);

  /// The table that calls are forwarded to: the one that was in force before.
  [[nodiscard]] const platform::SystemCalls& underlying() const { return underlying_; }

 private:
  struct State;
  friend const platform::SystemCalls& kernel_calls();

  const platform::SystemCalls& underlying_;
  std::unique_ptr<State> state_;
  std::unique_ptr<platform::ScopedSystemCalls> installed_;
  std::vector<std::function<void()>> forget_;  // takes the replacements away
};

namespace detail {

/// What stands in the place of one entry; empty while nothing does.
template <auto Entry>
struct Replacement;

template <class Result, class... Arguments, Result (*platform::SystemCalls::*Entry)(Arguments...)>
struct Replacement<Entry> {
  using Function = std::function<Result(Arguments...)>;

  static void set(std::shared_ptr<const Function> other) {
    const std::lock_guard lock(mutex);
    function.swap(other);
  }
  static std::shared_ptr<const Function> get() {
    const std::lock_guard lock(mutex);
    return function;
  }

  static inline std::mutex mutex;
  static inline std::shared_ptr<const Function> function;
};

}  // namespace detail

template <auto Entry, class Function>
void Faults::replace(Function function) {
  using Place = detail::Replacement<Entry>;
  Place::set(std::make_shared<const typename Place::Function>(std::move(function)));
  forget_.push_back([] { Place::set(nullptr); });
}

}  // namespace pollard::testing
