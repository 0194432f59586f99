#include "pollard/tests/fault_run/strike.h"

#include <netdb.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <type_traits>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/platform/socket_address.h"
#include "pollard/testkit/sim/fault_table.h"
#include "pollard/tests/support/short_memory.h"

namespace pollard::fault_run {

using platform::EpollEvent;
using platform::KernelEvent;
using platform::SystemCalls;

namespace {

thread_local unsigned truces = 0;

}  // namespace

Truce::Truce() : allocations_left_(testing::exchange_allocations_left(0)) { ++truces; }
Truce::~Truce() {
  --truces;
  testing::exchange_allocations_left(allocations_left_);
}

struct Strike::State {
  State(sim::Kernel& of_kernel, const Blow& of_blow, bool traces)
      : kernel(of_kernel), blow(of_blow), traced(traces), real(kernel.system_calls()) {}

  struct Decision {
    std::optional<Failure> failure;
    bool counted = false;
  };
  // One answer of the name service, as getaddrinfo's caller sees it.
  struct List {
    std::vector<platform::SocketAddress> addresses;
    std::vector<addrinfo> entries;
  };

  Decision decide(Kind kind, int fd);
  void record(Kind kind, int fd, std::ptrdiff_t result, const Decision& decision);
  void break_connection(int fd);
  void announce_again(int fd);
  void watch(int queue, int operation, int fd, const EpollEvent* event);
  void watch(int queue, std::span<const KernelEvent> changes);
  addrinfo* make_list();

  template <Kind kKind, auto Entry>
  struct Hook;
  static SystemCalls table();

  sim::Kernel& kernel;
  const Blow blow;
  const bool traced;
  const SystemCalls& real;
  mutable std::mutex mutex;
  std::vector<Kind> calls;
  std::optional<Kind> struck;
  Failure failure;
  std::set<int> spared;
  std::set<int> accepted;
  sim::WatchList watched;
  std::vector<std::string> trace;
  std::vector<std::string> misuse;
  std::vector<Address> addresses;
  std::list<List> lists;
  std::optional<platform::ScopedSystemCalls> installed;

  static inline State* active = nullptr;
};

Strike::State::Decision Strike::State::decide(Kind kind, int fd) {
  const std::lock_guard lock(mutex);
  if (truces > 0 || spared.contains(fd)) return {};
  calls.push_back(kind);
  if (calls.size() == blow.call) {
    const std::span<const Failure> possible = failures_of(kind);
    // Where threads race, another call may stand in its place, which has no such error.
    if (std::ranges::find(possible, blow.error, &Failure::error) == possible.end()) {
      return {.counted = true};
    }
    struck = kind;
    failure = failure_of(kind, blow.error);
    return {.failure = failure, .counted = true};
  }
  if (struck == kind && failure.for_good) return {.failure = failure, .counted = true};
  return {.counted = true};
}

void Strike::State::record(Kind kind, int fd, std::ptrdiff_t result, const Decision& decision) {
  const std::lock_guard lock(mutex);
  const std::string line =
      std::string(to_string(kind)) + '(' + std::to_string(fd) + ") = " + std::to_string(result);
  if (result == -EBADF && fd >= 0) misuse.push_back(line + ": the descriptor isn't open");
  if (!traced) return;
  const std::string number = decision.counted ? std::to_string(calls.size()) : "-";
  trace.push_back(number + ' ' + line + (decision.failure.has_value() ? "  [struck]" : ""));
}

// What a peer's reset does, or its silence: neither end gets anything through any more.
void Strike::State::break_connection(int fd) {
  const bool is_accepted = accepted.contains(fd);
  platform::SocketAddress name;
  static_cast<void>(
      (is_accepted ? real.getpeername : real.getsockname)(fd, name.get(), &name.size));
  const platform::Endpoint at = platform::to_endpoint(name);
  if (at.family == platform::Family::kIpv4 || at.family == platform::Family::kIpv6) {
    static_cast<void>(kernel.cut(at));
  }
}

// What was refused for now is announced once more, also to those who watch for edges.
void Strike::State::announce_again(int fd) {
  for (auto [queue, registration] : watched.epolls_of(fd)) {
    if ((registration.event.events & platform::kEpollEdge) == 0) continue;
    static_cast<void>(real.epoll_ctl(queue, platform::kEpollModify, fd, &registration.event));
  }
  for (const sim::WatchList::Filter& filter : watched.filters_of(fd)) {
    if (!platform::has_flag(filter.change, platform::kEventClear)) continue;
    static_cast<void>(real.kevent(filter.queue, &filter.change, 1, nullptr, 0, nullptr));
  }
}

void Strike::State::watch(int queue, int operation, int fd, const EpollEvent* event) {
  const std::lock_guard lock(mutex);
  watched.epoll_changed(queue, operation, fd, event);
}

void Strike::State::watch(int queue, std::span<const KernelEvent> changes) {
  const std::lock_guard lock(mutex);
  for (const KernelEvent& change : changes) watched.kqueue_changed(queue, change);
}

addrinfo* Strike::State::make_list() {
  const std::lock_guard lock(mutex);
  List& list = lists.emplace_back();
  for (const Address& address : addresses) {
    list.addresses.push_back(platform::to_socket_address(address.endpoint()));
  }
  list.entries.resize(list.addresses.size());
  for (std::size_t i = 0; i < list.entries.size(); ++i) {
    list.entries[i].ai_family = list.addresses[i].storage.ss_family;
    list.entries[i].ai_addr = list.addresses[i].get();
    list.entries[i].ai_addrlen = list.addresses[i].size;
    if (i > 0) list.entries[i - 1].ai_next = &list.entries[i];
  }
  return list.entries.data();
}

template <Kind kKind, class Result, class... Arguments, Result (*SystemCalls::*Entry)(Arguments...)>
struct Strike::State::Hook<kKind, Entry> {
  static Result call(Arguments... arguments) {
    State& state = *active;
    const int fd = descriptor(arguments...);
    const Kind kind = kind_of(arguments...);
    const std::uint64_t allocations = testing::exchange_allocations_left(0);
    const Decision decision = state.decide(kind, fd);
    const auto result = static_cast<Result>(
        decision.failure.has_value()
            ? fail(state, decision.failure->error, decision.failure->harm, fd, arguments...)
            : forward(state, arguments...));
    state.record(kind, fd, static_cast<std::ptrdiff_t>(result), decision);
    testing::exchange_allocations_left(allocations);
    return result;
  }

  static int descriptor(Arguments... arguments) {
    if constexpr (kKind == Kind::kEpollAdd) {
      return std::get<2>(std::tuple(arguments...));
    } else {
      return first_int(arguments...);
    }
  }
  template <class First, class... Others>
  static int first_int(First first, Others...) {
    constexpr bool has_descriptor = kKind != Kind::kSocket && kKind != Kind::kEventfd &&
                                    kKind != Kind::kSigaction && kKind != Kind::kEpollCreate1 &&
                                    kKind != Kind::kPselect;
    if constexpr (std::is_same_v<First, int> && has_descriptor) return first;
    return -1;
  }
  static int first_int() { return -1; }

  static Kind kind_of(Arguments... arguments) {
    if constexpr (kKind == Kind::kEpollAdd) {
      const int operation = std::get<1>(std::tuple(arguments...));
      if (operation == platform::kEpollAdd) return Kind::kEpollAdd;
      return operation == platform::kEpollModify ? Kind::kEpollModify : Kind::kEpollRemove;
    } else if constexpr (kKind == Kind::kPoll) {
      const std::tuple all(arguments...);
      return std::get<1>(all) == 1 ? Kind::kPollOfOne : Kind::kPoll;
    } else if constexpr (kKind == Kind::kPpoll) {
      return std::get<1>(std::tuple(arguments...)) == 1 ? Kind::kPollOfOne : Kind::kPpoll;
    } else if constexpr (kKind == Kind::kPselect) {
      const timespec* const timeout = std::get<4>(std::tuple(arguments...));
      const bool waits = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
      return waits ? Kind::kPselect : Kind::kPselectAtOnce;
    } else {
      return kKind;
    }
  }

  // Lets the call through, and notes what the other hooks need to know.
  static std::ptrdiff_t forward(State& state, Arguments... arguments) {
    if constexpr (kKind == Kind::kGetaddrinfo) {
      const auto found = std::get<3>(std::tuple(arguments...));
      *found = state.make_list();
      return 0;
    } else {
      const auto result = static_cast<std::ptrdiff_t>((state.real.*Entry)(arguments...));
      note(state, result, arguments...);
      return result;
    }
  }

  static void note(State& state, std::ptrdiff_t result, Arguments... arguments) {
    const std::tuple all(arguments...);
    if constexpr (kKind == Kind::kEpollAdd) {
      if (result == 0) {
        state.watch(std::get<0>(all), std::get<1>(all), std::get<2>(all), std::get<3>(all));
      }
    } else if constexpr (kKind == Kind::kKevent) {
      if (result >= 0) {
        state.watch(std::get<0>(all),
                    std::span(std::get<1>(all), static_cast<std::size_t>(std::get<2>(all))));
      }
    } else if constexpr (kKind == Kind::kClose) {
      const std::lock_guard lock(state.mutex);
      state.watched.closed(std::get<0>(all));
      state.accepted.erase(std::get<0>(all));
    } else if constexpr (kKind == Kind::kAccept || kKind == Kind::kAccept4) {
      const std::lock_guard lock(state.mutex);
      if (result >= 0) state.accepted.insert(static_cast<int>(result));
    }
  }

  // A failure as the kernel would make it: with whatever effect the call has although it fails.
  static std::ptrdiff_t fail(State& state, int error, Harm harm, int fd, Arguments... arguments) {
    constexpr bool transfers = kKind == Kind::kRecv || kKind == Kind::kSend ||
                               kKind == Kind::kSendmsg || kKind == Kind::kSendfile;
    if constexpr (kKind == Kind::kClose) {  // closed all the same, as Linux does
      static_cast<void>(forward(state, arguments...));
    } else if constexpr (kKind == Kind::kConnect) {
      if (error == EINTR) {  // it goes on
        const std::ptrdiff_t result = forward(state, arguments...);
        if (result != 0 && result != -EINPROGRESS) return result;
      }
    } else if constexpr (kKind == Kind::kKevent) {
      if (error == EINTR) return interrupted(state, arguments...);
    } else if constexpr (kKind == Kind::kEpollAdd) {
      if (std::get<1>(std::tuple(arguments...)) == platform::kEpollRemove) {
        static_cast<void>(forward(state, arguments...));
      }
    }
    if (harm == Harm::kBroken) state.break_connection(fd);
    if (transfers && error == EAGAIN) state.announce_again(fd);
    return -error;
  }

  // An interrupted kevent has applied its changes, and has found nothing.
  static std::ptrdiff_t interrupted(State& state, Arguments... arguments) {
    if constexpr (kKind == Kind::kKevent) {
      const std::tuple all(arguments...);
      const timespec at_once{};
      const int found = state.real.kevent(std::get<0>(all), std::get<1>(all), std::get<2>(all),
                                          std::get<3>(all), std::get<4>(all), &at_once);
      note(state, found, arguments...);
      return found == 0 ? -EINTR : found;
    } else {
      return forward(state, arguments...);
    }
  }
};

SystemCalls Strike::State::table() {
  SystemCalls table = active->real;
  table.close = Hook<Kind::kClose, &SystemCalls::close>::call;
  table.read = Hook<Kind::kRead, &SystemCalls::read>::call;
  table.write = Hook<Kind::kWrite, &SystemCalls::write>::call;
  table.pread = Hook<Kind::kPread, &SystemCalls::pread>::call;
  table.open = Hook<Kind::kOpen, &SystemCalls::open>::call;
  table.unlink = Hook<Kind::kUnlink, &SystemCalls::unlink>::call;
  table.lstat = Hook<Kind::kLstat, &SystemCalls::lstat>::call;
  table.fcntl = Hook<Kind::kFcntl, &SystemCalls::fcntl>::call;
  table.pipe = Hook<Kind::kPipe, &SystemCalls::pipe>::call;
  table.pipe2 = Hook<Kind::kPipe2, &SystemCalls::pipe2>::call;
  table.eventfd = Hook<Kind::kEventfd, &SystemCalls::eventfd>::call;
  table.sigaction = Hook<Kind::kSigaction, &SystemCalls::sigaction>::call;
  table.socket = Hook<Kind::kSocket, &SystemCalls::socket>::call;
  table.bind = Hook<Kind::kBind, &SystemCalls::bind>::call;
  table.listen = Hook<Kind::kListen, &SystemCalls::listen>::call;
  table.accept = Hook<Kind::kAccept, &SystemCalls::accept>::call;
  table.accept4 = Hook<Kind::kAccept4, &SystemCalls::accept4>::call;
  table.connect = Hook<Kind::kConnect, &SystemCalls::connect>::call;
  table.shutdown = Hook<Kind::kShutdown, &SystemCalls::shutdown>::call;
  table.getsockname = Hook<Kind::kGetsockname, &SystemCalls::getsockname>::call;
  table.getpeername = Hook<Kind::kGetpeername, &SystemCalls::getpeername>::call;
  table.getsockopt = Hook<Kind::kGetsockopt, &SystemCalls::getsockopt>::call;
  table.setsockopt = Hook<Kind::kSetsockopt, &SystemCalls::setsockopt>::call;
  table.recv = Hook<Kind::kRecv, &SystemCalls::recv>::call;
  table.send = Hook<Kind::kSend, &SystemCalls::send>::call;
  table.sendmsg = Hook<Kind::kSendmsg, &SystemCalls::sendmsg>::call;
  table.sendfile = Hook<Kind::kSendfile, &SystemCalls::sendfile>::call;
  table.epoll_create1 = Hook<Kind::kEpollCreate1, &SystemCalls::epoll_create1>::call;
  table.epoll_ctl = Hook<Kind::kEpollAdd, &SystemCalls::epoll_ctl>::call;
  table.epoll_wait = Hook<Kind::kEpollWait, &SystemCalls::epoll_wait>::call;
  table.epoll_pwait2 = Hook<Kind::kEpollPwait2, &SystemCalls::epoll_pwait2>::call;
  table.kqueue = Hook<Kind::kKqueue, &SystemCalls::kqueue>::call;
  table.kevent = Hook<Kind::kKevent, &SystemCalls::kevent>::call;
  table.poll = Hook<Kind::kPoll, &SystemCalls::poll>::call;
  table.ppoll = Hook<Kind::kPpoll, &SystemCalls::ppoll>::call;
  table.pselect = Hook<Kind::kPselect, &SystemCalls::pselect>::call;
  table.getaddrinfo = Hook<Kind::kGetaddrinfo, &SystemCalls::getaddrinfo>::call;
  table.freeaddrinfo = [](addrinfo* found) {
    const std::lock_guard lock(active->mutex);
    active->lists.remove_if([&](const List& list) { return list.entries.data() == found; });
  };
  return table;
}

Strike::Strike(sim::Kernel& kernel, const Blow& blow, bool trace)
    : state_(std::make_unique<State>(kernel, blow, trace)) {
  POLLARD_ASSERT(State::active == nullptr, "only one Strike may live at a time");
  State::active = state_.get();
  // The same for every kernel: the hooks forward to the active one's.
  static const SystemCalls table = State::table();
  state_->installed.emplace(table);
}

Strike::~Strike() {
  state_->installed.reset();
  State::active = nullptr;
}

void Strike::spare(int fd) {
  const std::lock_guard lock(state_->mutex);
  state_->spared.insert(fd);
}

void Strike::know(std::vector<Address> addresses) {
  const std::lock_guard lock(state_->mutex);
  state_->addresses = std::move(addresses);
}

std::vector<Kind> Strike::calls() const {
  const std::lock_guard lock(state_->mutex);
  return state_->calls;
}

std::uint64_t Strike::count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->calls.size();
}

std::optional<Kind> Strike::struck() const {
  const std::lock_guard lock(state_->mutex);
  return state_->struck;
}

Harm Strike::harm() const {
  const std::lock_guard lock(state_->mutex);
  return state_->struck.has_value() ? state_->failure.harm : Harm::kNone;
}

bool Strike::struck_output() const {
  const std::optional<Kind> kind = struck();
  return kind == Kind::kSend || kind == Kind::kSendmsg || kind == Kind::kSendfile ||
         kind == Kind::kPread || kind == Kind::kEpollModify;
}

std::vector<std::string> Strike::trace() const {
  const std::lock_guard lock(state_->mutex);
  return state_->trace;
}

void Strike::note(std::string_view line) {
  const std::lock_guard lock(state_->mutex);
  if (state_->traced) state_->trace.emplace_back("      " + std::string(line));
}

std::vector<std::string> Strike::misuse() const {
  const std::lock_guard lock(state_->mutex);
  return state_->misuse;
}

}  // namespace pollard::fault_run
