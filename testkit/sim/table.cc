#include "pollard/testkit/sim/table.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/platform/socket_address.h"
#include "pollard/testkit/sim/epoll.h"
#include "pollard/testkit/sim/event_file.h"
#include "pollard/testkit/sim/kqueue.h"
#include "pollard/testkit/sim/machine.h"
#include "pollard/testkit/sim/pipe.h"
#include "pollard/testkit/sim/poll_select.h"
#include "pollard/testkit/sim/tcp_socket.h"
#include "pollard/testkit/sim/unix_socket.h"

namespace pollard::sim {
namespace {

using platform::SystemCalls;

std::atomic<Machine*> in_force{nullptr};

Machine& machine() {
  Machine* const machine = in_force.load(std::memory_order_acquire);
  POLLARD_ASSERT(machine != nullptr, "the simulated kernel is gone: destroy it after its users");
  return *machine;
}

const Profile& profile() { return machine().options.profile; }

const SystemCalls& real() { return platform::real_system_calls(); }

// Numbers below ours belong to the real kernel.
bool is_outside(int fd) { return fd >= 0 && !machine().descriptors.owns(fd); }

#if POLLARD_HAS_ATOMIC_FLAGS
constexpr int kNonblock = SOCK_NONBLOCK;
constexpr int kCloseOnExec = SOCK_CLOEXEC;
#else
constexpr int kNonblock = 0;
constexpr int kCloseOnExec = 0;
#endif

std::span<std::byte> as_space(void* bytes, std::size_t size) {
  return {static_cast<std::byte*>(bytes), size};
}
std::span<const std::byte> as_bytes(const void* bytes, std::size_t size) {
  return {static_cast<const std::byte*>(bytes), size};
}

// Finds a socket and lets `body(entry, machine, socket)` answer.
template <class Body>
auto with_socket(int fd, Body body)
    -> decltype(body(std::declval<Entry&>(), std::declval<Machine&>(), std::declval<Socket&>())) {
  Machine& kernel = machine();
  Entry entry(kernel);
  const std::shared_ptr<File> file = kernel.find(fd);
  if (file == nullptr) return -EBADF;
  const auto socket = std::dynamic_pointer_cast<Socket>(file);
  if (socket == nullptr) return -ENOTSOCK;
  return body(entry, kernel, *socket);
}

// --- Descriptors ---------------------------------------------------------------------------------

int sim_close(int fd) {
  Machine& kernel = machine();
  Entry entry(kernel);
  if (!is_outside(fd)) return kernel.descriptors.close(fd);
  if (const auto known = kernel.outside.extract(fd)) known.mapped()->descriptor_closed(fd);
  return real().close(fd);
}

std::ptrdiff_t sim_read(int fd, void* bytes, std::size_t size) {
  if (is_outside(fd)) return real().read(fd, bytes, size);
  Machine& kernel = machine();
  Entry entry(kernel);
  const std::shared_ptr<File> file = kernel.find(fd);
  if (file == nullptr) return -EBADF;
  return entry.block_unless(file->nonblocking, [&] { return file->read(as_space(bytes, size)); });
}

std::ptrdiff_t sim_write(int fd, const void* bytes, std::size_t size) {
  if (is_outside(fd)) return real().write(fd, bytes, size);
  Machine& kernel = machine();
  Entry entry(kernel);
  const std::shared_ptr<File> file = kernel.find(fd);
  if (file == nullptr) return -EBADF;
  return entry.block_unless(file->nonblocking, [&] { return file->write(as_bytes(bytes, size)); });
}

std::ptrdiff_t sim_pread(int fd, void* bytes, std::size_t size, std::int64_t offset) {
  if (is_outside(fd)) return real().pread(fd, bytes, size, offset);
  Machine& kernel = machine();
  Entry entry(kernel);
  return kernel.find(fd) == nullptr ? -EBADF : -ESPIPE;
}

int sim_open(const char* path, int flags) { return real().open(path, flags); }

// Sockets have their paths here; the real file system can be looked at, and isn't changed.
int sim_unlink(const char* path) {
  Machine& kernel = machine();
  Entry entry(kernel);
  if (kernel.network.remove_name(path)) return 0;
  struct stat status {};
  const int there = real().lstat(path, &status);
  return there == 0 ? -EROFS : there;
}

int sim_lstat(const char* path, struct stat* status) {
  Machine& kernel = machine();
  Entry entry(kernel);
  const Network::Name* const name = kernel.network.find_name(path);
  if (name == nullptr) return real().lstat(path, status);
  *status = {};
  status->st_mode = S_IFSOCK | 0755;
  status->st_dev = static_cast<decltype(status->st_dev)>(0x5130);
  status->st_ino = static_cast<decltype(status->st_ino)>(name->number);
  return 0;
}

int sim_fcntl(int fd, int command, int argument) {
  if (is_outside(fd)) return real().fcntl(fd, command, argument);
  Machine& kernel = machine();
  Entry entry(kernel);
  const std::shared_ptr<File> file = kernel.find(fd);
  if (file == nullptr) return -EBADF;
  switch (command) {
    case F_GETFD: return kernel.descriptors.close_on_exec(fd) ? FD_CLOEXEC : 0;
    case F_SETFD: kernel.descriptors.set_close_on_exec(fd, (argument & FD_CLOEXEC) != 0); return 0;
    case F_GETFL: return O_RDWR | (file->nonblocking ? O_NONBLOCK : 0);
    case F_SETFL: file->nonblocking = (argument & O_NONBLOCK) != 0; return 0;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return kernel.descriptors.open(file, command == F_DUPFD_CLOEXEC, argument);
    default: return -EINVAL;
  }
}

int make_pipe(int fds[2], int flags) {
  Machine& kernel = machine();
  Entry entry(kernel);
  if (const int full = kernel.descriptors.room_for(2, 2); full != 0) return full;
  const KernelOptions& options = kernel.options;
  const PipeEnd::Ends ends = PipeEnd::make(
      kernel, options.pipe_buffer != 0 ? options.pipe_buffer : options.profile.pipe_buffer);
  ends.read->nonblocking = ends.write->nonblocking = (flags & O_NONBLOCK) != 0;
  fds[0] = kernel.descriptors.open(ends.read, (flags & O_CLOEXEC) != 0);
  fds[1] = kernel.descriptors.open(ends.write, (flags & O_CLOEXEC) != 0);
  return 0;
}

int sim_pipe(int fds[2]) { return make_pipe(fds, 0); }

int sim_pipe2(int fds[2], int flags) {
  return profile().has_pipe2 ? make_pipe(fds, flags) : -ENOSYS;
}

int sim_eventfd(unsigned initial, int flags) {
  if (!profile().has_eventfd) return -ENOSYS;
  Machine& kernel = machine();
  Entry entry(kernel);
  // EFD_SEMAPHORE is 1 wherever there is an eventfd; the other two are O_NONBLOCK and O_CLOEXEC.
  const auto file = std::make_shared<EventFile>(kernel, initial, (flags & 1) != 0);
  file->nonblocking = (flags & O_NONBLOCK) != 0;
  return kernel.descriptors.open(file, (flags & O_CLOEXEC) != 0);
}

// --- Sockets -------------------------------------------------------------------------------------

int sim_socket(int domain, int type, int) {
  Machine& kernel = machine();
  Entry entry(kernel);
  const int flags = kNonblock | kCloseOnExec;
  if ((type & ~flags) != SOCK_STREAM) return -EPROTONOSUPPORT;
  std::shared_ptr<Socket> made;
  if (domain == AF_UNIX) {
    made = std::make_shared<UnixSocket>(kernel);
  } else if (domain == AF_INET || domain == AF_INET6) {
    made = std::make_shared<TcpSocket>(kernel, domain);
  } else {
    return -EAFNOSUPPORT;
  }
  made->nonblocking = (type & kNonblock) != 0;
  return kernel.descriptors.open(made, (type & kCloseOnExec) != 0);
}

std::optional<platform::Endpoint> read_address(const sockaddr* address, socklen_t size) {
  platform::SocketAddress copy;
  if (size < sizeof address->sa_family || size > sizeof copy.storage) return std::nullopt;
  std::memcpy(&copy.storage, address, size);
  copy.size = size;
  const bool ip4 = copy.storage.ss_family == AF_INET;
  const bool ip6 = copy.storage.ss_family == AF_INET6;
  if ((ip4 && size < sizeof(sockaddr_in)) || (ip6 && size < sizeof(sockaddr_in6))) {
    return std::nullopt;
  }
  return platform::to_endpoint(copy);
}

void write_address(const platform::Endpoint& endpoint, sockaddr* address, socklen_t* size) {
  if (address == nullptr || size == nullptr) return;
  platform::SocketAddress own = platform::to_socket_address(endpoint);
  const bool unnamed = endpoint.family == platform::Family::kUnix && endpoint.path_view().empty();
  if (unnamed) own.size = static_cast<socklen_t>(profile().unnamed_unix_size);
  std::memcpy(address, &own.storage, std::min(*size, own.size));
  *size = own.size;
}

int sim_bind(int fd, const sockaddr* address, socklen_t size) {
  return with_socket(fd, [&](Entry&, Machine&, Socket& socket) {
    const auto endpoint = read_address(address, size);
    return endpoint.has_value() ? socket.bind(*endpoint) : -EINVAL;
  });
}

int sim_listen(int fd, int backlog) {
  return with_socket(fd, [&](Entry&, Machine&, Socket& socket) { return socket.listen(backlog); });
}

int accept_with(int fd, sockaddr* address, socklen_t* size, int flags) {
  return with_socket(fd, [&](Entry& entry, Machine& kernel, Socket& listener) {
    if (const int full = kernel.descriptors.room_for(1, 1); full != 0) return full;
    Socket::Accepted accepted;
    entry.block_unless(listener.nonblocking, [&] {
      accepted = listener.accept();
      return accepted.error;
    });
    if (accepted.error != 0) return accepted.error;
    Socket& made = *accepted.socket;
    made.nonblocking = (flags & kNonblock) != 0 ||
                       (kernel.options.profile.accept_inherits_flags && listener.nonblocking);
    platform::Endpoint peer;
    if (made.peer_name(peer) != 0) peer = made.local_name();  // reset before it was accepted
    write_address(peer, address, size);
    return kernel.descriptors.open(accepted.socket, (flags & kCloseOnExec) != 0);
  });
}

int sim_accept(int fd, sockaddr* address, socklen_t* size) {
  return accept_with(fd, address, size, 0);
}
int sim_accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return profile().has_accept4 ? accept_with(fd, address, size, flags) : -ENOSYS;
}

int sim_connect(int fd, const sockaddr* address, socklen_t size) {
  return with_socket(fd, [&](Entry& entry, Machine&, Socket& socket) {
    const auto endpoint = read_address(address, size);
    if (!endpoint.has_value()) return -EINVAL;
    const int begun =
        entry.block_unless(socket.nonblocking, [&] { return socket.connect(*endpoint); });
    if (begun != -EINPROGRESS || socket.nonblocking) return begun;
    entry.wait(std::nullopt, [&] { return socket.is_connecting() ? 0 : 1; });
    const int ended = socket.connect(*endpoint);
    return ended == -EISCONN ? 0 : ended;
  });
}

int sim_shutdown(int fd, int how) {
  return with_socket(fd, [&](Entry&, Machine&, Socket& socket) { return socket.shutdown(how); });
}

int sim_getsockname(int fd, sockaddr* address, socklen_t* size) {
  return with_socket(fd, [&](Entry&, Machine&, Socket& socket) {
    write_address(socket.local_name(), address, size);
    return 0;
  });
}

int sim_getpeername(int fd, sockaddr* address, socklen_t* size) {
  return with_socket(fd, [&](Entry&, Machine&, Socket& socket) {
    platform::Endpoint peer;
    const int asked = socket.peer_name(peer);
    if (asked == 0) write_address(peer, address, size);
    return asked;
  });
}

int sim_getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  return with_socket(fd, [&](Entry&, Machine&, Socket& socket) {
    std::size_t written = 0;
    const int asked = socket.get_option(level, name, as_space(value, *size), written);
    if (asked == 0) *size = static_cast<socklen_t>(written);
    return asked;
  });
}

int sim_setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  return with_socket(fd, [&](Entry&, Machine&, Socket& socket) {
    return socket.set_option(level, name, as_bytes(value, size));
  });
}

std::ptrdiff_t sim_recv(int fd, void* bytes, std::size_t size, int flags) {
  return with_socket(fd, [&](Entry& entry, Machine&, Socket& socket) -> std::ptrdiff_t {
    const bool nonblocking = socket.nonblocking || (flags & MSG_DONTWAIT) != 0;
    return entry.block_unless(nonblocking,
                              [&] { return socket.receive(as_space(bytes, size), flags); });
  });
}

std::ptrdiff_t send_bytes(Entry& entry, Socket& socket, std::span<const std::byte> bytes,
                          int flags) {
  const bool nonblocking = socket.nonblocking || (flags & MSG_DONTWAIT) != 0;
  if (nonblocking) return socket.send(bytes, flags);
  std::size_t sent = 0;  // a blocking socket takes it all
  do {
    const std::ptrdiff_t count =
        entry.block_unless(false, [&] { return socket.send(bytes.subspan(sent), flags); });
    if (count < 0) return sent > 0 ? static_cast<std::ptrdiff_t>(sent) : count;
    sent += static_cast<std::size_t>(count);
  } while (sent < bytes.size());
  return static_cast<std::ptrdiff_t>(sent);
}

std::ptrdiff_t sim_send(int fd, const void* bytes, std::size_t size, int flags) {
  return with_socket(fd, [&](Entry& entry, Machine&, Socket& socket) -> std::ptrdiff_t {
    return send_bytes(entry, socket, as_bytes(bytes, size), flags);
  });
}

// What is passed beside the bytes (SCM_RIGHTS) gets lost, and ends a read as it does on Linux.
std::ptrdiff_t sim_sendmsg(int fd, const msghdr* message, int flags) {
  return with_socket(fd, [&](Entry& entry, Machine&, Socket& socket) -> std::ptrdiff_t {
    std::vector<std::byte> all;
    for (const iovec& piece :
         std::span(message->msg_iov, static_cast<std::size_t>(message->msg_iovlen))) {
      const auto bytes = as_bytes(piece.iov_base, piece.iov_len);
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    const std::ptrdiff_t sent = send_bytes(entry, socket, all, flags);
    auto* const local = dynamic_cast<UnixSocket*>(&socket);
    if (local != nullptr && message->msg_controllen > 0) local->end_message();
    return sent;
  });
}

std::ptrdiff_t sim_sendfile(int fd, int file, std::int64_t offset, std::size_t size) {
  if (is_outside(fd)) return real().sendfile(fd, file, offset, size);
  if (!is_outside(file)) return -EINVAL;  // nothing else can be mapped
  return with_socket(fd, [&](Entry& entry, Machine&, Socket& socket) -> std::ptrdiff_t {
    std::vector<std::byte> block(std::min<std::size_t>(size, 64U * 1024));
    std::size_t sent = 0;
    while (sent < size) {
      const std::size_t wanted = std::min(block.size(), size - sent);
      const std::ptrdiff_t got =
          real().pread(file, block.data(), wanted, offset + static_cast<std::int64_t>(sent));
      if (got <= 0) return sent > 0 ? static_cast<std::ptrdiff_t>(sent) : got;
      const auto piece = std::span(block).first(static_cast<std::size_t>(got));
      const std::ptrdiff_t taken = send_bytes(entry, socket, piece, 0);
      if (taken < 0) return sent > 0 ? static_cast<std::ptrdiff_t>(sent) : taken;
      sent += static_cast<std::size_t>(taken);
      if (taken < got) break;
    }
    return static_cast<std::ptrdiff_t>(sent);
  });
}

// --- Readiness -----------------------------------------------------------------------------------

std::optional<MonotonicTime> deadline_after(const Machine& kernel, const timespec* timeout) {
  if (timeout == nullptr) return std::nullopt;
  return kernel.end_of_wait(std::chrono::seconds(timeout->tv_sec) + Duration(timeout->tv_nsec));
}

std::optional<MonotonicTime> deadline_after(const Machine& kernel, int milliseconds) {
  if (milliseconds < 0) return std::nullopt;
  return kernel.end_of_wait(std::chrono::milliseconds(milliseconds));
}

bool is_valid(const timespec* timeout) {
  return timeout == nullptr ||
         (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1'000'000'000);
}

int sim_epoll_create1(int flags) {
  if (!profile().has_epoll) return -ENOSYS;
  Machine& kernel = machine();
  Entry entry(kernel);
  return kernel.descriptors.open(std::make_shared<EpollFile>(kernel), (flags & O_CLOEXEC) != 0);
}

int sim_epoll_ctl(int epoll, int operation, int fd, platform::EpollEvent* event) {
  Machine& kernel = machine();
  Entry entry(kernel);
  const std::shared_ptr<File> file = kernel.find(epoll);
  const std::shared_ptr<File> watched = kernel.find(fd);
  if (file == nullptr || watched == nullptr) return -EBADF;
  const auto set = std::dynamic_pointer_cast<EpollFile>(file);
  if (set == nullptr) return -EINVAL;
  return set->control(operation, fd, *watched, event);
}

int wait_for_epoll(int epoll, platform::EpollEvent* events, int capacity, auto timeout) {
  Machine& kernel = machine();
  Entry entry(kernel);
  ++kernel.waits;
  const std::shared_ptr<File> file = kernel.find(epoll);
  if (file == nullptr) return -EBADF;
  const auto set = std::dynamic_pointer_cast<EpollFile>(file);
  if (set == nullptr || capacity <= 0) return -EINVAL;
  const std::span space(events, static_cast<std::size_t>(capacity));
  return entry.wait(deadline_after(kernel, timeout), [&] { return set->collect(space); });
}

int sim_epoll_wait(int epoll, platform::EpollEvent* events, int capacity, int milliseconds) {
  return wait_for_epoll(epoll, events, capacity, milliseconds);
}

int sim_epoll_pwait2(int epoll, platform::EpollEvent* events, int capacity,
                     const timespec* timeout) {
  return is_valid(timeout) ? wait_for_epoll(epoll, events, capacity, timeout) : -EINVAL;
}

int sim_kqueue() {
  if (!profile().has_kqueue) return -ENOSYS;
  Machine& kernel = machine();
  Entry entry(kernel);
  return kernel.descriptors.open(std::make_shared<KqueueFile>(kernel), false);
}

int sim_kevent(int queue, const platform::KernelEvent* changes, int change_count,
               platform::KernelEvent* events, int capacity, const timespec* timeout) {
  Machine& kernel = machine();
  Entry entry(kernel);
  ++kernel.waits;
  if (!is_valid(timeout) || change_count < 0 || capacity < 0) return -EINVAL;
  const auto file = std::dynamic_pointer_cast<KqueueFile>(kernel.find(queue));
  if (file == nullptr) return -EBADF;
  const std::span space(events, static_cast<std::size_t>(capacity));
  const int answers = file->change({changes, static_cast<std::size_t>(change_count)}, space);
  if (answers != 0 || capacity == 0) return answers;
  return entry.wait(deadline_after(kernel, timeout), [&] { return file->collect(space); });
}

// When a wait of poll or select ends: now, where the system sometimes cuts short ones.
std::optional<MonotonicTime> deadline_of_poll(Machine& kernel, auto timeout) {
  constexpr std::uint64_t kOneIn = 8;  // NetBSD: 2 of 300; a test should meet it sooner
  const auto deadline = deadline_after(kernel, timeout);
  const Profile& profile = kernel.options.profile;
  if (!profile.short_waits_end_early || !deadline.has_value()) return deadline;
  const bool is_short = *deadline <= saturating_add(kernel.clock.now(), 2 * profile.tick);
  return is_short && kernel.random.up_to(kOneIn - 1) == 0 ? kernel.clock.now() : deadline;
}

int wait_for_poll(pollfd* records, std::size_t count, auto timeout) {
  Machine& kernel = machine();
  Entry entry(kernel);
  ++kernel.waits;
  return entry.wait(deadline_of_poll(kernel, timeout), [&] {
    return poll_now(kernel, {records, count});
  });
}

int sim_poll(pollfd* records, std::size_t count, int milliseconds) {
  return wait_for_poll(records, count, milliseconds);
}

int sim_ppoll(pollfd* records, std::size_t count, const timespec* timeout) {
  if (!profile().has_ppoll) return -ENOSYS;
  return is_valid(timeout) ? wait_for_poll(records, count, timeout) : -EINVAL;
}

int sim_pselect(int limit, void* readable, void* writable, void* exceptional,
                const timespec* timeout) {
  if (!is_valid(timeout) || limit < 0) return -EINVAL;
  Machine& kernel = machine();
  Entry entry(kernel);
  ++kernel.waits;
  using platform::SelectWord;
  const std::array<SelectWord*, 3> sets = {static_cast<SelectWord*>(readable),
                                           static_cast<SelectWord*>(writable),
                                           static_cast<SelectWord*>(exceptional)};
  const std::size_t words =
      (static_cast<std::size_t>(limit) + platform::kSelectWordBits - 1) / platform::kSelectWordBits;
  std::array<std::vector<SelectWord>, 3> found;
  for (std::vector<SelectWord>& set : found) set.resize(words);
  const int count = entry.wait(deadline_of_poll(kernel, timeout), [&] {
    return select_now(kernel, limit, {sets[0], sets[1], sets[2]},
                      {found[0].data(), found[1].data(), found[2].data()});
  });
  for (std::size_t i = 0; count >= 0 && i < sets.size(); ++i) {
    if (sets[i] != nullptr) std::ranges::copy(found[i], sets[i]);
  }
  return count;
}

// --- Signals -------------------------------------------------------------------------------------

// They are the real process's. A handler may make calls here, unless it interrupts one.
int sim_sigaction(int signal, const struct sigaction* action, struct sigaction* previous) {
  return real().sigaction(signal, action, previous);
}

// --- Limits --------------------------------------------------------------------------------------

int sim_getrlimit(int resource, struct rlimit* limit) { return real().getrlimit(resource, limit); }
int sim_setrlimit(int resource, const struct rlimit* limit) {
  return real().setrlimit(resource, limit);
}

// --- Names ---------------------------------------------------------------------------------------

// The real system knows them; virtual time stands still until it has answered.
int sim_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                    addrinfo** found) {
  const Sleepers::Errand errand(machine().sleepers);
  return real().getaddrinfo(host, service, hints, found);
}

void sim_freeaddrinfo(addrinfo* found) { real().freeaddrinfo(found); }

// --- Time ----------------------------------------------------------------------------------------

std::int64_t sim_wait_tick() { return profile().tick.count(); }

int sim_clock_gettime(clockid_t clock, timespec* time) {
  Machine& kernel = machine();
  Entry entry(kernel);
  Duration shown = kernel.clock.now().time_since_epoch();
  if (clock == CLOCK_REALTIME) {
    shown = kernel.clock.wall_clock();
  } else if (clock != CLOCK_MONOTONIC) {
    return real().clock_gettime(clock, time);  // of the process and its threads
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(shown);
  time->tv_sec = static_cast<decltype(time->tv_sec)>(seconds.count());
  time->tv_nsec = static_cast<decltype(time->tv_nsec)>((shown - seconds).count());
  return 0;
}

constexpr SystemCalls kSimulated = {
    .close = sim_close,
    .read = sim_read,
    .write = sim_write,
    .pread = sim_pread,
    .open = sim_open,
    .unlink = sim_unlink,
    .lstat = sim_lstat,
    .fcntl = sim_fcntl,
    .pipe = sim_pipe,
    .pipe2 = sim_pipe2,
    .eventfd = sim_eventfd,
    .sigaction = sim_sigaction,
    .getrlimit = sim_getrlimit,
    .setrlimit = sim_setrlimit,
    .socket = sim_socket,
    .bind = sim_bind,
    .listen = sim_listen,
    .accept = sim_accept,
    .accept4 = sim_accept4,
    .connect = sim_connect,
    .shutdown = sim_shutdown,
    .getsockname = sim_getsockname,
    .getpeername = sim_getpeername,
    .getsockopt = sim_getsockopt,
    .setsockopt = sim_setsockopt,
    .recv = sim_recv,
    .send = sim_send,
    .sendmsg = sim_sendmsg,
    .sendfile = sim_sendfile,
    .epoll_create1 = sim_epoll_create1,
    .epoll_ctl = sim_epoll_ctl,
    .epoll_wait = sim_epoll_wait,
    .epoll_pwait2 = sim_epoll_pwait2,
    .kqueue = sim_kqueue,
    .kevent = sim_kevent,
    .poll = sim_poll,
    .ppoll = sim_ppoll,
    .pselect = sim_pselect,
    .getaddrinfo = sim_getaddrinfo,
    .freeaddrinfo = sim_freeaddrinfo,
    .clock_gettime = sim_clock_gettime,
    .wait_tick = sim_wait_tick,
};

}  // namespace

void set_machine(Machine* machine) { in_force.store(machine, std::memory_order_release); }

const SystemCalls& simulated_system_calls() { return kSimulated; }

}  // namespace pollard::sim
