#include "pollard/platform/system_calls.h"

#include <fcntl.h>
#include <netdb.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction is POSIX's
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <limits>

#include "pollard/platform/pipe_signal.h"
#include "pollard/platform/standard_error.h"

#if POLLARD_HAS_EVENTFD
#include <sys/eventfd.h>
#endif
#if POLLARD_HAS_EPOLL
#include <sys/syscall.h>
#endif
#if POLLARD_WAITS_END_AT_TICKS
#include <sys/sysctl.h>
#include <sys/time.h>  // clockinfo
#endif
#if POLLARD_SENDFILE_LINUX
#include <sys/sendfile.h>
#endif

namespace pollard::platform {
namespace {

// The only place where errno is read (a signal handler keeps it as it was).
template <class Value>
Value checked(Value value) {
  return value < 0 ? static_cast<Value>(-errno) : value;
}

// The first parameter of getrlimit: an enumeration in glibc's C++, an int elsewhere.
template <class Name>
Name first_parameter(int (*)(Name, struct rlimit*));
template <class Name>
Name first_parameter(int (*)(Name, struct rlimit*) noexcept);
using LimitName = decltype(first_parameter(&::getrlimit));

int real_close(int fd) { return checked(::close(fd)); }
std::ptrdiff_t real_read(int fd, void* bytes, std::size_t size) {
  return checked(::read(fd, bytes, size));
}
std::ptrdiff_t real_write(int fd, const void* bytes, std::size_t size) {
  return checked(::write(fd, bytes, size));
}
// Where off_t has 32 bits, a file's further part is out of reach.
bool out_of_reach(std::int64_t offset) {
  return offset > static_cast<std::int64_t>(std::numeric_limits<off_t>::max());
}

std::ptrdiff_t real_pread(int fd, void* bytes, std::size_t size, std::int64_t offset) {
  if (out_of_reach(offset)) return -EOVERFLOW;
  return checked(::pread(fd, bytes, size, static_cast<off_t>(offset)));
}
int real_open(const char* path, int flags) { return checked(::open(path, flags)); }
int real_unlink(const char* path) { return checked(::unlink(path)); }
int real_lstat(const char* path, struct stat* status) { return checked(::lstat(path, status)); }
int real_fcntl(int fd, int command, int argument) {
  return checked(::fcntl(fd, command, argument));
}
int real_pipe(int fds[2]) { return checked(::pipe(fds)); }

int real_sigaction(int signal, const struct sigaction* action, struct sigaction* previous) {
  return checked(::sigaction(signal, action, previous));
}

int real_getrlimit(int resource, struct rlimit* limit) {
  return checked(::getrlimit(static_cast<LimitName>(resource), limit));
}
int real_setrlimit(int resource, const struct rlimit* limit) {
  return checked(::setrlimit(static_cast<LimitName>(resource), limit));
}

int real_socket(int domain, int type, int protocol) {
  return checked(::socket(domain, type, protocol));
}
int real_bind(int fd, const sockaddr* address, socklen_t size) {
  return checked(::bind(fd, address, size));
}
int real_listen(int fd, int backlog) { return checked(::listen(fd, backlog)); }
int real_accept(int fd, sockaddr* address, socklen_t* size) {
  return checked(::accept(fd, address, size));
}
int real_connect(int fd, const sockaddr* address, socklen_t size) {
  return checked(::connect(fd, address, size));
}
int real_shutdown(int fd, int how) { return checked(::shutdown(fd, how)); }
int real_getsockname(int fd, sockaddr* address, socklen_t* size) {
  return checked(::getsockname(fd, address, size));
}
int real_getpeername(int fd, sockaddr* address, socklen_t* size) {
  return checked(::getpeername(fd, address, size));
}
int real_getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  return checked(::getsockopt(fd, level, name, value, size));
}
int real_setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  return checked(::setsockopt(fd, level, name, value, size));
}
[[gnu::hot]] std::ptrdiff_t real_recv(int fd, void* bytes, std::size_t size, int flags) {
  return checked(::recv(fd, bytes, size, flags));
}
[[gnu::hot]] std::ptrdiff_t real_send(int fd, const void* bytes, std::size_t size, int flags) {
  return checked(::send(fd, bytes, size, flags));
}
std::ptrdiff_t real_sendmsg(int fd, const msghdr* message, int flags) {
  return checked(::sendmsg(fd, message, flags));
}

#if POLLARD_HAS_ATOMIC_FLAGS
int real_pipe2(int fds[2], int flags) { return checked(::pipe2(fds, flags)); }
int real_accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return checked(::accept4(fd, address, size, flags));
}
#else
int real_pipe2(int*, int) { return -ENOSYS; }
int real_accept4(int, sockaddr*, socklen_t*, int) { return -ENOSYS; }
#endif

#if POLLARD_HAS_EVENTFD
int real_eventfd(unsigned initial, int flags) { return checked(::eventfd(initial, flags)); }
#else
int real_eventfd(unsigned, int) { return -ENOSYS; }
#endif

#if POLLARD_SENDFILE_LINUX
// Linux's sendfile takes no MSG_NOSIGNAL, and Linux has no SO_NOSIGPIPE. It works in pieces: when
// the peer closes between two of them, the call returns the count so far and raises SIGPIPE.
std::ptrdiff_t real_sendfile(int socket, int file, std::int64_t offset, std::size_t size) {
  if (out_of_reach(offset)) return -EOVERFLOW;
  HeldPipeSignal held;
  auto position = static_cast<off_t>(offset);
  const std::ptrdiff_t sent = checked(::sendfile(socket, file, &position, size));
  if (sent != static_cast<std::ptrdiff_t>(size)) held.take_away();
  return sent;
}
#elif POLLARD_SENDFILE_FREEBSD
// An interrupted or short transfer fails with its count beside it.
std::ptrdiff_t real_sendfile(int socket, int file, std::int64_t offset, std::size_t size) {
  off_t sent = 0;
  const int answer = ::sendfile(file, socket, static_cast<off_t>(offset), size, nullptr, &sent, 0);
  return answer < 0 && sent == 0 ? -errno : static_cast<std::ptrdiff_t>(sent);
}
#elif POLLARD_SENDFILE_DARWIN
std::ptrdiff_t real_sendfile(int socket, int file, std::int64_t offset, std::size_t size) {
  auto sent = static_cast<off_t>(size);
  const int answer = ::sendfile(file, socket, static_cast<off_t>(offset), &sent, nullptr, 0);
  return answer < 0 && sent == 0 ? -errno : static_cast<std::ptrdiff_t>(sent);
}
#else
std::ptrdiff_t real_sendfile(int, int, std::int64_t, std::size_t) { return -ENOSYS; }
#endif

#if POLLARD_HAS_EPOLL
// The layout is the same: epoll.cc asserts it.
::epoll_event* as_system(EpollEvent* events) { return reinterpret_cast<::epoll_event*>(events); }
int real_epoll_create1(int flags) { return checked(::epoll_create1(flags)); }
int real_epoll_ctl(int epoll, int operation, int fd, EpollEvent* event) {
  return checked(::epoll_ctl(epoll, operation, fd, as_system(event)));
}
[[gnu::hot]] int real_epoll_wait(int epoll, EpollEvent* events, int capacity, int milliseconds) {
  return checked(::epoll_wait(epoll, as_system(events), capacity, milliseconds));
}
#if defined(SYS_epoll_pwait2)
// By number: glibc has had the function since 2.35 only, and the kernel may lack it in either case.
int real_epoll_pwait2(int epoll, EpollEvent* events, int capacity, const timespec* timeout) {
  // The kernel takes 64-bit seconds and nanoseconds on every architecture.
  std::int64_t wide[2] = {};
  if (timeout != nullptr) {
    wide[0] = timeout->tv_sec;
    wide[1] = timeout->tv_nsec;
  }
  return static_cast<int>(checked(::syscall(SYS_epoll_pwait2, epoll, events, capacity,
                                            timeout == nullptr ? nullptr : wide, nullptr, 0)));
}
#else
int real_epoll_pwait2(int, EpollEvent*, int, const timespec*) { return -ENOSYS; }
#endif
#else
int real_epoll_create1(int) { return -ENOSYS; }
int real_epoll_ctl(int, int, int, EpollEvent*) { return -ENOSYS; }
int real_epoll_wait(int, EpollEvent*, int, int) { return -ENOSYS; }
int real_epoll_pwait2(int, EpollEvent*, int, const timespec*) { return -ENOSYS; }
#endif

#if POLLARD_HAS_KQUEUE
int real_kqueue() { return checked(::kqueue()); }
// The counts are int on some systems and size_t on others.
template <class Count>
int call_kevent(int (*call)(int, const KernelEvent*, Count, KernelEvent*, Count, const timespec*),
                int queue, const KernelEvent* changes, int change_count, KernelEvent* events,
                int capacity, const timespec* timeout) {
  return checked(call(queue, changes, static_cast<Count>(change_count), events,
                      static_cast<Count>(capacity), timeout));
}
int real_kevent(int queue, const KernelEvent* changes, int change_count, KernelEvent* events,
                int capacity, const timespec* timeout) {
  return call_kevent(&::kevent, queue, changes, change_count, events, capacity, timeout);
}
#else
int real_kqueue() { return -ENOSYS; }
int real_kevent(int, const KernelEvent*, int, KernelEvent*, int, const timespec*) {
  return -ENOSYS;
}
#endif

int real_poll(pollfd* records, std::size_t count, int milliseconds) {
  return checked(::poll(records, static_cast<nfds_t>(count), milliseconds));
}
#if POLLARD_HAS_POLLTS
int real_ppoll(pollfd* records, std::size_t count, const timespec* timeout) {
  return checked(::pollts(records, static_cast<nfds_t>(count), timeout, nullptr));
}
#elif POLLARD_HAS_ATOMIC_FLAGS
int real_ppoll(pollfd* records, std::size_t count, const timespec* timeout) {
  return checked(::ppoll(records, static_cast<nfds_t>(count), timeout, nullptr));
}
#else
int real_ppoll(pollfd*, std::size_t, const timespec*) { return -ENOSYS; }
#endif
int real_pselect(int limit, void* readable, void* writable, void* exceptional,
                 const timespec* timeout) {
  return checked(::pselect(limit, static_cast<fd_set*>(readable), static_cast<fd_set*>(writable),
                           static_cast<fd_set*>(exceptional), timeout, nullptr));
}

int real_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                     addrinfo** found) {
  const int answer = ::getaddrinfo(host, service, hints, found);
  return answer == EAI_SYSTEM ? -errno : std::abs(answer);
}
void real_freeaddrinfo(addrinfo* found) { ::freeaddrinfo(found); }

int real_clock_gettime(clockid_t clock, timespec* time) {
  return checked(::clock_gettime(clock, time));
}

#if POLLARD_WAITS_END_AT_TICKS
std::int64_t real_wait_tick() {
  constexpr std::int64_t kNanosecondsPerMicrosecond = 1000;
  int name[] = {CTL_KERN, KERN_CLOCKRATE};
  struct clockinfo clock {};
  std::size_t size = sizeof clock;
  if (::sysctl(name, 2, &clock, &size, nullptr, 0) != 0) return 0;
  return clock.tick * kNanosecondsPerMicrosecond;
}
#else
std::int64_t real_wait_tick() { return 0; }
#endif

constexpr SystemCalls kReal = {
    .close = real_close,
    .read = real_read,
    .write = real_write,
    .pread = real_pread,
    .open = real_open,
    .unlink = real_unlink,
    .lstat = real_lstat,
    .fcntl = real_fcntl,
    .pipe = real_pipe,
    .pipe2 = real_pipe2,
    .eventfd = real_eventfd,
    .sigaction = real_sigaction,
    .getrlimit = real_getrlimit,
    .setrlimit = real_setrlimit,
    .socket = real_socket,
    .bind = real_bind,
    .listen = real_listen,
    .accept = real_accept,
    .accept4 = real_accept4,
    .connect = real_connect,
    .shutdown = real_shutdown,
    .getsockname = real_getsockname,
    .getpeername = real_getpeername,
    .getsockopt = real_getsockopt,
    .setsockopt = real_setsockopt,
    .recv = real_recv,
    .send = real_send,
    .sendmsg = real_sendmsg,
    .sendfile = real_sendfile,
    .epoll_create1 = real_epoll_create1,
    .epoll_ctl = real_epoll_ctl,
    .epoll_wait = real_epoll_wait,
    .epoll_pwait2 = real_epoll_pwait2,
    .kqueue = real_kqueue,
    .kevent = real_kevent,
    .poll = real_poll,
    .ppoll = real_ppoll,
    .pselect = real_pselect,
    .getaddrinfo = real_getaddrinfo,
    .freeaddrinfo = real_freeaddrinfo,
    .clock_gettime = real_clock_gettime,
    .wait_tick = real_wait_tick,
};

}  // namespace

namespace detail {
constinit std::atomic<const SystemCalls*> current_system_calls{&kReal};
}

namespace {

// Here, for every program that uses the library links this file: before main, so before the
// library makes a descriptor.
[[maybe_unused]] const bool kKnowsStandardError = (remember_standard_error(), true);

}  // namespace

const SystemCalls& real_system_calls() { return kReal; }

ScopedSystemCalls::ScopedSystemCalls(const SystemCalls& table)
    : previous_(detail::current_system_calls.exchange(&table)) {}

ScopedSystemCalls::~ScopedSystemCalls() { detail::current_system_calls.store(previous_); }

}  // namespace pollard::platform
