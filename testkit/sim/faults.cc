#include "pollard/testkit/sim/faults.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iomanip>

#include "pollard/base/assert.h"
#include "pollard/platform/socket_address.h"
#include "pollard/platform/time.h"
#include "pollard/testkit/sim/fault_table.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::sim {

Faults::Faults(const FaultOptions& options) : table_(std::make_unique<Table>(options)) {}
Faults::~Faults() = default;

void Faults::set_chances(const FaultChances& chances) { table_->set_chances(chances); }
void Faults::set_on_sleep(std::function<void()> on_sleep) {
  table_->set_on_sleep(std::move(on_sleep));
}
void Faults::note_progress() { table_->progress(); }
const std::map<std::string_view, std::uint64_t>& Faults::befallen() const {
  return table_->befallen;
}
const std::deque<std::string>& Faults::trace() const { return table_->trace; }
void Faults::note(std::string_view line) { table_->note(line); }
std::uint64_t Faults::calls() const { return table_->calls; }
std::uint64_t Faults::waits() const { return table_->waits; }
std::uint64_t Faults::longest_idling() const { return table_->longest_idling; }
std::vector<std::string> Faults::open_descriptors() const { return table_->open_descriptors(); }
const std::vector<std::string>& Faults::misuse() const { return table_->misuse; }

Faults::Table::Table(const FaultOptions& options)
    : options_(options),
      chances_(options.chances),
      real_(platform::system_calls()),
      dice_(options.seed),
      table_(make_table(real_)) {
  POLLARD_ASSERT(active_ == nullptr, "one sim::Faults at a time");
  active_ = this;
  installed_.emplace(table_);
}

Faults::Table::~Table() {
  installed_.reset();
  give_numbers_back(UINT64_MAX);
  active_ = nullptr;
}

Faults::Table& Faults::Table::in_force() { return *active_; }

// A call would cost virtual time, and a run with a trace would not be the same as one without.
MonotonicTime Faults::Table::now() const {
  if (const Kernel* const kernel = Kernel::current()) return kernel->now();
  timespec time{};
  static_cast<void>(real_.clock_gettime(CLOCK_MONOTONIC, &time));
  return MonotonicTime(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

void Faults::Table::note(std::string_view line) {
  if (options_.trace_lines == 0) return;
  const Duration time = now().time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  std::ostringstream stamped;
  stamped << seconds.count() << '.' << std::setw(9) << std::setfill('0') << (time - seconds).count()
          << ' ' << line;
  trace.push_back(stamped.str());
  if (trace.size() > options_.trace_lines) trace.pop_front();
}

std::vector<std::string> Faults::Table::open_descriptors() const {
  std::vector<std::string> lines;
  for (const auto& [fd, call] : open_) {
    lines.push_back(std::to_string(fd) + ' ' + std::string(call));
  }
  return lines;
}

bool Faults::Table::strikes(Chance chance, std::string_view name) {
  const double likely = chances_.*chance;
  if (likely <= 0) return false;  // the sequence moves on by what is asked for alone
  const double drawn = static_cast<double>(dice_.next() >> 11U) * 0x1p-53;
  if (drawn >= likely) return false;
  ++befallen[name];
  pending_.push_back(name);
  return true;
}

void Faults::Table::check_own(std::string_view call, int fd, std::ptrdiff_t result) {
  const bool taken = taken_.contains(fd);
  if (result != -EBADF && !taken) return;
  misuse.push_back(std::string(call) + '(' + std::to_string(fd) +
                   "): " + (taken ? "the number belongs to somebody else by now" : "not open"));
}

// ---- Faults that several calls have ----

// The error for want of something; 0 when there is enough.
int Faults::Table::shortage(bool network) {
  if (strikes(&FaultChances::process_limit, "EMFILE")) return -EMFILE;
  if (strikes(&FaultChances::system_limit, "ENFILE")) return -ENFILE;
  if (network && strikes(&FaultChances::no_buffers, "ENOBUFS")) return -ENOBUFS;
  if (network && strikes(&FaultChances::no_memory, "ENOMEM")) return -ENOMEM;
  return 0;
}

// The simulated kernel can do it by itself; on a real one, connecting to no address at all
// dissolves a connection by a reset that both ends hear of (connect(2) on Linux).
void Faults::Table::reset_connection(int fd) {
  if (Kernel* const kernel = Kernel::current()) {
    // The end that connected is alone at its address; those that were accepted share theirs.
    const auto at = open_.find(fd);
    const bool connected = at != open_.end() && at->second == "socket";
    platform::SocketAddress name;
    static_cast<void>(
        (connected ? real_.getsockname : real_.getpeername)(fd, name.get(), &name.size));
    static_cast<void>(kernel->cut(platform::to_endpoint(name)));
    return;
  }
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  static_cast<void>(real_.connect(fd, &nowhere, sizeof nowhere));
}

// What edges there are is reported once more: a registration that is made again looks afresh.
void Faults::Table::announce_again(int fd) {
  for (auto [queue, registration] : watched_.epolls_of(fd)) {
    if ((registration.event.events & platform::kEpollEdge) == 0) continue;
    static_cast<void>(real_.epoll_ctl(queue, platform::kEpollModify, fd, &registration.event));
  }
  for (const WatchList::Filter& filter : watched_.filters_of(fd)) {
    if (!platform::has_flag(filter.change, platform::kEventClear)) continue;
    static_cast<void>(real_.kevent(filter.queue, &filter.change, 1, nullptr, 0, nullptr));
  }
}

std::size_t Faults::Table::cut(std::size_t size, Chance chance, std::string_view name) {
  constexpr std::size_t kMostLeft = 2000;
  if (size < 2 || !strikes(chance, name)) return size;
  return 1 + dice_.up_to(std::min(size - 2, kMostLeft));
}

// What a send may be refused with; 0 when it isn't.
int Faults::Table::refuse_transfer(int fd) {
  if (strikes(&FaultChances::interrupted, "EINTR")) return -EINTR;
  if (strikes(&FaultChances::reset, "reset")) reset_connection(fd);
  if (strikes(&FaultChances::no_buffers, "ENOBUFS")) return -ENOBUFS;
  if (strikes(&FaultChances::no_memory, "ENOMEM")) return -ENOMEM;
  if (strikes(&FaultChances::full_buffer, "full")) {
    announce_again(fd);
    return -EAGAIN;
  }
  return 0;
}

// Somebody else in the process makes sockets, which get the lowest free numbers, until one has
// this.
void Faults::Table::take_number(int fd) {
  constexpr std::size_t kMost = 16;
  std::vector<int> lower;
  while (lower.size() < kMost) {
    const int taken = real_.socket(AF_INET, SOCK_STREAM, 0);
    if (taken == fd) taken_.insert(fd);
    if (taken < 0 || taken >= fd) {
      if (taken > fd) static_cast<void>(real_.close(taken));
      break;
    }
    lower.push_back(taken);
  }
  for (const int other : lower) static_cast<void>(real_.close(other));
}

void Faults::Table::give_numbers_back(std::uint64_t at_most) {
  for (; at_most > 0 && !taken_.empty(); --at_most) {
    static_cast<void>(real_.close(*taken_.begin()));
    taken_.erase(taken_.begin());
  }
}

// ---- The calls ----

int Faults::Table::close(int fd) {
  if (taken_.contains(fd)) {
    check_own("close", fd, 0);
    return done("close", -EBADF, fd);
  }
  const int result = real_.close(fd);
  check_own("close", fd, result);
  open_.erase(fd);
  watched_.closed(fd);
  progress();
  if (strikes(&FaultChances::taken_number, "number taken")) take_number(fd);
  return done("close", result, fd);
}

std::ptrdiff_t Faults::Table::read(int fd, void* bytes, std::size_t size) {
  std::ptrdiff_t result = -EINTR;
  if (!strikes(&FaultChances::interrupted, "EINTR")) result = real_.read(fd, bytes, size);
  check_own("read", fd, result);
  return done("read", result, fd, size);
}

std::ptrdiff_t Faults::Table::write(int fd, const void* bytes, std::size_t size) {
  std::ptrdiff_t result = -EINTR;
  if (!strikes(&FaultChances::interrupted, "EINTR")) result = real_.write(fd, bytes, size);
  check_own("write", fd, result);
  progress();
  return done("write", result, fd, size);
}

int Faults::Table::open(const char* path, int flags) {
  if (strikes(&FaultChances::interrupted, "EINTR")) return done("open", -EINTR, path);
  if (const int error = shortage(false)) return done("open", error, path);
  return made("open", real_.open(path, flags), path);
}

int Faults::Table::pipe(std::string_view name, int fds[2], int (*real)(int[2], int), int flags) {
  if (const int error = shortage(false)) return done(name, error);
  const int result = real(fds, flags);
  if (result >= 0) {
    open_[fds[0]] = name;
    open_[fds[1]] = name;
  }
  return done(name, result);
}

int Faults::Table::accept(std::string_view name, int fd, sockaddr* address, socklen_t* size,
                          int flags) {
  if (strikes(&FaultChances::interrupted, "EINTR")) return done(name, -EINTR, fd);
  if (const int error = shortage(true)) return done(name, error, fd);
  const int accepted =
      name == "accept4" ? real_.accept4(fd, address, size, flags) : real_.accept(fd, address, size);
  check_own(name, fd, accepted);
  if (accepted >= 0 && strikes(&FaultChances::aborted_accept, "ECONNABORTED")) {
    static_cast<void>(real_.close(accepted));
    return done(name, -ECONNABORTED, fd);
  }
  return made(name, accepted, fd);
}

int Faults::Table::connect(int fd, const sockaddr* address, socklen_t size) {
  if (strikes(&FaultChances::no_buffers, "ENOBUFS")) return done("connect", -ENOBUFS, fd);
  int result = real_.connect(fd, address, size);
  check_own("connect", fd, result);
  progress();
  const bool under_way = result == 0 || result == -EINPROGRESS;
  if (under_way && strikes(&FaultChances::interrupted, "EINTR")) result = -EINTR;
  return done("connect", result, fd);
}

std::ptrdiff_t Faults::Table::recv(int fd, void* bytes, std::size_t size, int flags) {
  if (strikes(&FaultChances::interrupted, "EINTR")) return done("recv", -EINTR, fd, size);
  if (strikes(&FaultChances::reset, "reset")) reset_connection(fd);
  const std::size_t wanted = cut(size, &FaultChances::short_read, "short read");
  const std::ptrdiff_t got = real_.recv(fd, bytes, wanted, flags);
  check_own("recv", fd, got);
  if (wanted < size && got == static_cast<std::ptrdiff_t>(wanted)) announce_again(fd);
  if (got >= 0) progress();
  return done("recv", got, fd, size);
}

std::ptrdiff_t Faults::Table::send(int fd, const void* bytes, std::size_t size, int flags) {
  if (const int error = refuse_transfer(fd)) return done("send", error, fd, size);
  const std::size_t wanted = cut(size, &FaultChances::short_write, "short write");
  const std::ptrdiff_t sent = real_.send(fd, bytes, wanted, flags);
  check_own("send", fd, sent);
  if (wanted < size) announce_again(fd);
  if (sent > 0) progress();
  return done("send", sent, fd, size);
}

std::ptrdiff_t Faults::Table::sendmsg(int fd, const msghdr* message, int flags) {
  std::vector<iovec> pieces(message->msg_iov, message->msg_iov + message->msg_iovlen);
  std::size_t size = 0;
  for (const iovec& piece : pieces) size += piece.iov_len;
  if (const int error = refuse_transfer(fd)) return done("sendmsg", error, fd, size);
  const std::size_t wanted = cut(size, &FaultChances::short_write, "short write");
  std::size_t room = wanted;
  for (iovec& piece : pieces) {
    piece.iov_len = std::min(piece.iov_len, room);
    room -= piece.iov_len;
  }
  msghdr shortened = *message;
  shortened.msg_iov = pieces.data();
  const std::ptrdiff_t sent = real_.sendmsg(fd, &shortened, flags);
  check_own("sendmsg", fd, sent);
  if (wanted < size) announce_again(fd);
  if (sent > 0) progress();
  return done("sendmsg", sent, fd, size);
}

std::ptrdiff_t Faults::Table::sendfile(int fd, int file, std::int64_t offset, std::size_t size) {
  if (const int error = refuse_transfer(fd)) return done("sendfile", error, fd, size);
  const std::size_t wanted = cut(size, &FaultChances::short_write, "short write");
  const std::ptrdiff_t sent = real_.sendfile(fd, file, offset, wanted);
  check_own("sendfile", fd, sent);
  if (wanted < size) announce_again(fd);
  if (sent > 0) progress();
  return done("sendfile", sent, fd, size);
}

int Faults::Table::epoll_ctl(int epoll, int operation, int fd, EpollEvent* event) {
  if (operation == platform::kEpollAdd && strikes(&FaultChances::no_memory, "ENOMEM")) {
    return done("epoll_ctl", -ENOMEM, epoll, operation, fd);
  }
  const int result = real_.epoll_ctl(epoll, operation, fd, event);
  if (result == 0) watched_.epoll_changed(epoll, operation, fd, event);
  return done("epoll_ctl", result, epoll, operation, fd);
}

int Faults::Table::clock_gettime(clockid_t clock, timespec* time) {
  constexpr std::uint64_t kHour = 3600;
  const int result = real_.clock_gettime(clock, time);
  if (clock != CLOCK_REALTIME) return result;
  if (strikes(&FaultChances::clock_jump, "clock jump")) {
    wall_jump_seconds_ +=
        static_cast<std::int64_t>(dice_.up_to(2 * kHour)) - static_cast<std::int64_t>(kHour);
  }
  time->tv_sec += static_cast<decltype(time->tv_sec)>(wall_jump_seconds_);
  return done("clock_gettime", result);
}

// ---- The table ----

namespace {

Duration to_duration(const timespec& time) {
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

std::optional<Duration> to_timeout(const timespec* time) {
  return time == nullptr ? std::nullopt : std::optional(to_duration(*time));
}

std::optional<Duration> to_timeout(int milliseconds) {
  return milliseconds < 0 ? std::nullopt
                          : std::optional<Duration>(std::chrono::milliseconds(milliseconds));
}

std::size_t as_size(int count) { return static_cast<std::size_t>(std::max(count, 0)); }

}  // namespace

// What isn't named here goes through.
platform::SystemCalls Faults::Table::make_table(const SystemCalls& real) {
  SystemCalls table = real;
  table.close = [](int fd) { return in_force().close(fd); };
  table.read = [](int fd, void* bytes, std::size_t size) {
    return in_force().read(fd, bytes, size);
  };
  table.write = [](int fd, const void* bytes, std::size_t size) {
    return in_force().write(fd, bytes, size);
  };
  table.open = [](const char* path, int flags) { return in_force().open(path, flags); };
  table.pipe = [](int fds[2]) {
    const auto without_flags = [](int ends[2], int) { return in_force().real_.pipe(ends); };
    return in_force().pipe("pipe", fds, without_flags, 0);
  };
  table.pipe2 = [](int fds[2], int flags) {
    return in_force().pipe("pipe2", fds, in_force().real_.pipe2, flags);
  };
  table.connect = [](int fd, const sockaddr* address, socklen_t size) {
    return in_force().connect(fd, address, size);
  };
  table.accept = [](int fd, sockaddr* address, socklen_t* size) {
    return in_force().accept("accept", fd, address, size, 0);
  };
  table.accept4 = [](int fd, sockaddr* address, socklen_t* size, int flags) {
    return in_force().accept("accept4", fd, address, size, flags);
  };
  table.recv = [](int fd, void* bytes, std::size_t size, int flags) {
    return in_force().recv(fd, bytes, size, flags);
  };
  table.send = [](int fd, const void* bytes, std::size_t size, int flags) {
    return in_force().send(fd, bytes, size, flags);
  };
  table.sendmsg = [](int fd, const msghdr* message, int flags) {
    return in_force().sendmsg(fd, message, flags);
  };
  table.sendfile = [](int fd, int file, std::int64_t offset, std::size_t size) {
    return in_force().sendfile(fd, file, offset, size);
  };
  table.clock_gettime = [](clockid_t clock, timespec* time) {
    return in_force().clock_gettime(clock, time);
  };
  table.wait_tick = [] { return in_force().real_.wait_tick(); };
  add_plain_calls(table);
  add_readiness_calls(table);
  return table;
}

// Those that are recorded, and may lack what they need.
void Faults::Table::add_plain_calls(SystemCalls& table) {
  table.pread = [](int fd, void* bytes, std::size_t size, std::int64_t offset) {
    return in_force().done("pread", in_force().real_.pread(fd, bytes, size, offset), fd, size);
  };
  table.unlink = [](const char* path) {
    return in_force().done("unlink", in_force().real_.unlink(path), path);
  };
  table.lstat = [](const char* path, struct stat* status) {
    return in_force().done("lstat", in_force().real_.lstat(path, status), path);
  };
  table.fcntl = [](int fd, int command, int argument) {
    return in_force().done("fcntl", in_force().real_.fcntl(fd, command, argument), fd, command);
  };
  table.eventfd = [](unsigned initial, int flags) {
    if (const int error = in_force().shortage(false)) return in_force().done("eventfd", error);
    return in_force().made("eventfd", in_force().real_.eventfd(initial, flags));
  };
  table.socket = [](int domain, int type, int protocol) {
    if (const int error = in_force().shortage(true)) return in_force().done("socket", error);
    return in_force().made("socket", in_force().real_.socket(domain, type, protocol));
  };
  table.bind = [](int fd, const sockaddr* address, socklen_t size) {
    return in_force().own("bind", fd, in_force().real_.bind(fd, address, size));
  };
  table.listen = [](int fd, int backlog) {
    return in_force().own("listen", fd, in_force().real_.listen(fd, backlog));
  };
  table.shutdown = [](int fd, int how) {
    return in_force().own("shutdown", fd, in_force().real_.shutdown(fd, how));
  };
  table.getsockname = [](int fd, sockaddr* address, socklen_t* size) {
    return in_force().own("getsockname", fd, in_force().real_.getsockname(fd, address, size));
  };
  table.getpeername = [](int fd, sockaddr* address, socklen_t* size) {
    return in_force().own("getpeername", fd, in_force().real_.getpeername(fd, address, size));
  };
  table.getsockopt = [](int fd, int level, int name, void* value, socklen_t* size) {
    return in_force().own("getsockopt", fd,
                          in_force().real_.getsockopt(fd, level, name, value, size));
  };
  table.setsockopt = [](int fd, int level, int name, const void* value, socklen_t size) {
    return in_force().own("setsockopt", fd,
                          in_force().real_.setsockopt(fd, level, name, value, size));
  };
}

void Faults::Table::add_readiness_calls(SystemCalls& table) {
  table.epoll_create1 = [](int flags) {
    if (const int error = in_force().shortage(false))
      return in_force().done("epoll_create1", error);
    return in_force().made("epoll_create1", in_force().real_.epoll_create1(flags));
  };
  table.epoll_ctl = [](int epoll, int operation, int fd, EpollEvent* event) {
    return in_force().epoll_ctl(epoll, operation, fd, event);
  };
  table.epoll_wait = [](int epoll, EpollEvent* events, int capacity, int milliseconds) {
    return in_force().wait_epoll("epoll_wait", epoll, {events, as_size(capacity)},
                                 to_timeout(milliseconds));
  };
  table.epoll_pwait2 = [](int epoll, EpollEvent* events, int capacity, const timespec* timeout) {
    return in_force().wait_epoll("epoll_pwait2", epoll, {events, as_size(capacity)},
                                 to_timeout(timeout));
  };
  table.kqueue = [] {
    if (const int error = in_force().shortage(false)) return in_force().done("kqueue", error);
    return in_force().made("kqueue", in_force().real_.kqueue());
  };
  table.kevent = [](int queue, const KernelEvent* changes, int change_count, KernelEvent* events,
                    int capacity, const timespec* timeout) {
    return in_force().wait_kevent(queue, {changes, as_size(change_count)},
                                  {events, as_size(capacity)}, to_timeout(timeout));
  };
  table.poll = [](pollfd* records, std::size_t count, int milliseconds) {
    return in_force().wait_poll("poll", {records, count}, to_timeout(milliseconds));
  };
  table.ppoll = [](pollfd* records, std::size_t count, const timespec* timeout) {
    return in_force().wait_poll("ppoll", {records, count}, to_timeout(timeout));
  };
  table.pselect = [](int limit, void* readable, void* writable, void* exceptional,
                     const timespec* timeout) {
    return in_force().wait_select(limit, readable, writable, exceptional, to_timeout(timeout));
  };
}

}  // namespace pollard::sim
