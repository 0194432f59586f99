#include "pollard/tests/support/simulated_kqueue.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/epoll.h"
#include "pollard/platform/kqueue.h"

namespace pollard::testing {
namespace {

using platform::EpollEvent;
using platform::KernelEvent;
using platform::Result;
using platform::SystemCalls;

const SystemCalls& kernel() { return platform::real_system_calls(); }

int negated(std::errc error) { return -static_cast<int>(error); }

// One direction of a queue: an epoll set of its own, so that its edges are its own.
struct Direction {
  std::int64_t filter = 0;
  std::uint32_t wanted = 0;
  int set = -1;
  std::map<int, KernelEvent> filters;  // by descriptor, as they were added
};

// A queue's own descriptor is an epoll set that watches the sets of both directions.
struct Queue {
  std::array<Direction, 2> directions{
      Direction{.filter = platform::kFilterRead,
                .wanted = platform::kEpollIn | platform::kEpollPeerEnd},
      Direction{.filter = platform::kFilterWrite, .wanted = platform::kEpollOut}};
  std::size_t first = 0;  // whose turn it is to be collected first
};

class Simulation {
 public:
  int make_queue();
  int close(int fd);
  int kevent(int queue, std::span<const KernelEvent> changes, std::span<KernelEvent> events,
             const timespec* timeout);

 private:
  static int change(Queue& queue, const KernelEvent& change);
  static int add(Direction& direction, int fd, const KernelEvent& change);
  static int remove(Direction& direction, int fd);
  static std::size_t collect(Direction& direction, std::span<KernelEvent> events);
  static KernelEvent translate(const Direction& direction, const EpollEvent& event);

  std::mutex mutex_;
  std::map<int, Queue> queues_;  // by descriptor
};

int Simulation::make_queue() {
  const int outer = kernel().epoll_create1(O_CLOEXEC);
  if (outer < 0) return outer;
  Queue queue;
  for (Direction& direction : queue.directions) {
    direction.set = kernel().epoll_create1(O_CLOEXEC);
    if (direction.set < 0) return direction.set;
    EpollEvent event{};
    event.events = platform::kEpollIn;
    kernel().epoll_ctl(outer, platform::kEpollAdd, direction.set, &event);
  }
  const std::lock_guard lock(mutex_);
  queues_[outer] = std::move(queue);
  return outer;
}

int Simulation::close(int fd) {
  const std::lock_guard lock(mutex_);
  const auto closed = queues_.find(fd);
  if (closed != queues_.end()) {
    for (const Direction& direction : closed->second.directions) kernel().close(direction.set);
    queues_.erase(closed);
  }
  for (auto& [number, queue] : queues_) {
    for (Direction& direction : queue.directions) remove(direction, fd);
  }
  return kernel().close(fd);
}

int Simulation::add(Direction& direction, int fd, const KernelEvent& change) {
  const bool known = direction.filters.contains(fd);
  EpollEvent event{};
  event.events = direction.wanted;
  if (platform::has_flag(change, platform::kEventClear)) event.events |= platform::kEpollEdge;
  event.data.fd = fd;
  const int done = kernel().epoll_ctl(
      direction.set, known ? platform::kEpollModify : platform::kEpollAdd, fd, &event);
  if (done == 0) direction.filters[fd] = change;
  return done;
}

int Simulation::remove(Direction& direction, int fd) {
  if (direction.filters.erase(fd) == 0) {
    return platform::is_open(fd) ? negated(std::errc::no_such_file_or_directory)
                                 : negated(std::errc::bad_file_descriptor);
  }
  EpollEvent unused{};
  return kernel().epoll_ctl(direction.set, platform::kEpollRemove, fd, &unused);
}

int Simulation::change(Queue& queue, const KernelEvent& change) {
  const int fd = platform::descriptor_of(change);
  for (Direction& direction : queue.directions) {
    if (!platform::is_filter(change, direction.filter)) continue;
    return platform::has_flag(change, platform::kEventDelete) ? remove(direction, fd)
                                                              : add(direction, fd, change);
  }
  return negated(std::errc::invalid_argument);
}

KernelEvent Simulation::translate(const Direction& direction, const EpollEvent& event) {
  const int fd = event.data.fd;
  KernelEvent translated = direction.filters.at(fd);
  const bool reads = direction.filter == platform::kFilterRead;
  const bool failed = (event.events & platform::kEpollError) != 0;
  const std::uint32_t ends = platform::kEpollHangup | (reads ? platform::kEpollPeerEnd : 0U);
  if (failed || (event.events & ends) != 0) {
    translated.flags =
        static_cast<decltype(translated.flags)>(translated.flags | platform::kEventEnd);
  }
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const bool is_socket =
      kernel().getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  translated.fflags = failed && is_socket ? 1U : 0U;  // which error, only SO_ERROR could say
  int bytes = 0;
  if (reads && ::ioctl(fd, FIONREAD, &bytes) == 0) translated.data = bytes;
  return translated;
}

std::size_t Simulation::collect(Direction& direction, std::span<KernelEvent> events) {
  if (events.empty()) return 0;
  std::vector<EpollEvent> ready(events.size());
  const int count =
      kernel().epoll_wait(direction.set, ready.data(), static_cast<int>(ready.size()), 0);
  std::size_t kept = 0;
  for (int i = 0; i < count; ++i) {
    const EpollEvent& event = ready[static_cast<std::size_t>(i)];
    if (direction.filters.contains(event.data.fd)) events[kept++] = translate(direction, event);
  }
  return kept;
}

int Simulation::kevent(int queue, std::span<const KernelEvent> changes,
                       std::span<KernelEvent> events, const timespec* timeout) {
  if (timeout != nullptr && (timeout->tv_sec < 0 || timeout->tv_nsec < 0)) {
    return negated(std::errc::invalid_argument);
  }
  std::unique_lock lock(mutex_);
  const auto found = queues_.find(queue);
  if (found == queues_.end()) return negated(std::errc::bad_file_descriptor);
  std::size_t answers = 0;
  for (const KernelEvent& each : changes) {
    const int done = change(found->second, each);
    if (done == 0 && !platform::has_flag(each, platform::kEventReceipt)) continue;
    if (answers == events.size()) return done;
    KernelEvent& answer = events[answers++];
    answer = each;
    answer.flags = static_cast<decltype(answer.flags)>(platform::kEventError);
    answer.data = -done;
  }
  if (answers > 0 || events.empty()) return static_cast<int>(answers);

  lock.unlock();
  EpollEvent unused{};
  const int woken = kernel().epoll_pwait2(queue, &unused, 1, timeout);
  if (woken <= 0) return woken;
  lock.lock();
  const std::size_t first = std::exchange(found->second.first, 1 - found->second.first);
  std::size_t count = collect(found->second.directions[first], events);
  count += collect(found->second.directions[1 - first], events.subspan(count));
  return static_cast<int>(count);
}

// Never destroyed: a descriptor may be closed by a static's destructor.
Simulation& simulation() {
  static Simulation& only = *new Simulation;
  return only;
}

SystemCalls simulated_table() {
  SystemCalls table = kernel();
  table.kqueue = [] { return simulation().make_queue(); };
  table.close = [](int fd) { return simulation().close(fd); };
  table.kevent = [](int queue, const KernelEvent* changes, int change_count, KernelEvent* events,
                    int capacity, const timespec* timeout) {
    return simulation().kevent(queue, {changes, static_cast<std::size_t>(change_count)},
                               {events, static_cast<std::size_t>(capacity)}, timeout);
  };
  return table;
}

}  // namespace

std::string why_no_simulated_kqueue() {
  const Result made = platform::epoll_create();
  if (!made.ok()) return "simulated kqueue: epoll_create1: " + made.error().message();
  const platform::Descriptor set(made.descriptor());
  std::array<EpollEvent, 1> events{};
  const Result waited = platform::epoll_wait_nanoseconds(set.get(), events, Duration::zero());
  return waited.ok() ? "" : "simulated kqueue: epoll_pwait2: " + waited.error().message();
}

SimulatedKqueue::SimulatedKqueue() {
  static const SystemCalls table = simulated_table();
  installed_ = std::make_unique<platform::ScopedSystemCalls>(table);
}

SimulatedKqueue::~SimulatedKqueue() = default;

}  // namespace pollard::testing
