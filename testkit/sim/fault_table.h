// The inside of Faults: the state behind its table of calls. Not for users.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/testkit/sim/faults.h"

namespace pollard::sim {

/// What epolls and kqueues watch, as far as their callers said so: for events that are invented,
/// and for edges that are asked for again.
class WatchList {
 public:
  struct Filter {
    platform::KernelEvent change;
    int queue;
  };
  struct Registration {
    platform::EpollEvent event;
    int queue;
  };

  void epoll_changed(int queue, int operation, int fd, const platform::EpollEvent* event);
  void kqueue_changed(int queue, const platform::KernelEvent& change);
  /// The descriptor is gone, as one that is watched and as one that watches.
  void closed(int fd);

  [[nodiscard]] std::vector<std::pair<int, Registration>> epolls_of(int fd) const;
  [[nodiscard]] std::vector<Filter> filters_of(int fd) const;
  /// One of those of `queue`, chosen by `dice`; nothing when there is none.
  [[nodiscard]] std::optional<platform::EpollEvent> any(int epoll, SplitMix64& dice) const;
  [[nodiscard]] std::optional<platform::KernelEvent> any_filter(int queue, SplitMix64& dice) const;
  /// One whose descriptor was closed.
  [[nodiscard]] std::optional<platform::EpollEvent> any_ended(int epoll, SplitMix64& dice) const;
  [[nodiscard]] std::optional<platform::KernelEvent> any_ended_filter(int queue,
                                                                      SplitMix64& dice) const;

 private:
  std::map<std::pair<int, int>, Registration> epolls_;            // by epoll and descriptor
  std::map<std::tuple<int, int, std::int64_t>, Filter> filters_;  // and by filter
  std::deque<Registration> ended_;
  std::deque<Filter> ended_filters_;
};

class Faults::Table {
 public:
  explicit Table(const FaultOptions& options);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // What Faults offers.
  void set_chances(const FaultChances& chances) { chances_ = chances; }
  void set_on_sleep(std::function<void()> on_sleep) { on_sleep_ = std::move(on_sleep); }
  void note(std::string_view line);
  void progress() { idling_ = 0; }
  [[nodiscard]] std::vector<std::string> open_descriptors() const;

  std::map<std::string_view, std::uint64_t> befallen;
  std::deque<std::string> trace;
  std::vector<std::string> misuse;
  std::uint64_t calls = 0;
  std::uint64_t waits = 0;
  std::uint64_t longest_idling = 0;

 private:
  using SystemCalls = platform::SystemCalls;
  using EpollEvent = platform::EpollEvent;
  using KernelEvent = platform::KernelEvent;
  using Timeout = std::optional<Duration>;
  using Chance = double FaultChances::*;

  static SystemCalls make_table(const SystemCalls& real);
  static void add_plain_calls(SystemCalls& table);
  static void add_readiness_calls(SystemCalls& table);
  static Table& in_force();
  [[nodiscard]] MonotonicTime now() const;

  // Whether a fault befalls this call; then `name` stands in its line of the trace.
  bool strikes(Chance chance, std::string_view name);
  template <class... Arguments>
  void record(std::string_view call, std::ptrdiff_t result, const Arguments&... arguments);
  // Records, and notes what the result says about the caller.
  template <class Value, class... Arguments>
  Value done(std::string_view call, Value result, const Arguments&... arguments);
  template <class... Arguments>
  int made(std::string_view call, int fd, const Arguments&... arguments);
  void check_own(std::string_view call, int fd, std::ptrdiff_t result);
  int own(std::string_view call, int fd, int result) {
    check_own(call, fd, result);
    return done(call, result, fd);
  }

  // Faults that several calls have.
  [[nodiscard]] int shortage(bool network);
  void reset_connection(int fd);
  void announce_again(int fd);
  [[nodiscard]] std::size_t cut(std::size_t size, Chance chance, std::string_view name);
  [[nodiscard]] int refuse_transfer(int fd);
  void take_number(int fd);
  void give_numbers_back(std::uint64_t at_most);

  // The calls, where they do more than pass on.
  int close(int fd);
  std::ptrdiff_t read(int fd, void* bytes, std::size_t size);
  std::ptrdiff_t write(int fd, const void* bytes, std::size_t size);
  int open(const char* path, int flags);
  int pipe(std::string_view name, int fds[2], int (*real)(int[2], int), int flags);
  int accept(std::string_view name, int fd, sockaddr* address, socklen_t* size, int flags);
  int connect(int fd, const sockaddr* address, socklen_t size);
  std::ptrdiff_t recv(int fd, void* bytes, std::size_t size, int flags);
  std::ptrdiff_t send(int fd, const void* bytes, std::size_t size, int flags);
  std::ptrdiff_t sendmsg(int fd, const msghdr* message, int flags);
  std::ptrdiff_t sendfile(int fd, int file, std::int64_t offset, std::size_t size);
  int epoll_ctl(int epoll, int operation, int fd, EpollEvent* event);
  int clock_gettime(clockid_t clock, timespec* time);

  // Waits, in fault_waits.cc. `name` tells the two forms of a call apart.
  template <class Call>
  int interruptible(Timeout timeout, bool must_not_sleep, Call call);
  void begin_wait(const Timeout& timeout);
  void end_wait(int found, const Timeout& timeout);
  int wait_epoll(std::string_view name, int epoll, std::span<EpollEvent> events, Timeout timeout);
  int wait_kevent(int queue, std::span<const KernelEvent> changes, std::span<KernelEvent> events,
                  Timeout timeout);
  std::optional<int> refuse_change(int queue, std::span<const KernelEvent> changes,
                                   std::span<KernelEvent> events);
  int wait_poll(std::string_view name, std::span<pollfd> records, Timeout timeout);
  int wait_select(int limit, void* readable, void* writable, void* exceptional, Timeout timeout);
  template <class Event>
  void reorder(std::span<Event> events);

  const FaultOptions options_;
  FaultChances chances_;
  const SystemCalls& real_;
  SplitMix64 dice_;
  const SystemCalls table_;
  std::function<void()> on_sleep_;
  WatchList watched_;
  std::map<int, std::string_view> open_;   // what made each descriptor that is open
  std::set<int> taken_;                    // numbers that belong to somebody else for now
  std::vector<std::string_view> pending_;  // the faults of the call at hand
  std::int64_t wall_jump_seconds_ = 0;
  std::uint64_t idling_ = 0;
  bool sleeps_ = false;  // in on_sleep_
  std::optional<platform::ScopedSystemCalls> installed_;

  static inline Table* active_ = nullptr;
};

template <class... Arguments>
void Faults::Table::record(std::string_view call, std::ptrdiff_t result,
                           const Arguments&... arguments) {
  if (options_.trace_lines == 0) return pending_.clear();
  std::ostringstream line;
  line << call << '(';
  std::string_view separator;
  ((line << separator << arguments, separator = ", "), ...);
  line << ") = " << result;
  for (const std::string_view fault : pending_) line << "  [" << fault << ']';
  pending_.clear();
  note(line.str());
}

template <class Value, class... Arguments>
Value Faults::Table::done(std::string_view call, Value result, const Arguments&... arguments) {
  ++calls;
  if (!pending_.empty()) progress();
  record(call, static_cast<std::ptrdiff_t>(result), arguments...);
  return result;
}

template <class... Arguments>
int Faults::Table::made(std::string_view call, int fd, const Arguments&... arguments) {
  if (fd >= 0) {
    open_[fd] = call;
    progress();
  }
  return done(call, fd, arguments...);
}

}  // namespace pollard::sim
