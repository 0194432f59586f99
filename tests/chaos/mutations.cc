#include "pollard/tests/chaos/mutations.h"

#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <set>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/platform/select.h"
#include "pollard/testkit/faults.h"

namespace pollard::chaos {
namespace {

using platform::EpollEvent;
using platform::KernelEvent;
using platform::SystemCalls;

// The table in front of the one in force, with what a mutation keeps.
struct Mutant {
  testing::Faults hooks;
  SplitMix64 dice{1};
  std::map<std::uint64_t, int> fd_of;   // by the user data of its registrations, old ones too
  std::map<int, std::uint64_t> latest;  // the user data of its present registration
  std::map<int, std::uint32_t> latest_udata;
  std::set<int> deaf;

  [[nodiscard]] const SystemCalls& real() const { return hooks.underlying(); }
  bool one_in(std::uint64_t times) { return dice.up_to(times - 1) == 0; }
};

template <void (*kBreak)(Mutant&)>
std::shared_ptr<void> install() {
  auto mutant = std::make_shared<Mutant>();
  kBreak(*mutant);
  return mutant;
}

// ---- What is sent and received ----

// The eight bytes of a wake-up, that is; a poller's probe writes one.
void drop_wake_ups(Mutant& it) {
  it.hooks.replace<&SystemCalls::write>([&it](int fd, const void* bytes, std::size_t size) {
    return size == sizeof(std::uint64_t) ? static_cast<std::ptrdiff_t>(size)
                                         : it.real().write(fd, bytes, size);
  });
}

// A send that was refused or cut short is taken for done.
void ignore_full_buffers(Mutant& it) {
  it.hooks.replace<&SystemCalls::send>(
      [&it](int fd, const void* bytes, std::size_t size, int flags) -> std::ptrdiff_t {
        const std::ptrdiff_t sent = it.real().send(fd, bytes, size, flags);
        return sent == -EAGAIN ? static_cast<std::ptrdiff_t>(size) : sent;
      });
}

void ignore_short_writes(Mutant& it) {
  it.hooks.replace<&SystemCalls::send>(
      [&it](int fd, const void* bytes, std::size_t size, int flags) -> std::ptrdiff_t {
        const std::ptrdiff_t sent = it.real().send(fd, bytes, size, flags);
        return sent > 0 ? static_cast<std::ptrdiff_t>(size) : sent;
      });
}

void deliver_twice(Mutant& it) {
  it.hooks.replace<&SystemCalls::recv>([&it](int fd, void* bytes, std::size_t size, int flags) {
    return it.real().recv(fd, bytes, size, it.one_in(20) ? flags | MSG_PEEK : flags);
  });
}

void send_twice(Mutant& it) {
  it.hooks.replace<&SystemCalls::send>(
      [&it](int fd, const void* bytes, std::size_t size, int flags) {
        const std::ptrdiff_t sent = it.real().send(fd, bytes, size, flags);
        return sent > 1 && it.one_in(20) ? sent - 1 : sent;
      });
}

void reverse_gathered_pieces(Mutant& it) {
  it.hooks.replace<&SystemCalls::sendmsg>([&it](int fd, const msghdr* message, int flags) {
    std::vector<iovec> pieces(message->msg_iov, message->msg_iov + message->msg_iovlen);
    std::ranges::reverse(pieces);
    msghdr reversed = *message;
    reversed.msg_iov = pieces.data();
    return it.real().sendmsg(fd, &reversed, flags);
  });
}

void take_nothing_for_the_end(Mutant& it) {
  it.hooks.replace<&SystemCalls::recv>(
      [&it](int fd, void* bytes, std::size_t size, int flags) -> std::ptrdiff_t {
        const std::ptrdiff_t got = it.real().recv(fd, bytes, size, flags);
        return got == -EAGAIN ? 0 : got;
      });
}

void take_a_signal_for_the_end(Mutant& it) {
  it.hooks.replace<&SystemCalls::recv>(
      [&it](int fd, void* bytes, std::size_t size, int flags) -> std::ptrdiff_t {
        const std::ptrdiff_t got = it.real().recv(fd, bytes, size, flags);
        return got == -EINTR ? 0 : got;
      });
}

void forget_to_shut_down(Mutant& it) {
  it.hooks.replace<&SystemCalls::shutdown>([](int, int) { return 0; });
}

// ---- Descriptors ----

void skip_the_socket_error(Mutant& it) {
  it.hooks.replace<&SystemCalls::getsockopt>(
      [&it](int fd, int level, int name, void* value, socklen_t* size) {
        if (level != SOL_SOCKET || name != SO_ERROR) {
          return it.real().getsockopt(fd, level, name, value, size);
        }
        *static_cast<int*>(value) = 0;
        return 0;
      });
}

void leak_descriptors(Mutant& it) {
  it.hooks.replace<&SystemCalls::close>(
      [&it](int fd) { return it.one_in(10) ? 0 : it.real().close(fd); });
}

void close_twice(Mutant& it) {
  it.hooks.replace<&SystemCalls::close>([&it](int fd) {
    const int result = it.real().close(fd);
    if (it.one_in(10)) static_cast<void>(it.real().close(fd));
    return result;
  });
}

// ---- Waits ----

void wait_for_no_time(Mutant& it) {
  static constexpr timespec kNone{};
  it.hooks.replace<&SystemCalls::epoll_pwait2>(
      [&it](int epoll, EpollEvent* events, int capacity, const timespec*) {
        return it.real().epoll_pwait2(epoll, events, capacity, &kNone);
      });
  it.hooks.replace<&SystemCalls::kevent>([&it](int queue, const KernelEvent* changes,
                                               int change_count, KernelEvent* events, int capacity,
                                               const timespec*) {
    return it.real().kevent(queue, changes, change_count, events, capacity, &kNone);
  });
  it.hooks.replace<&SystemCalls::ppoll>([&it](pollfd* records, std::size_t count, const timespec*) {
    return it.real().ppoll(records, count, &kNone);
  });
  it.hooks.replace<&SystemCalls::pselect>(
      [&it](int limit, void* readable, void* writable, void* exceptional, const timespec*) {
        return it.real().pselect(limit, readable, writable, exceptional, &kNone);
      });
}

template <class Event>
int lose_some(Mutant& it, Event* events, int found) {
  if (found <= 0) return found;
  const std::span all(events, static_cast<std::size_t>(found));
  const auto end =
      std::remove_if(all.begin(), all.end(), [&](const Event&) { return it.one_in(30); });
  return static_cast<int>(end - all.begin());
}

void lose_edges(Mutant& it) {
  it.hooks.replace<&SystemCalls::epoll_pwait2>(
      [&it](int epoll, EpollEvent* events, int capacity, const timespec* timeout) {
        return lose_some(it, events, it.real().epoll_pwait2(epoll, events, capacity, timeout));
      });
  it.hooks.replace<&SystemCalls::kevent>([&it](int queue, const KernelEvent* changes,
                                               int change_count, KernelEvent* events, int capacity,
                                               const timespec* timeout) {
    const int found = it.real().kevent(queue, changes, change_count, events, capacity, timeout);
    return change_count > 0 ? found : lose_some(it, events, found);
  });
}

// Registrations that ended go on under the name of those that came after them: as if there were no
// generations.
void take_stale_events_for_new(Mutant& it) {
  it.hooks.replace<&SystemCalls::epoll_ctl>(
      [&it](int epoll, int operation, int fd, EpollEvent* event) {
        if (operation != platform::kEpollRemove) {
          const std::uint64_t token = event->data.u64;  // a copy: the event may be packed
          it.fd_of[token] = fd;
          it.latest[fd] = token;
        }
        return it.real().epoll_ctl(epoll, operation, fd, event);
      });
  const auto rename = [&it](EpollEvent* events, int found) {
    for (int i = 0; i < found; ++i) {
      const std::uint64_t token = events[i].data.u64;
      events[i].data.u64 = it.latest[it.fd_of[token]];
    }
    return found;
  };
  it.hooks.replace<&SystemCalls::epoll_pwait2>(
      [&it, rename](int epoll, EpollEvent* events, int capacity, const timespec* timeout) {
        return rename(events, it.real().epoll_pwait2(epoll, events, capacity, timeout));
      });
  it.hooks.replace<&SystemCalls::epoll_wait>(
      [&it, rename](int epoll, EpollEvent* events, int capacity, int milliseconds) {
        return rename(events, it.real().epoll_wait(epoll, events, capacity, milliseconds));
      });
  it.hooks.replace<&SystemCalls::kevent>([&it](int queue, const KernelEvent* changes,
                                               int change_count, KernelEvent* events, int capacity,
                                               const timespec* timeout) {
    for (int i = 0; i < change_count; ++i) {
      it.latest_udata[platform::descriptor_of(changes[i])] = platform::udata_of(changes[i]);
    }
    const int found = it.real().kevent(queue, changes, change_count, events, capacity, timeout);
    for (int i = 0; i < found; ++i) {
      const int fd = platform::descriptor_of(events[i]);
      events[i].udata = platform::make_change(fd, 0, 0, it.latest_udata[fd]).udata;
    }
    return found;
  });
}

void forget_to_stop_watching(Mutant& it) {
  it.hooks.replace<&SystemCalls::epoll_ctl>([&it](int epoll, int operation, int fd,
                                                  EpollEvent* event) {
    return operation == platform::kEpollRemove ? 0
                                               : it.real().epoll_ctl(epoll, operation, fd, event);
  });
  it.hooks.replace<&SystemCalls::kevent>([&it](int queue, const KernelEvent* changes,
                                               int change_count, KernelEvent* events, int capacity,
                                               const timespec* timeout) {
    std::vector<KernelEvent> kept(changes, changes + change_count);
    std::erase_if(kept, [](const KernelEvent& change) {
      return platform::has_flag(change, platform::kEventDelete);
    });
    return it.real().kevent(queue, kept.data(), static_cast<int>(kept.size()), events, capacity,
                            timeout);
  });
}

void never_watch_for_room(Mutant& it) {
  it.hooks.replace<&SystemCalls::epoll_ctl>(
      [&it](int epoll, int operation, int fd, EpollEvent* event) {
        EpollEvent changed = *event;
        // Connectors watch for nothing else.
        if ((changed.events & platform::kEpollIn) != 0) changed.events &= ~platform::kEpollOut;
        return it.real().epoll_ctl(epoll, operation, fd, &changed);
      });
  it.hooks.replace<&SystemCalls::ppoll>(
      [&it](pollfd* records, std::size_t count, const timespec* timeout) {
        for (pollfd& record : std::span(records, count)) {
          if ((record.events & POLLIN) != 0) {
            record.events = static_cast<short>(record.events & ~POLLOUT);
          }
        }
        return it.real().ppoll(records, count, timeout);
      });
  it.hooks.replace<&SystemCalls::kevent>([&it](int queue, const KernelEvent* changes,
                                               int change_count, KernelEvent* events, int capacity,
                                               const timespec* timeout) {
    std::vector<KernelEvent> kept(changes, changes + change_count);
    if (kept.size() > 1) {
      std::erase_if(kept, [](const KernelEvent& change) {
        return platform::is_filter(change, platform::kFilterWrite);
      });
    }
    return it.real().kevent(queue, kept.data(), static_cast<int>(kept.size()), events, capacity,
                            timeout);
  });
}

// Some descriptors are never seen ready again.
void go_deaf(Mutant& it) {
  it.hooks.replace<&SystemCalls::accept4>(
      [&it](int fd, sockaddr* address, socklen_t* size, int flags) {
        const int accepted = it.real().accept4(fd, address, size, flags);
        it.deaf.erase(accepted);
        if (accepted >= 0 && it.one_in(5)) it.deaf.insert(accepted);
        return accepted;
      });
  it.hooks.replace<&SystemCalls::ppoll>(
      [&it](pollfd* records, std::size_t count, const timespec* timeout) {
        int found = it.real().ppoll(records, count, timeout);
        for (pollfd& record : std::span(records, count)) {
          if (found > 0 && record.revents != 0 && it.deaf.contains(record.fd)) {
            record.revents = 0;
            --found;
          }
        }
        return found;
      });
  it.hooks.replace<&SystemCalls::pselect>(
      [&it](int limit, void* readable, void* writable, void* exceptional, const timespec* timeout) {
        int found = it.real().pselect(limit, readable, writable, exceptional, timeout);
        for (const int fd : it.deaf) {
          if (found <= 0 || fd >= limit) continue;
          auto* const word =
              static_cast<platform::SelectWord*>(readable) + fd / platform::kSelectWordBits;
          const auto bit = platform::SelectWord{1}
                           << static_cast<unsigned>(fd % platform::kSelectWordBits);
          if ((*word & bit) != 0) --found;
          *word &= ~bit;
        }
        return found;
      });
}

constexpr auto kMutations = std::to_array<Mutation>({
    {"wake-ups are dropped", "all", install<drop_wake_ups>},
    {"a refused send is taken for done", "all", install<ignore_full_buffers>},
    {"a short write is taken for a whole one", "all", install<ignore_short_writes>},
    {"input is delivered twice", "all", install<deliver_twice>},
    {"a byte is sent twice", "all", install<send_twice>},
    {"gathered pieces are in the wrong order", "all", install<reverse_gathered_pieces>},
    {"no input is taken for the end", "all", install<take_nothing_for_the_end>},
    {"a signal is taken for the end", "all", install<take_a_signal_for_the_end>},
    {"the end is never sent", "all", install<forget_to_shut_down>},
    {"SO_ERROR isn't asked", "all", install<skip_the_socket_error>},
    {"descriptors leak", "all", install<leak_descriptors>},
    {"descriptors are closed twice", "all", install<close_twice>},
    {"no wait sleeps", "all", install<wait_for_no_time>},
    {"edges are lost", "epoll kqueue", install<lose_edges>},
    {"generations aren't compared", "epoll kqueue", install<take_stale_events_for_new>},
    {"watching doesn't end", "epoll kqueue", install<forget_to_stop_watching>},
    {"nobody watches for room", "epoll kqueue poll", install<never_watch_for_room>},
    {"some descriptors are never ready", "poll select", install<go_deaf>},
});

}  // namespace

std::span<const Mutation> mutations() { return kMutations; }

}  // namespace pollard::chaos
