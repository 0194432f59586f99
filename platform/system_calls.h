// The one table of system calls. The library enters the kernel through it and nowhere else, the
// clock included, so a test can make the third accept fail with EMFILE, cut every recv to one byte,
// or replace the kernel altogether. The idea is that of SQLite's unix VFS; an indirect call is
// nothing beside a system call.
//
// Every entry takes what the call of its name takes, or the most general form of it, and answers as
// Linux's system calls do: a result, or the negated errno. An entry that this system lacks answers
// -ENOSYS, and a wrapper above the table does what can be done without it.
#pragma once

#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>  // NOLINT(modernize-deprecated-headers): clockid_t is POSIX's, not ISO C's

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pollard/platform/epoll_event.h"
#include "pollard/platform/features.h"
#include "pollard/platform/kqueue.h"

struct addrinfo;

struct rlimit;

struct sigaction;

namespace pollard::platform {

struct SystemCalls {
  // Descriptors
  int (*close)(int fd);
  std::ptrdiff_t (*read)(int fd, void* bytes, std::size_t size);
  std::ptrdiff_t (*write)(int fd, const void* bytes, std::size_t size);
  std::ptrdiff_t (*pread)(int fd, void* bytes, std::size_t size, std::int64_t offset);
  int (*open)(const char* path, int flags);
  int (*unlink)(const char* path);
  int (*lstat)(const char* path, struct stat* status);
  int (*fcntl)(int fd, int command, int argument);
  int (*pipe)(int fds[2]);
  int (*pipe2)(int fds[2], int flags);
  int (*eventfd)(unsigned initial, int flags);
  int (*sigaction)(int signal, const struct sigaction* action, struct sigaction* previous);

  int (*getrlimit)(int resource, struct rlimit* limit);
  int (*setrlimit)(int resource, const struct rlimit* limit);

  // Sockets
  int (*socket)(int domain, int type, int protocol);
  int (*bind)(int fd, const sockaddr* address, socklen_t size);
  int (*listen)(int fd, int backlog);
  int (*accept)(int fd, sockaddr* address, socklen_t* size);
  int (*accept4)(int fd, sockaddr* address, socklen_t* size, int flags);
  int (*connect)(int fd, const sockaddr* address, socklen_t size);
  int (*shutdown)(int fd, int how);
  int (*getsockname)(int fd, sockaddr* address, socklen_t* size);
  int (*getpeername)(int fd, sockaddr* address, socklen_t* size);
  int (*getsockopt)(int fd, int level, int name, void* value, socklen_t* size);
  int (*setsockopt)(int fd, int level, int name, const void* value, socklen_t size);
  std::ptrdiff_t (*recv)(int fd, void* bytes, std::size_t size, int flags);
  std::ptrdiff_t (*send)(int fd, const void* bytes, std::size_t size, int flags);
  std::ptrdiff_t (*sendmsg)(int fd, const msghdr* message, int flags);
  // sendfile, whose forms differ: sends up to `size` bytes of `file` from `offset`; answers the
  // count.
  std::ptrdiff_t (*sendfile)(int socket, int file, std::int64_t offset, std::size_t size);

  // Readiness
  int (*epoll_create1)(int flags);
  int (*epoll_ctl)(int epoll, int operation, int fd, EpollEvent* event);
  int (*epoll_wait)(int epoll, EpollEvent* events, int capacity, int milliseconds);
  int (*epoll_pwait2)(int epoll, EpollEvent* events, int capacity, const timespec* timeout);
  int (*kqueue)();
  int (*kevent)(int queue, const KernelEvent* changes, int change_count, KernelEvent* events,
                int capacity, const timespec* timeout);
  int (*poll)(pollfd* records, std::size_t count, int milliseconds);
  int (*ppoll)(pollfd* records, std::size_t count, const timespec* timeout);
  int (*pselect)(int limit, void* readable, void* writable, void* exceptional,
                 const timespec* timeout);

  // Names: no call into the kernel, but the way to the world outside all the same. Zero; a negated
  // errno, where the C library says EAI_SYSTEM; or the magnitude of another EAI_* number, which is
  // negative on some systems and positive on others.
  int (*getaddrinfo)(const char* host, const char* service, const addrinfo* hints,
                     addrinfo** found);
  void (*freeaddrinfo)(addrinfo* found);

  // Time
  int (*clock_gettime)(clockid_t clock, timespec* time);
  // The step of the clock that ends waits, in nanoseconds: the tick of NetBSD and OpenBSD
  // (kern.clockrate, sysctl(7)). Zero where waits end at any time.
  std::int64_t (*wait_tick)();
};

/// The kernel that the program runs on.
[[nodiscard]] const SystemCalls& real_system_calls();

namespace detail {
extern std::atomic<const SystemCalls*> current_system_calls;
}

/// The table in force. Any thread.
inline const SystemCalls& system_calls() {
  return *detail::current_system_calls.load(std::memory_order_acquire);
}

/// Puts another table in force for the whole process while it lives; the table must outlive it.
/// For tests: install it before the loops that are to use it, remove it after they are gone.
class ScopedSystemCalls {
 public:
  explicit ScopedSystemCalls(const SystemCalls& table);
  ~ScopedSystemCalls();
  ScopedSystemCalls(const ScopedSystemCalls&) = delete;
  ScopedSystemCalls& operator=(const ScopedSystemCalls&) = delete;

 private:
  const SystemCalls* previous_;
};

}  // namespace pollard::platform
