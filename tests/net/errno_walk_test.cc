// The errno table walk: each errno of the system's header, in each call of the system-call table
// that a scene makes, once and for a while. The scene is a server and two clients on the simulated
// kernel. The witness talks over a connection that was there before; the subject connects while
// calls fail. The promises: no spin, one failure harms one connection at the most, the loop goes
// on, the reported reason is the errno, and what may be tried again is.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "pollard/base/log.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/failure.h"
#include "pollard/testkit/faults.h"
#include "pollard/testkit/sim/errno_names.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/support/connected.h"
#include "pollard/tests/support/quiet.h"

namespace pollard::testing {
namespace {

using platform::FailureKind;
using platform::Operation;

constexpr Duration kBadTime = 50ms;
constexpr std::size_t kMostWaits = 400;  // in that time, of two clients and a server

struct Walked {
  Call call;
  const char* name;
  std::optional<Operation> operation;  // none: no errno of it may harm a connection that is open
};

// clock_gettime is left out: with a valid clock and address it doesn't fail.
const std::vector<Walked> kWalked = {
    {Call::kClose, "close", {}},
    {Call::kRead, "read", {}},
    {Call::kWrite, "write", {}},
    {Call::kFcntl, "fcntl", {}},
    {Call::kSocket, "socket", Operation::kConnect},
    {Call::kBind, "bind", Operation::kConnect},
    {Call::kConnect, "connect", Operation::kConnect},
    {Call::kAnyAccept, "accept", Operation::kAccept},
    {Call::kShutdown, "shutdown", {}},
    {Call::kGetsockname, "getsockname", {}},
    {Call::kGetpeername, "getpeername", {}},
    {Call::kGetsockopt, "getsockopt", Operation::kConnect},
    {Call::kSetsockopt, "setsockopt", {}},
    {Call::kRecv, "recv", Operation::kReceive},
    {Call::kAnySend, "send", Operation::kSend},
    {Call::kEpollCreate1, "epoll_create1", Operation::kWait},
    {Call::kEpollCtl, "epoll_ctl", Operation::kWatch},
    {Call::kEpollWait, "epoll_wait", Operation::kWait},
    {Call::kEpollPwait2, "epoll_pwait2", Operation::kWait},
    {Call::kKqueue, "kqueue", Operation::kWait},
    {Call::kKevent, "kevent", Operation::kWait},
    {Call::kPoll, "poll", Operation::kWait},
    {Call::kPpoll, "ppoll", Operation::kWait},
    {Call::kPselect, "pselect", Operation::kWait},
};

class Scene {
 public:
  explicit Scene(const BackendCase& backend)
      : loop_({.poller = backend.poller}),
        server_(loop_, "127.0.0.1:0", server_handlers(),
                {.connection = {.trigger = choice_of(backend)}}) {
    server_.start();
    const Address where = server_.address();
    TcpClientOptions options;
    options.reconnect = true;
    options.backoff_reset_after = 1ms;
    options.connector.backoff = {.initial = 2ms, .maximum = 4ms};
    options.connection.trigger = choice_of(backend);
    witness_.emplace(loop_, where, client_handlers(witness), options_like(options));
    subject_.emplace(loop_, where, client_handlers(subject), options_like(options));
    static_cast<void>(witness_->connect());
    run_until(loop_, [this] { return witness.answers == 1; });
    run_until_idle(loop_);
  }

  struct Side {
    unsigned answers = 0;
    unsigned ends = 0;
    unsigned attempts_failed = 0;
    bool gave_up = false;
  };

  // What happens while calls fail. The loop turns although its waits may throw.
  void act() {
    const Duration bad_time = kBadTime + 10 * to_connect_;
    const MonotonicTime end = platform::monotonic_now() + bad_time;
    most_allowed = kMostWaits * static_cast<std::size_t>(bad_time / kBadTime);
    const std::size_t waits_before = faults.count(Call::kWait);
    static_cast<void>(subject_->connect());
    ask(*witness_);
    while (platform::monotonic_now() < end && waits(waits_before) <= most_allowed) {
      try {
        static_cast<void>(loop_.run_once(5ms));
      } catch (const std::system_error& error) {
        thrown = error.code();
        if (const auto kernel = sim::Kernel::current()) kernel->advance(5ms);
      }
    }
    most_waits = waits(waits_before);
  }

  // All is well again: both clients are served.
  void recover() {
    const unsigned before_witness = witness.answers;
    const unsigned before_subject = subject.answers;
    const auto serve = [](std::optional<TcpClient>& client) {
      if (client->state() == TcpClient::State::kIdle) static_cast<void>(client->connect());
      ask(*client);
    };
    const MonotonicTime deadline = platform::monotonic_now() + 60s;
    while (witness.answers == before_witness || subject.answers == before_subject) {
      if (platform::monotonic_now() > deadline) break;
      serve(witness_);
      serve(subject_);
      static_cast<void>(loop_.run_once(5ms));
    }
    witness_is_served = witness.answers > before_witness;
    subject_is_served = subject.answers > before_subject;
  }

  [[nodiscard]] TcpServerStats stats() const { return server_.stats(); }
  [[nodiscard]] bool has_reason(int error) const {
    return std::ranges::count(reasons_, error, &std::error_code::value) > 0;
  }

  Faults faults;
  Side witness;
  Side subject;
  std::error_code thrown;
  std::size_t most_waits = 0;
  std::size_t most_allowed = 0;
  bool witness_is_served = false;
  bool subject_is_served = false;

 private:
  static TcpClientOptions options_like(const TcpClientOptions& options) {
    return {.reconnect = options.reconnect,
            .backoff_reset_after = options.backoff_reset_after,
            .connector = {.backoff = options.connector.backoff, .seed = 1},
            .connection = options.connection};
  }

  static void ask(TcpClient& client) {
    if (const TcpConnectionPtr connection = client.connection()) {
      static_cast<void>(connection->send("?"));
    }
  }

  [[nodiscard]] std::size_t waits(std::size_t before) const {
    return faults.count(Call::kWait) - before;
  }

  void note(const DisconnectReason& reason) {
    if (reason.kind == DisconnectReason::Kind::kError) reasons_.push_back(reason.error);
  }

  ConnectionHandlers server_handlers() {
    ConnectionHandlers handlers;
    handlers.on_message = [](const TcpConnectionPtr& connection, Buffer& input) {
      input.clear();
      static_cast<void>(connection->send("!"));
    };
    handlers.on_disconnect = [this](const TcpConnectionPtr&, const DisconnectReason& reason) {
      note(reason);
    };
    return handlers;
  }

  ConnectionHandlers client_handlers(Side& side) {
    ConnectionHandlers handlers;
    handlers.on_connect = [](const TcpConnectionPtr& connection) {
      static_cast<void>(connection->send("?"));
    };
    handlers.on_message = [&side](const TcpConnectionPtr&, Buffer& input) {
      input.clear();
      ++side.answers;
    };
    handlers.on_disconnect = [this, &side](const TcpConnectionPtr&,
                                           const DisconnectReason& reason) {
      ++side.ends;
      note(reason);
    };
    handlers.on_attempt_failed = [this, &side](const FailedAttempt& attempt) {
      ++side.attempts_failed;
      reasons_.push_back(attempt.error);
      for (const FailedAddress& failed : attempt.addresses) reasons_.push_back(failed.error);
    };
    handlers.on_give_up = [&side](std::error_code) { side.gave_up = true; };
    return handlers;
  }

  // How long the network takes for a connection, or for several quick ones.
  static Duration time_to_connect() {
    const MonotonicTime began = platform::monotonic_now();
    for (int i = 0; i < 3; ++i) static_cast<void>(tcp_pair());
    return platform::monotonic_now() - began;
  }

  const Duration to_connect_ = time_to_connect();
  std::vector<std::error_code> reasons_;
  EventLoop loop_;
  TcpServer server_;
  std::optional<TcpClient> witness_;
  std::optional<TcpClient> subject_;
};

// How often a scene in which nothing fails makes each call, from the moment when calls would fail.
bool is_made(const BackendCase& backend, Call call) {
  Scene scene(backend);
  const std::size_t before = scene.faults.count(call);
  scene.act();
  return scene.faults.count(call) > before;
}

// A wait that is forbidden or wrong for good ends run() with its errno: nothing else could be done.
bool may_end_run(const Walked& walked, FailureKind kind) {
  return walked.operation == Operation::kWait &&
         (kind == FailureKind::kPermanent || kind == FailureKind::kUnavailable);
}

// What one connection meets has to be reported, with its errno. Of a connection that was reset, the
// peer's end may be what is seen first.
bool is_reported(const Walked& walked, FailureKind kind, int error) {
  if (error == EPIPE || error == ECONNRESET) return false;
  const bool is_transfer =
      walked.operation == Operation::kReceive || walked.operation == Operation::kSend;
  if (is_transfer) return kind != FailureKind::kTransient && kind != FailureKind::kShortage;
  return walked.call == Call::kConnect && kind != FailureKind::kTransient;
}

// Says that the listener's number is not the listener's any more. That must be so, closed behind
// the library's back: while the kernel had the listener, no other could have its address.
class LostListener {
 public:
  LostListener(Faults& faults, int error, std::size_t times) : left_(times) {
    faults.replace<&platform::SystemCalls::accept4>(
        [this, &faults, error](int fd, sockaddr* address, socklen_t* size, int flags) {
          const platform::SystemCalls& kernel = faults.underlying();
          if (left_ == 0) return kernel.accept4(fd, address, size, flags);
          if (left_ != kForever) --left_;
          BOOST_TEST(kernel.close(fd) == 0);
          return -error;
        });
  }
  void restore() { left_ = 0; }

 private:
  std::size_t left_;
};

// Fails poll as a wait, and not as the pause after a wait that failed: without poll that pause is
// one of real time, which a virtual clock doesn't see.
class FailingPoll {
 public:
  FailingPoll(Faults& faults, int error, std::size_t times)
      : left_(std::make_shared<std::size_t>(times)) {
    faults.replace<&platform::SystemCalls::poll>(
        [left = left_, &faults, error](pollfd* records, std::size_t count, int milliseconds) {
          if (*left == 0 || count == 0)
            return faults.underlying().poll(records, count, milliseconds);
          if (*left != kForever) --*left;
          return -error;
        });
  }
  void restore() { *left_ = 0; }

 private:
  std::shared_ptr<std::size_t> left_;  // the replaced call's too, which may outlive this object
};

void walk_one(const BackendCase& backend, const Walked& walked, int error, std::size_t times) {
  const FailureKind kind =
      walked.operation ? platform::classify(*walked.operation, {error, std::system_category()})
                       : FailureKind::kPeer;
  Scene scene(backend);
  std::optional<LostListener> lost;
  std::optional<FailingPoll> poll;
  if (walked.call == Call::kPoll) {
    poll.emplace(scene.faults, error, times);
  } else if (walked.operation == Operation::kAccept && (error == EBADF || error == ENOTSOCK)) {
    lost.emplace(scene.faults, error, times);
  } else {
    scene.faults.fail(walked.call, error, {.times = times});
  }
  scene.act();
  scene.faults.restore(walked.call);
  if (lost.has_value()) lost->restore();
  if (poll.has_value()) poll->restore();
  BOOST_TEST(scene.most_waits <= scene.most_allowed, "the loop spins");
  if (scene.thrown) {
    BOOST_TEST(may_end_run(walked, kind), "run() ended: " << scene.thrown.message());
    BOOST_TEST(scene.thrown.value() == error);
  }
  if (times == 1) {
    BOOST_TEST(scene.witness.ends + scene.subject.ends <= 1U, "one failure harms one connection");
    if (is_reported(walked, kind, error)) BOOST_TEST(scene.has_reason(error));
    const bool goes_on = kind == FailureKind::kTransient || kind == FailureKind::kShortage;
    if (goes_on) BOOST_TEST(scene.witness.ends == 0U);
    // With EMFILE a server turns a connection away, so that its peer knows.
    const bool rejected = walked.operation == Operation::kAccept && error == EMFILE;
    if (goes_on && walked.operation != Operation::kConnect && !rejected) {
      BOOST_TEST(scene.subject.ends == 0U);
    }
    const bool has_other_way = error == EPERM || error == EACCES;  // accept(2) behind accept4(2)
    if (walked.operation == Operation::kAccept && kind == FailureKind::kPeer && !has_other_way) {
      BOOST_TEST(scene.stats().aborted == 1U);
    }
  }
  if (walked.operation == Operation::kConnect || walked.operation == Operation::kAccept) {
    BOOST_TEST(scene.witness.ends == 0U, "a connection that was open has nothing to do with it");
  }
  if (walked.operation == Operation::kConnect && kind != FailureKind::kPermanent) {
    BOOST_TEST(!scene.subject.gave_up, "a temporary error is retried");
  }
  scene.recover();
  BOOST_TEST(scene.witness_is_served);
  BOOST_TEST(scene.subject_is_served);
}

// A kernel that says "ready" and "not yet" for ever, or that goes on with a connect that was never
// made, contradicts itself; no promise covers it. A loop that each signal wakes turns as often as
// there are signals.
bool is_contradiction(const Walked& walked, int error, std::size_t times) {
  if (walked.call == Call::kConnect) return error == EINTR || error == EINPROGRESS;
  if (walked.call == Call::kGetpeername) return error == ENOTCONN;
  if (times == 1) return false;
  if (walked.operation == Operation::kWait) return error == EINTR;  // signals without an end
  return error == EINTR || error == EAGAIN;
}

void walk(const std::string& backend, const std::vector<Call>& calls) {
  if (sim::Kernel::current() == nullptr) return;  // the simulated kernel's time costs none
  const Quiet quiet;
  for (const Walked& walked : kWalked) {
    if (std::ranges::count(calls, walked.call) == 0) continue;
    if (!is_made({.poller = backend}, walked.call)) continue;
    for (const sim::ErrnoName& error : sim::errno_names()) {
      for (const std::size_t times : {std::size_t{1}, kForever}) {
        if (is_contradiction(walked, error.number, times)) continue;
        BOOST_TEST_CONTEXT(walked.name << " fails with " << error.name
                                       << (times == 1 ? " once" : " for a while")) {
          walk_one({.poller = backend}, walked, error.number, times);
        }
      }
    }
  }
}

POLLARD_EACH_BACKEND(each_errno_of_descriptor_keeps_promises) {
  walk(backend, {Call::kClose, Call::kRead, Call::kWrite, Call::kFcntl, Call::kShutdown});
}

POLLARD_EACH_BACKEND(each_errno_of_option_or_name_keeps_promises) {
  walk(backend, {Call::kGetsockname, Call::kGetpeername, Call::kGetsockopt, Call::kSetsockopt});
}

POLLARD_EACH_BACKEND(each_errno_of_connect_keeps_promises) {
  walk(backend, {Call::kSocket, Call::kBind, Call::kConnect});
}

POLLARD_EACH_BACKEND(each_errno_of_accept_keeps_promises) { walk(backend, {Call::kAnyAccept}); }

POLLARD_EACH_BACKEND(each_errno_of_receive_keeps_promises) { walk(backend, {Call::kRecv}); }

POLLARD_EACH_BACKEND(each_errno_of_send_keeps_promises) { walk(backend, {Call::kAnySend}); }

POLLARD_EACH_BACKEND(each_errno_of_registration_keeps_promises) {
  walk(backend, {Call::kEpollCreate1, Call::kEpollCtl, Call::kKqueue, Call::kKevent});
}

POLLARD_EACH_BACKEND(each_errno_of_wait_keeps_promises) {
  walk(backend, {Call::kEpollWait, Call::kEpollPwait2, Call::kPoll, Call::kPpoll, Call::kPselect});
}

}  // namespace
}  // namespace pollard::testing
