// The simulated kernel answers as Linux does: each story is told to both kernels, by the bare calls
// of their tables, and what they say must be the same to the last bit.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "pollard/platform/epoll.h"
#include "pollard/platform/poll.h"
#include "pollard/platform/socket_address.h"
#include "pollard/platform/system_calls.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::platform {
namespace {

// One kernel, and what it said so far.
class Teller {
 public:
  Teller(const SystemCalls& calls, sim::Kernel* simulated) : calls_(calls), simulated_(simulated) {}
  ~Teller() {
    for (const auto& [name, fd] : fds_) calls_.close(fd);
  }
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;

  const SystemCalls& calls() const { return calls_; }
  std::string text() const { return text_.str(); }

  // Descriptors have names; what is said of them uses the names.
  int fd(const std::string& name) const { return fds_.at(name); }
  void keep(const std::string& name, int fd) {
    if (fd >= 0) {
      fds_[name] = fd;
    } else {
      say(name, fd);
    }
  }
  void keep_nonblocking(const std::string& name, int fd) {
    keep(name, fd);
    if (fd >= 0) calls_.fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  void close(const std::string& name) {
    calls_.close(fd(name));
    fds_.erase(name);
  }

  void socket(const std::string& name, int domain = AF_INET) {
    keep_nonblocking(name, calls_.socket(domain, SOCK_STREAM, 0));
  }
  void listen(const std::string& name, int backlog = 16) {
    socket(name);
    sockaddr_in address = loopback(0);
    say("bind", calls_.bind(fd(name), as_address(address), sizeof address));
    say("listen", calls_.listen(fd(name), backlog));
  }
  void connect(const std::string& name, const std::string& to) {
    if (!fds_.contains(name)) socket(name);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    calls_.getsockname(fd(to), reinterpret_cast<sockaddr*>(&address), &size);
    say("connect", calls_.connect(fd(name), as_address(address), size));
  }
  void accept(const std::string& name, const std::string& listener) {
    pollfd record{.fd = fd(listener), .events = POLLIN, .revents = 0};
    calls_.poll(&record, 1, 5000);
    keep_nonblocking(name, calls_.accept(fd(listener), nullptr, nullptr));
  }
  void tcp_pair() {
    listen("listener");
    connect("near", "listener");
    accept("far", "listener");
  }
  void unix_pair() {
    int fds[2];
    if (simulated_ != nullptr) {
      simulated_->socketpair(fds);
    } else {
      BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    }
    keep("near", fds[0]);
    keep("far", fds[1]);
    for (const int each : fds) calls_.fcntl(each, F_SETFL, O_NONBLOCK);
  }
  void pipe() {
    int fds[2];
    calls_.pipe2(fds, O_NONBLOCK);
    keep("reader", fds[0]);
    keep("writer", fds[1]);
  }
  void refuse(const std::string& name) {
    listen("nobody");
    sockaddr_in address{};
    socklen_t size = sizeof address;
    calls_.getsockname(fd("nobody"), reinterpret_cast<sockaddr*>(&address), &size);
    close("nobody");
    socket(name);
    say("connect", calls_.connect(fd(name), as_address(address), size));
    settle();
  }

  void send(const std::string& name, const std::string& bytes, int flags = 0) {
    say("send " + name, calls_.send(fd(name), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL));
    settle();
  }
  void write(const std::string& name, const std::string& bytes) {
    say("write " + name, calls_.write(fd(name), bytes.data(), bytes.size()));
  }
  void receive(const std::string& name, std::size_t most = 100, int flags = 0) {
    std::string space(most, '\0');
    const std::ptrdiff_t got = calls_.recv(fd(name), space.data(), space.size(), flags);
    say("recv " + name, got, got > 0 ? space.substr(0, static_cast<std::size_t>(got)) : "");
  }
  void read(const std::string& name, std::size_t most = 100) {
    std::string space(most, '\0');
    say("read " + name, calls_.read(fd(name), space.data(), space.size()));
  }
  void shutdown(const std::string& name, int how) {
    say("shutdown " + name, calls_.shutdown(fd(name), how));
    settle();
  }
  void error(const std::string& name) {
    int value = 0;
    socklen_t size = sizeof value;
    calls_.getsockopt(fd(name), SOL_SOCKET, SO_ERROR, &value, &size);
    say("SO_ERROR " + name, value);
  }
  void reset(const std::string& name) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    calls_.setsockopt(fd(name), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(name);
    settle();
  }

  // All that poll says.
  void poll(const std::string& name) {
    constexpr short kAll = POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | kPollPeerEnd;
    pollfd record{.fd = fd(name), .events = kAll, .revents = 0};
    const int found = calls_.poll(&record, 1, 0);
    text_ << "poll " << name << ": " << found << " 0x" << std::hex << record.revents << std::dec
          << '\n';
  }
  void poll_both() {
    poll("near");
    poll("far");
  }

  void epoll(const std::string& name, const std::string& watched, std::uint32_t events) {
    if (!fds_.contains(name)) keep(name, calls_.epoll_create1(0));
    control(name, watched, kEpollAdd, events);
  }
  void control(const std::string& name, const std::string& watched, int operation,
               std::uint32_t events = 0) {
    EpollEvent event{};
    event.events = events;
    say("epoll_ctl", calls_.epoll_ctl(fd(name), operation, fd(watched), &event));
  }
  void wait(const std::string& name) {
    std::array<EpollEvent, 8> events{};
    const int found = calls_.epoll_wait(fd(name), events.data(), 8, 0);
    text_ << "wait " << name << ": " << found << std::hex;
    for (int i = 0; i < found; ++i) text_ << " 0x" << events[static_cast<std::size_t>(i)].events;
    text_ << std::dec << '\n';
  }

  void say(const std::string& what, std::ptrdiff_t answer, const std::string& more = "") {
    text_ << what << ": " << answer << (more.empty() ? "" : " ") << more << '\n';
  }

  // Real packets take a moment to loopback's other side, mostly none.
  void settle() {
    if (simulated_ != nullptr) return;
    for (int i = 0; i < 3; ++i) {
      pollfd nothing{.fd = -1, .events = 0, .revents = 0};
      calls_.poll(&nothing, 1, 1);
    }
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  static const sockaddr* as_address(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
  }

  const SystemCalls& calls_;
  sim::Kernel* simulated_;
  std::map<std::string, int> fds_;
  std::ostringstream text_;
};

using Story = void (*)(Teller&);

void is_told_alike(Story story) {
  if (!POLLARD_HAS_EPOLL) return;  // there is no Linux here to compare with
  std::string real;
  {
    Teller teller(real_system_calls(), nullptr);
    story(teller);
    real = teller.text();
  }
  sim::Kernel kernel({.send_buffer = 2621440, .receive_buffer = 131072});
  Teller teller(kernel.system_calls(), &kernel);
  story(teller);
  BOOST_TEST(teller.text() == real);
}

// A story that begins with a pair, over TCP and over a Unix-domain socket.
void is_told_alike_of_both_pairs(Story story) {
  static Story rest;
  rest = story;
  is_told_alike([](Teller& it) {
    it.tcp_pair();
    rest(it);
  });
  is_told_alike([](Teller& it) {
    it.unix_pair();
    rest(it);
  });
}

constexpr std::uint32_t kAllEvents = kEpollIn | kEpollOut | kEpollPeerEnd | kEpollUrgent;

BOOST_AUTO_TEST_SUITE(simulated_likeness)

BOOST_AUTO_TEST_CASE(sockets_that_are_fresh) {
  is_told_alike([](Teller& it) {
    for (const int domain : {AF_INET, AF_INET6, AF_UNIX}) {
      it.socket("one", domain);
      it.poll("one");
      it.receive("one");
      it.send("one", "x");
      it.error("one");
      it.shutdown("one", SHUT_WR);
      it.poll("one");
      it.close("one");
    }
  });
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_refused) {
  is_told_alike([](Teller& it) {
    it.refuse("one");
    it.epoll("set", "one", kAllEvents);
    it.wait("set");
    it.poll("one");
    it.error("one");
    it.poll("one");
    it.wait("set");
    it.error("one");
    it.receive("one");
    it.send("one", "x");
    it.refuse("other");
    it.receive("other");
    it.poll("other");
  });
}

BOOST_AUTO_TEST_CASE(a_connect_that_is_repeated) {
  is_told_alike([](Teller& it) {
    it.listen("listener", 1);
    it.connect("near", "listener");
    it.settle();
    it.connect("near", "listener");
    it.connect("near", "listener");
    it.connect("listener", "listener");
  });
}

BOOST_AUTO_TEST_CASE(a_listener_and_its_newcomers) {
  is_told_alike([](Teller& it) {
    it.listen("listener");
    it.poll("listener");
    it.epoll("level", "listener", kAllEvents);
    it.epoll("edge", "listener", kAllEvents | kEpollEdge);
    it.connect("one", "listener");
    it.connect("two", "listener");
    it.settle();
    for (int i = 0; i < 2; ++i) {
      it.wait("level");
      it.wait("edge");
    }
    it.poll("listener");
    it.accept("first", "listener");
    it.wait("level");
    it.wait("edge");
    it.accept("second", "listener");
    it.wait("level");
    it.receive("listener");
    it.send("listener", "x");
    it.poll("first");
    it.shutdown("listener", SHUT_WR);
  });
}

BOOST_AUTO_TEST_CASE(data_and_the_end_behind_it) {
  is_told_alike_of_both_pairs([](Teller& it) {
    it.poll_both();
    it.epoll("edge", "near", kAllEvents | kEpollEdge);
    it.wait("edge");
    it.send("far", "some words");
    it.poll_both();
    it.wait("edge");
    it.wait("edge");
    it.receive("near", 4);
    it.wait("edge");
    it.send("far", "more");
    it.wait("edge");
    it.shutdown("far", SHUT_WR);
    it.wait("edge");
    it.poll_both();
    it.receive("near", 4, MSG_PEEK);
    it.receive("near");
    it.receive("near");
    it.poll_both();
    it.send("near", "answer");
    it.receive("far");
    it.wait("edge");
    it.shutdown("near", SHUT_WR);
    it.wait("edge");
    it.poll_both();
    it.receive("near");
    it.receive("far");
    it.send("near", "x");
    it.error("near");
  });
}

BOOST_AUTO_TEST_CASE(a_peer_that_closes) {
  is_told_alike_of_both_pairs([](Teller& it) {
    it.send("far", "last words");
    it.close("far");
    it.settle();
    it.poll("near");
    it.epoll("edge", "near", kAllEvents | kEpollEdge);
    it.wait("edge");
    it.receive("near");
    it.receive("near");
    it.poll("near");
    it.wait("edge");
    it.send("near", "x");
    it.settle();
    it.poll("near");
    it.wait("edge");
    it.send("near", "x");
    it.error("near");
    it.poll("near");
    it.receive("near");
  });
}

BOOST_AUTO_TEST_CASE(a_peer_that_closes_with_unread_data) {
  is_told_alike_of_both_pairs([](Teller& it) {
    it.epoll("edge", "near", kAllEvents | kEpollEdge);
    it.wait("edge");
    it.send("near", "unheard");
    it.send("far", "last words");
    it.close("far");
    it.settle();
    it.poll("near");
    it.wait("edge");
    it.receive("near");
    it.receive("near");
    it.poll("near");
    it.receive("near");
  });
}

BOOST_AUTO_TEST_CASE(resets) {
  is_told_alike([](Teller& it) {
    it.tcp_pair();
    it.epoll("edge", "near", kAllEvents | kEpollEdge);
    it.wait("edge");
    it.reset("far");
    it.wait("edge");
    it.poll("near");
    it.error("near");
    it.poll("near");
    it.wait("edge");
    it.receive("near");
    it.send("near", "x");
    it.close("near");
    it.close("listener");
    it.tcp_pair();
    it.send("far", "words");
    it.reset("far");
    it.poll("near");
    it.receive("near", 2);
    it.receive("near");
    it.receive("near");
    it.receive("near");
    it.shutdown("near", SHUT_WR);
  });
}

BOOST_AUTO_TEST_CASE(a_reset_behind_an_end) {
  is_told_alike([](Teller& it) {
    it.tcp_pair();
    it.shutdown("far", SHUT_WR);
    it.reset("far");
    it.poll("near");
    it.receive("near");
    it.send("near", "x");
    it.poll("near");
    it.send("near", "x");
  });
}

BOOST_AUTO_TEST_CASE(who_shuts_its_receiving_side) {
  is_told_alike_of_both_pairs([](Teller& it) {
    it.send("far", "words");
    it.shutdown("near", SHUT_RD);
    it.poll_both();
    it.receive("near");
    it.receive("near");
    it.shutdown("near", SHUT_RDWR);
    it.poll_both();
    it.receive("far");
  });
}

BOOST_AUTO_TEST_CASE(urgent_data) {
  is_told_alike([](Teller& it) {
    it.tcp_pair();
    it.epoll("edge", "near", kAllEvents | kEpollEdge);
    it.wait("edge");
    it.send("far", "before");
    it.send("far", "!", MSG_OOB);
    it.send("far", "behind");
    it.poll("near");
    it.wait("edge");
    it.receive("near");
    it.poll("near");
    it.receive("near", 1, MSG_OOB);
    it.poll("near");
    it.receive("near");
    it.receive("near");
    it.receive("near", 1, MSG_OOB);
    it.send("far", "?", MSG_OOB);
    it.poll("near");
    it.wait("edge");
    it.receive("near");
    it.poll("near");
  });
}

BOOST_AUTO_TEST_CASE(pipes) {
  is_told_alike([](Teller& it) {
    it.pipe();
    it.poll("reader");
    it.poll("writer");
    it.epoll("edge", "reader", kAllEvents | kEpollEdge);
    it.epoll("edge", "writer", kAllEvents | kEpollEdge);
    it.wait("edge");
    it.write("writer", "words");
    it.wait("edge");
    it.poll("reader");
    it.read("reader", 2);
    it.wait("edge");
    it.receive("reader");
    it.close("writer");
    it.wait("edge");
    it.poll("reader");
    it.read("reader");
    it.read("reader");
    it.poll("reader");
    it.close("reader");
    it.pipe();
    it.epoll("edge", "writer", kAllEvents | kEpollEdge);
    it.wait("edge");
    it.write("writer", std::string(65536, 'x'));
    it.write("writer", "x");
    it.poll("writer");
    it.read("reader", 4096);
    it.poll("writer");
    it.wait("edge");
    it.close("reader");
    it.wait("edge");
    it.poll("writer");
  });
}

BOOST_AUTO_TEST_CASE(event_descriptors) {
  is_told_alike([](Teller& it) {
    it.keep("event", it.calls().eventfd(0, O_NONBLOCK));
    it.epoll("edge", "event", kAllEvents | kEpollEdge);
    it.epoll("level", "event", kAllEvents);
    it.poll("event");
    it.wait("edge");
    for (int i = 0; i < 2; ++i) {
      it.write("event", std::string("\1\0\0\0\0\0\0\0", 8));
      it.wait("edge");
      it.wait("level");
    }
    it.write("event", "four");
    it.read("event", 4);
    it.read("event", 8);
    it.read("event", 8);
    it.wait("edge");
    it.wait("level");
    it.write("event", std::string("\xfe\xff\xff\xff\xff\xff\xff\xff", 8));
    it.poll("event");
    it.write("event", std::string("\1\0\0\0\0\0\0\0", 8));
    it.write("event", std::string(8, '\xff'));
    it.wait("edge");
  });
}

BOOST_AUTO_TEST_CASE(what_epoll_refuses_and_keeps) {
  is_told_alike([](Teller& it) {
    it.unix_pair();
    it.epoll("set", "near", kEpollIn);
    it.control("set", "near", kEpollAdd, kEpollIn);
    it.control("set", "far", kEpollModify, kEpollIn);
    it.control("set", "far", kEpollRemove);
    it.control("set", "set", kEpollAdd, kEpollIn);
    it.control("near", "far", kEpollAdd, kEpollIn);
    it.control("set", "near", 17, kEpollIn);
    EpollEvent event{};
    it.say("wait", it.calls().epoll_wait(it.fd("near"), &event, 1, 0));
    it.say("wait", it.calls().epoll_wait(it.fd("set"), &event, 0, 0));
    it.say("add", it.calls().epoll_ctl(it.fd("set"), kEpollAdd, 9999, &event));
    it.say("set", it.calls().epoll_ctl(9999, kEpollAdd, it.fd("near"), &event));
    // A set in a set, and a circle of sets.
    it.epoll("outer", "set", kEpollIn);
    it.control("set", "outer", kEpollAdd, kEpollIn);
    it.wait("outer");
    it.send("far", "words");
    it.wait("outer");
    it.poll("set");
    it.wait("set");
    // A duplicate keeps the item alive, and can't name it.
    it.keep("ghost", it.calls().fcntl(it.fd("near"), F_DUPFD_CLOEXEC, 0));
    const int dead = it.fd("near");
    it.close("near");
    it.wait("set");
    it.say("by the dead", it.calls().epoll_ctl(it.fd("set"), kEpollRemove, dead, &event));
    it.control("set", "ghost", kEpollRemove);
    it.control("set", "ghost", kEpollAdd, kEpollIn);
    it.wait("set");
    it.close("ghost");
    it.wait("set");
  });
}

BOOST_AUTO_TEST_CASE(one_shots_and_changes_of_mind) {
  is_told_alike([](Teller& it) {
    constexpr std::uint32_t kOnce = 1U << 30U;
    it.unix_pair();
    it.epoll("set", "near", kEpollIn | kEpollOut | kOnce);
    it.wait("set");
    it.wait("set");
    it.send("far", "words");
    it.wait("set");
    it.control("set", "near", kEpollModify, kEpollIn | kOnce);
    it.wait("set");
    it.wait("set");
    it.control("set", "near", kEpollModify, kEpollIn | kEpollOut | kEpollEdge);
    it.wait("set");
    it.wait("set");
    it.control("set", "near", kEpollModify, kEpollIn | kEpollOut | kEpollEdge);
    it.wait("set");
    it.control("set", "near", kEpollModify, 0);
    it.wait("set");
    it.close("far");
    it.wait("set");
  });
}

BOOST_AUTO_TEST_CASE(writers_that_find_no_room) {
  is_told_alike([](Teller& it) {
    it.unix_pair();
    it.epoll("edge", "near", kAllEvents | kEpollEdge);
    it.wait("edge");
    const std::string block(16384, 'x');
    while (it.calls().send(it.fd("near"), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
    it.send("near", "x");
    it.poll("near");
    it.wait("edge");
    std::string space(1U << 20U, '\0');
    while (it.calls().recv(it.fd("far"), space.data(), space.size(), 0) > 0) {
    }
    it.poll("near");
    it.wait("edge");
    it.wait("edge");
  });
}

BOOST_AUTO_TEST_CASE(names_of_sockets) {
  is_told_alike([](Teller& it) {
    const auto names = [&](const std::string& name) {
      SocketAddress own;
      SocketAddress peer;
      it.say("own", it.calls().getsockname(it.fd(name), own.get(), &own.size));
      it.say("family", own.storage.ss_family);
      it.say("peer", it.calls().getpeername(it.fd(name), peer.get(), &peer.size));
      it.say("size", static_cast<std::ptrdiff_t>(own.size));
    };
    it.socket("six", AF_INET6);
    names("six");
    it.socket("path", AF_UNIX);
    names("path");
    it.unix_pair();
    names("near");
    it.listen("listener");
    names("listener");
    it.say("not a socket", it.calls().listen(it.calls().eventfd(0, 0), 1));
    it.say("not open", it.calls().listen(9999, 1));
    it.say("bound twice", [&] {
      SocketAddress own;
      it.calls().getsockname(it.fd("listener"), own.get(), &own.size);
      const int again = it.calls().bind(it.fd("listener"), own.get(), own.size);
      it.socket("rival");
      it.say("rival", it.calls().bind(it.fd("rival"), own.get(), own.size));
      it.say("too short", it.calls().bind(it.fd("rival"), own.get(), 4));
      return again;
    }());
  });
}

BOOST_AUTO_TEST_CASE(options_of_sockets) {
  is_told_alike([](Teller& it) {
    it.tcp_pair();
    it.socket("path", AF_UNIX);
    const auto get = [&](const std::string& name, int level, int option) {
      int value = 0;
      socklen_t size = sizeof value;
      const int asked = it.calls().getsockopt(it.fd(name), level, option, &value, &size);
      it.say("get", asked);
      if (asked == 0) it.say("value", value);
    };
    const auto set = [&](const std::string& name, int level, int option, int value) {
      it.say("set", it.calls().setsockopt(it.fd(name), level, option, &value, sizeof value));
      get(name, level, option);
    };
    get("near", SOL_SOCKET, SO_TYPE);
    get("listener", SOL_SOCKET, SO_ACCEPTCONN);
    get("near", SOL_SOCKET, SO_ACCEPTCONN);
    set("near", IPPROTO_TCP, TCP_NODELAY, 1);
    set("near", SOL_SOCKET, SO_KEEPALIVE, 1);
    set("near", SOL_SOCKET, SO_REUSEADDR, 1);
    set("near", SOL_SOCKET, SO_SNDBUF, 100'000);
    set("near", SOL_SOCKET, SO_SNDBUF, 1);
    set("near", SOL_SOCKET, SO_RCVBUF, 50'000);
    set("near", SOL_SOCKET, SO_RCVBUF, 1);
    set("near", SOL_SOCKET, 12345, 1);
    set("near", IPPROTO_TCP, 12345, 1);
    set("path", IPPROTO_TCP, TCP_NODELAY, 1);
    set("near", IPPROTO_IPV6, IPV6_V6ONLY, 1);
    it.say("short", it.calls().setsockopt(it.fd("near"), SOL_SOCKET, SO_KEEPALIVE, "", 1));
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
