#include "pollard/platform/signals.h"

#include <errno.h>  // NOLINT(modernize-deprecated-headers): beside the other headers of the system
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX's

#include <algorithm>
#include <array>
#include <mutex>
#include <system_error>
#include <thread>

#include "pollard/platform/process.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {
namespace {

// What the handler looks through: no lock, no memory that could go away under it.
struct Place {
  std::atomic<int> signal{0};  // zero: free, or not yet to be looked at
  std::atomic<WakeDescriptor*> bell{nullptr};
  std::atomic<std::uint32_t> count{0};
  std::atomic<std::uint32_t> process{0};  // see fork_generation()
};
constexpr std::size_t kPlaces = 256;
constinit std::array<Place, kPlaces> places;

// How many handlers are looking, in whatever thread: a bell is taken away only when none is. Zero
// again in a forked child, which has none of these threads.
constinit std::atomic<std::uint32_t> looking{0};

constexpr std::size_t kSignals = 129;  // no system has more than 128
// What was there before ours, and the process that set ours.
std::array<struct sigaction, kSignals> before;
constinit std::array<std::atomic<std::uint32_t>, kSignals> set_in;
std::mutex changing;  // the dispositions

// A fork waits until no thread changes a disposition, for the child would find the mutex locked for
// ever and the tables half written.
void before_fork() { changing.lock(); }
void after_fork_in_parent() { changing.unlock(); }
void after_fork_in_child() {
  looking = 0;
  changing.unlock();
}

// Before main, so that no fork can come first.
[[maybe_unused]] const int kInstalled =
    ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

// Holds the mutex, with all signals blocked in this thread: a handler of the program that forks
// would otherwise wait in before_fork() for the very thread that it has interrupted.
class Changing {
 public:
  Changing() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &mask_);
    changing.lock();
  }
  ~Changing() {
    changing.unlock();
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

 private:
  sigset_t mask_{};
};

int error_of(std::errc error) { return static_cast<int>(error); }

extern "C" void count_and_ring(int signal) {
  const int kept_errno = errno;
  looking.fetch_add(1);
  for (Place& place : places) {
    if (place.signal.load() != signal || place.process.load() != fork_generation()) continue;
    place.count.fetch_add(1);
    if (WakeDescriptor* const bell = place.bell.load()) bell->wake();
  }
  looking.fetch_sub(1);
  const auto at = static_cast<std::size_t>(signal);
  if (set_in[at].load() != fork_generation()) {
    // A forked child, in which nobody watches: it gets what its parent would get without us.
    system_calls().sigaction(signal, &before[at], nullptr);
    ::raise(signal);
  }
  errno = kept_errno;
}

bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == count_and_ring;
}

bool is_fault(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL;
}

std::size_t watchers_of(int signal) {
  return static_cast<std::size_t>(std::ranges::count_if(places, [signal](const Place& place) {
    return place.signal.load() == signal && place.process.load() == fork_generation();
  }));
}

Result set_handler(int signal) {
  const auto at = static_cast<std::size_t>(signal);
  struct sigaction now {};
  const Result asked(system_calls().sigaction(signal, nullptr, &now));
  if (!asked.ok()) return asked;
  if (!is_ours(now)) before[at] = now;  // a forked child has it from its parent
  set_in[at] = fork_generation();
  struct sigaction ours {};
  ours.sa_handler = count_and_ring;
  // Calls of others, in whichever thread, are not to fail for it. A thread with a small stack (Go,
  // fibers) has another one for handlers.
  ours.sa_flags = SA_RESTART | SA_ONSTACK;
  sigfillset(&ours.sa_mask);
  return Result(system_calls().sigaction(signal, &ours, nullptr));
}

void restore_handler(int signal) {
  struct sigaction now {};
  const Result asked(system_calls().sigaction(signal, nullptr, &now));
  if (!asked.ok() || !is_ours(now)) return;
  system_calls().sigaction(signal, &before[static_cast<std::size_t>(signal)], nullptr);
}

[[noreturn]] void refuse(int signal, std::errc error, const char* why) {
  throw std::system_error(error_of(error), std::generic_category(),
                          "watching " + signal_name(signal) + ": " + why);
}

}  // namespace

WatchedSignal::WatchedSignal(int signal, WakeDescriptor& bell) : signal_(signal), place_(0) {
  if (signal <= 0 || static_cast<std::size_t>(signal) >= kSignals) {
    refuse(signal, std::errc::invalid_argument, "there is no such signal");
  }
  if (signal == SIGKILL || signal == SIGSTOP) {
    refuse(signal, std::errc::invalid_argument, "no process can catch it; SIGTERM asks politely");
  }
  if (is_fault(signal)) {
    refuse(signal, std::errc::invalid_argument,
           "a fault would come again for ever when its handler returned");
  }
  const Changing held;
  const auto free = std::ranges::find_if(places, [](const Place& place) {
    return place.bell.load() == nullptr || place.process.load() != fork_generation();
  });
  if (free == places.end()) {
    refuse(signal, std::errc::not_enough_memory, "256 watched signals are the most");
  }
  const bool first = watchers_of(signal) == 0;
  place_ = static_cast<std::size_t>(free - places.begin());
  free->signal = 0;
  free->count = 0;
  free->process = fork_generation();
  free->bell = &bell;
  free->signal = signal;
  if (!first) return;
  const Result set = set_handler(signal);
  if (set.ok()) return;
  free->signal = 0;
  free->bell = nullptr;
  throw std::system_error(set.error(), "watching " + signal_name(signal) + ": sigaction");
}

WatchedSignal::~WatchedSignal() {
  const Changing held;
  Place& place = places[place_];
  if (place.process.load() != fork_generation()) return;  // the parent's, and the child's handlers
  if (watchers_of(signal_) == 1) restore_handler(signal_);
  place.signal = 0;
  place.bell = nullptr;
  // Another thread may be in the handler, with the bell in its hand.
  while (looking.load() > 0) std::this_thread::yield();
}

// NOLINTNEXTLINE(readability-make-member-function-const): what is taken is gone
std::uint32_t WatchedSignal::take_count() { return places[place_].count.exchange(0); }

std::string signal_name(int signal) {
  struct Name {
    int signal;
    const char* name;
  };
  static constexpr std::array kNames = {
      Name{SIGHUP, "SIGHUP"},    Name{SIGINT, "SIGINT"},   Name{SIGQUIT, "SIGQUIT"},
      Name{SIGILL, "SIGILL"},    Name{SIGABRT, "SIGABRT"}, Name{SIGFPE, "SIGFPE"},
      Name{SIGKILL, "SIGKILL"},  Name{SIGSEGV, "SIGSEGV"}, Name{SIGPIPE, "SIGPIPE"},
      Name{SIGALRM, "SIGALRM"},  Name{SIGTERM, "SIGTERM"}, Name{SIGUSR1, "SIGUSR1"},
      Name{SIGUSR2, "SIGUSR2"},  Name{SIGCHLD, "SIGCHLD"}, Name{SIGCONT, "SIGCONT"},
      Name{SIGSTOP, "SIGSTOP"},  Name{SIGTSTP, "SIGTSTP"}, Name{SIGTTIN, "SIGTTIN"},
      Name{SIGTTOU, "SIGTTOU"},  Name{SIGBUS, "SIGBUS"},   Name{SIGURG, "SIGURG"},
      Name{SIGWINCH, "SIGWINCH"}};
  const auto found = std::ranges::find(kNames, signal, &Name::signal);
  return found == kNames.end() ? "signal " + std::to_string(signal) : found->name;
}

}  // namespace pollard::platform
