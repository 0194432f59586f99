// What this system has, found out once, by asking for the feature and not for the system's name.
// POLLARD_HAS_* are 0 or 1 and are used in platform/ alone.
#pragma once

// Darwin's select() refuses descriptors from 1024 on unless this is defined before its headers; a C
// library without GNU extensions hides accept4, ppoll and pipe2.
#if defined(__APPLE__) && !defined(_DARWIN_UNLIMITED_SELECT)
#define _DARWIN_UNLIMITED_SELECT 1
#endif

#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#if __has_include(<sys/epoll.h>)
#define POLLARD_HAS_EPOLL 1
#else
#define POLLARD_HAS_EPOLL 0
#endif

#if POLLARD_HAS_EPOLL
#include <sys/epoll.h>
#endif

#if __has_include(<sys/event.h>)
#define POLLARD_HAS_KQUEUE 1
#else
#define POLLARD_HAS_KQUEUE 0
#endif

#if __has_include(<sys/eventfd.h>)
#define POLLARD_HAS_EVENTFD 1
#else
#define POLLARD_HAS_EVENTFD 0
#endif

// SOCK_NONBLOCK came to every system together with accept4, pipe2 and ppoll.
#if defined(SOCK_NONBLOCK) && defined(SOCK_CLOEXEC)
#define POLLARD_HAS_ATOMIC_FLAGS 1
#else
#define POLLARD_HAS_ATOMIC_FLAGS 0
#endif

// NetBSD has the call that others name ppoll as pollts; its ppoll is newer.
#if defined(__NetBSD__)
#define POLLARD_HAS_POLLTS 1
#else
#define POLLARD_HAS_POLLTS 0
#endif

// On these, waits end at a tick of the kernel's clock; the others end them at any time.
#if defined(__NetBSD__) || defined(__OpenBSD__)
#define POLLARD_WAITS_END_AT_TICKS 1
#else
#define POLLARD_WAITS_END_AT_TICKS 0
#endif

// The file-to-socket calls share a name and nothing else: Linux's has a header of its own, the
// BSDs' and Darwin's announce themselves by a flag; NetBSD and OpenBSD have none.
#if __has_include(<sys/sendfile.h>)
#define POLLARD_SENDFILE_LINUX 1
#else
#define POLLARD_SENDFILE_LINUX 0
#endif
#if defined(__FreeBSD__) || defined(__DragonFly__)
#define POLLARD_SENDFILE_FREEBSD 1
#else
#define POLLARD_SENDFILE_FREEBSD 0
#endif
#if defined(__APPLE__)
#define POLLARD_SENDFILE_DARWIN 1
#else
#define POLLARD_SENDFILE_DARWIN 0
#endif

// sigtimedwait is part of POSIX' realtime signals, which macOS and OpenBSD lack.
#if defined(_POSIX_REALTIME_SIGNALS) && _POSIX_REALTIME_SIGNALS > 0
#define POLLARD_HAS_SIGTIMEDWAIT 1
#else
#define POLLARD_HAS_SIGTIMEDWAIT 0
#endif
