#include "pollard/testkit/faults.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <span>

#include "pollard/base/assert.h"

namespace pollard::testing {

using platform::SystemCalls;

namespace {

constexpr std::size_t kCalls = static_cast<std::size_t>(Call::kCount);

// What a call answers that the kernel doesn't have.
constexpr auto kAbsent = -static_cast<std::ptrdiff_t>(std::errc::function_not_supported);

std::size_t index(Call call) { return static_cast<std::size_t>(call); }

// The group of a call, beside kAny; the call itself where it has none.
Call group_of(Call call) {
  switch (call) {
    case Call::kEpollWait:
    case Call::kEpollPwait2:
    case Call::kKevent:
    case Call::kPoll:
    case Call::kPpoll:
    case Call::kPselect: return Call::kWait;
    case Call::kAccept:
    case Call::kAccept4: return Call::kAnyAccept;
    case Call::kSend:
    case Call::kSendmsg:
    case Call::kSendfile: return Call::kAnySend;
    default: return call;
  }
}

}  // namespace

struct Faults::State {
  struct Script {
    std::size_t made = 0;
    int error = 0;
    Which which{.times = 0};
    std::size_t most_bytes = SIZE_MAX;
  };
  struct Decision {
    int error = 0;
    std::size_t most_bytes = SIZE_MAX;
  };

  Decision decide(Call call) {
    const std::lock_guard lock(mutex);
    Decision decision;
    consult(call, decision);
    if (group_of(call) != call) consult(group_of(call), decision);
    consult(Call::kAny, decision);
    return decision;
  }

  // A group counts the calls that this kernel has: accept4 where there is none becomes an accept.
  void forget_in_groups(Call call) {
    const std::lock_guard lock(mutex);
    if (group_of(call) != call) --scripts[index(group_of(call))].made;
    --scripts[index(Call::kAny)].made;
  }

  void consult(Call call, Decision& decision) {
    Script& script = scripts[index(call)];
    ++script.made;
    decision.most_bytes = std::min(decision.most_bytes, script.most_bytes);
    if (script.which.times == 0) return;
    if (script.which.after > 0) {
      --script.which.after;
      return;
    }
    if (script.which.times != kForever) --script.which.times;
    decision.error = script.error;
  }

  std::mutex mutex;
  std::array<Script, kCalls> scripts;
  const SystemCalls* underlying = nullptr;

  static inline std::atomic<State*> active;

  template <Call kCall, auto Entry>
  struct Hook;
  static SystemCalls table();
};

namespace {

// A message of at most so many bytes: the pieces that fit, and the beginning of the one that
// doesn't.
std::ptrdiff_t send_shortened(const SystemCalls& calls, int fd, const msghdr* message, int flags,
                              std::size_t most_bytes) {
  std::vector<iovec> pieces;
  const auto count = static_cast<std::size_t>(message->msg_iovlen);  // an int on the BSDs
  for (const iovec& piece : std::span(message->msg_iov, count)) {
    if (most_bytes == 0) break;
    pieces.push_back({piece.iov_base, std::min(piece.iov_len, most_bytes)});
    most_bytes -= pieces.back().iov_len;
  }
  msghdr shortened = *message;
  shortened.msg_iov = pieces.data();
  shortened.msg_iovlen = static_cast<decltype(shortened.msg_iovlen)>(pieces.size());
  return calls.sendmsg(fd, &shortened, flags);
}

}  // namespace

template <Call kCall, class Result, class... Arguments, Result (*SystemCalls::*Entry)(Arguments...)>
struct Faults::State::Hook<kCall, Entry> {
  static Result call(Arguments... arguments) {
    State& state = *active.load();
    const Decision decision = state.decide(kCall);
    if (decision.error != 0) return static_cast<Result>(-decision.error);
    const auto replacement = detail::Replacement<Entry>::get();
    if (replacement != nullptr) return (*replacement)(arguments...);
    const SystemCalls& calls = *state.underlying;
    const auto answer = static_cast<Result>(shortened(calls, decision.most_bytes, arguments...));
    if (answer == static_cast<Result>(kAbsent)) state.forget_in_groups(kCall);
    return answer;
  }

  static std::ptrdiff_t shortened(const SystemCalls& calls, std::size_t most_bytes,
                                  Arguments... arguments) {
    if constexpr (kCall == Call::kSendmsg) {
      return most_bytes == SIZE_MAX ? calls.sendmsg(arguments...)
                                    : send_shortened(calls, arguments..., most_bytes);
    } else {
      return (calls.*Entry)(shorten(most_bytes, arguments)...);
    }
  }

  // The only std::size_t that these entries take is the number of bytes.
  template <class Argument>
  static Argument shorten(std::size_t most_bytes, Argument argument) {
    if constexpr (std::is_same_v<Argument, std::size_t> && kCall != Call::kPoll &&
                  kCall != Call::kPpoll) {
      return std::min(argument, most_bytes);
    } else {
      return argument;
    }
  }
};

SystemCalls Faults::State::table() {
  SystemCalls table{};
  table.close = Hook<Call::kClose, &SystemCalls::close>::call;
  table.read = Hook<Call::kRead, &SystemCalls::read>::call;
  table.write = Hook<Call::kWrite, &SystemCalls::write>::call;
  table.pread = Hook<Call::kPread, &SystemCalls::pread>::call;
  table.open = Hook<Call::kOpen, &SystemCalls::open>::call;
  table.unlink = Hook<Call::kUnlink, &SystemCalls::unlink>::call;
  table.lstat = Hook<Call::kLstat, &SystemCalls::lstat>::call;
  table.fcntl = Hook<Call::kFcntl, &SystemCalls::fcntl>::call;
  table.pipe = Hook<Call::kPipe, &SystemCalls::pipe>::call;
  table.pipe2 = Hook<Call::kPipe2, &SystemCalls::pipe2>::call;
  table.eventfd = Hook<Call::kEventfd, &SystemCalls::eventfd>::call;
  table.sigaction = Hook<Call::kSigaction, &SystemCalls::sigaction>::call;
  table.getrlimit = Hook<Call::kGetrlimit, &SystemCalls::getrlimit>::call;
  table.setrlimit = Hook<Call::kSetrlimit, &SystemCalls::setrlimit>::call;
  table.socket = Hook<Call::kSocket, &SystemCalls::socket>::call;
  table.bind = Hook<Call::kBind, &SystemCalls::bind>::call;
  table.listen = Hook<Call::kListen, &SystemCalls::listen>::call;
  table.accept = Hook<Call::kAccept, &SystemCalls::accept>::call;
  table.accept4 = Hook<Call::kAccept4, &SystemCalls::accept4>::call;
  table.connect = Hook<Call::kConnect, &SystemCalls::connect>::call;
  table.shutdown = Hook<Call::kShutdown, &SystemCalls::shutdown>::call;
  table.getsockname = Hook<Call::kGetsockname, &SystemCalls::getsockname>::call;
  table.getpeername = Hook<Call::kGetpeername, &SystemCalls::getpeername>::call;
  table.getsockopt = Hook<Call::kGetsockopt, &SystemCalls::getsockopt>::call;
  table.setsockopt = Hook<Call::kSetsockopt, &SystemCalls::setsockopt>::call;
  table.recv = Hook<Call::kRecv, &SystemCalls::recv>::call;
  table.send = Hook<Call::kSend, &SystemCalls::send>::call;
  table.sendmsg = Hook<Call::kSendmsg, &SystemCalls::sendmsg>::call;
  table.sendfile = Hook<Call::kSendfile, &SystemCalls::sendfile>::call;
  table.epoll_create1 = Hook<Call::kEpollCreate1, &SystemCalls::epoll_create1>::call;
  table.epoll_ctl = Hook<Call::kEpollCtl, &SystemCalls::epoll_ctl>::call;
  table.epoll_wait = Hook<Call::kEpollWait, &SystemCalls::epoll_wait>::call;
  table.epoll_pwait2 = Hook<Call::kEpollPwait2, &SystemCalls::epoll_pwait2>::call;
  table.kqueue = Hook<Call::kKqueue, &SystemCalls::kqueue>::call;
  table.kevent = Hook<Call::kKevent, &SystemCalls::kevent>::call;
  table.poll = Hook<Call::kPoll, &SystemCalls::poll>::call;
  table.ppoll = Hook<Call::kPpoll, &SystemCalls::ppoll>::call;
  table.pselect = Hook<Call::kPselect, &SystemCalls::pselect>::call;
  table.getaddrinfo = Hook<Call::kGetaddrinfo, &SystemCalls::getaddrinfo>::call;
  table.freeaddrinfo = [](addrinfo* found) {
    const auto replacement = detail::Replacement<&SystemCalls::freeaddrinfo>::get();
    if (replacement != nullptr) return (*replacement)(found);
    active.load()->underlying->freeaddrinfo(found);
  };
  table.clock_gettime = Hook<Call::kClockGettime, &SystemCalls::clock_gettime>::call;
  table.wait_tick = [] { return active.load()->underlying->wait_tick(); };
  return table;
}

const SystemCalls& kernel_calls() {
  const Faults::State* const active = Faults::State::active.load();
  return active == nullptr ? platform::system_calls() : *active->underlying;
}

Faults::Faults() : underlying_(platform::system_calls()), state_(std::make_unique<State>()) {
  static const SystemCalls table = State::table();
  state_->underlying = &underlying_;
  POLLARD_ASSERT(State::active.exchange(state_.get()) == nullptr, "one Faults at a time");
  installed_ = std::make_unique<platform::ScopedSystemCalls>(table);
}

Faults::~Faults() {
  installed_.reset();
  for (const auto& forget : forget_) forget();
  State::active = nullptr;
}

std::size_t Faults::count(Call call) const {
  const std::lock_guard lock(state_->mutex);
  return state_->scripts[index(call)].made;
}

void Faults::fail(Call call, std::errc error, Which which) {
  fail(call, static_cast<int>(error), which);
}

void Faults::fail(Call call, int error_number, Which which) {
  const std::lock_guard lock(state_->mutex);
  State::Script& script = state_->scripts[index(call)];
  script.error = error_number;
  script.which = which;
}

void Faults::restore(Call call) {
  const std::lock_guard lock(state_->mutex);
  State::Script& script = state_->scripts[index(call)];
  script.which.times = 0;
  script.most_bytes = SIZE_MAX;
}

void Faults::cap(Call call, std::size_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->scripts[index(call)].most_bytes = bytes;
}

}  // namespace pollard::testing
