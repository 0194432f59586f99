// A kernel in memory: a second table of system calls, with which a program runs over a network and
// a clock that exist in its own process alone. What happens in it depends on nothing outside: the
// same program with the same options sees the same descriptors, ports, bytes, events and times.
//
//   pollard::sim::Kernel kernel;              // in force from here on
//   pollard::EventLoop loop({.poller = "kqueue"});
//   …                                         // ten minutes pass in a few milliseconds
//   BOOST_TEST(kernel.open_descriptors().empty());
//
// It has TCP and Unix-domain stream sockets, pipes and event descriptors, and all four ways to wait
// for them: epoll, kqueue, poll and select, on every system. Sockets, epoll, poll and select answer
// as Linux does; kqueue answers as FreeBSD's manual and source say, and where they are silent, as
// NetBSD was seen to.
//
// Time is virtual. It passes a little with each call, and when a thread waits with nothing ready it
// jumps to whatever comes first, an arrival on the network or the end of a timeout. When nothing
// can ever come, the program ends and says so. With several threads, time jumps when all of them
// sleep, be it in this kernel or elsewhere (a join, a future), and passes as fast as it really does
// while one of them runs; then the order of events is that of the threads, and the promise of
// sameness ends.
//
// Regular files are the real ones, under the numbers that the real kernel gave them: they can be
// read and sent, and are ready as on Linux. Other descriptors of the real kernel can be read,
// written and closed, but not waited for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/platform/endpoint.h"
#include "pollard/platform/system_calls.h"
#include "pollard/testkit/sim/profile.h"

namespace pollard::sim {

struct Machine;

/// What machine and network it simulates. Lengths are in bytes.
struct KernelOptions {
  /// What is chosen at random (ports, the listener that a balanced connection goes to) follows it.
  std::uint64_t seed = 1;

  /// Which system's kernel it answers like.
  Profile profile = linux_system();

  /// The numbers of descriptors: the lowest that is free, from here on. Those below are the real
  /// kernel's.
  int first_descriptor = 1000;
  /// More open descriptors than this are refused with EMFILE.
  std::size_t descriptor_limit = 65536;
  /// More open sockets, pipes and so on than this are refused with ENFILE.
  std::size_t file_limit = 262144;

  /// Bytes that a fresh socket holds for sending and for receiving; zero: what the profile says.
  /// SO_SNDBUF and SO_RCVBUF change them. A Unix-domain socket has the first only.
  std::size_t send_buffer = 0;
  std::size_t receive_buffer = 0;  ///< of a socket; zero: what the profile says
  std::size_t pipe_buffer = 0;     ///< of a pipe; zero: what the profile says
  /// The most connections that wait to be accepted, whatever listen() asks for.
  int backlog_limit = 4096;

  /// What a packet takes from one TCP socket to the other, if it is more than the profile's
  /// loopback_delay. Zero is Linux's loopback interface: what is sent has arrived when send()
  /// returns.
  Duration latency = Duration::zero();
  /// Each packet takes up to so much longer, at random; packets of one connection don't overtake
  /// each other.
  Duration latency_jitter = Duration::zero();
  /// How long a receiver may wait before it acknowledges data (RFC 1122 4.2.3.2). Above zero, a
  /// sender without TCP_NODELAY holds back a small segment while another one is not acknowledged
  /// (Nagle's algorithm, RFC 896). Zero: data is acknowledged at once.
  Duration delayed_ack = Duration::zero();
  /// The virtual time that passes with each system call. Zero makes times exact, and a program that
  /// waits for the time without sleeping wait for ever.
  Duration call_time = std::chrono::microseconds(1);
  /// After so long a connect that nobody answers fails with ETIMEDOUT.
  Duration connect_timeout = std::chrono::seconds(127);

  /// The machine's addresses beside 127.0.0.0/8 and ::1. Others can't be bound, and connecting to
  /// them fails with ENETUNREACH, unless silence() says that somebody is there who keeps silent.
  std::vector<platform::Endpoint> addresses = {};
  /// The wall clock's time at the beginning, since 1970.
  Duration wall_clock = std::chrono::hours(24 * 365 * 50);
};

/// Returns settings under which much goes wrong that assumes a fast machine: packets take 1 to 50 ms,
/// waits end at ticks of 100 ms, and those of poll and select at once now and then; sockets and pipes
/// hold 2 KiB. All else is as on Linux.
[[nodiscard]] KernelOptions worst_settings();

/// A descriptor that is open.
struct OpenDescriptor {
  int fd;            ///< its number
  std::string what;  ///< "TCP socket 127.0.0.1:40000 -> 127.0.0.1:80, connected", "eventfd", …

  /// The same number and words.
  friend bool operator==(const OpenDescriptor&, const OpenDescriptor&) = default;
};

/// In force for the whole process while it lives, instead of the table that was in force before;
/// one at a time. Make it before, and destroy it after, whatever uses descriptors or reads the
/// clock. The operations: any thread.
class Kernel {
 public:
  /// In force from here on. Asserts that no other one is.
  explicit Kernel(KernelOptions options = {});
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// The one that is alive, or null.
  [[nodiscard]] static Kernel* current();

  /// Its table, for those who decorate it or go around a decoration.
  [[nodiscard]] const platform::SystemCalls& system_calls() const;

  /// What is open, by number; what is left at the end was forgotten.
  [[nodiscard]] std::vector<OpenDescriptor> open_descriptors() const;
  /// System calls since the beginning, and those among them that wait for readiness.
  [[nodiscard]] std::uint64_t calls() const;
  /// Waits for readiness so far.
  [[nodiscard]] std::uint64_t waits() const;

  /// The virtual time, which CLOCK_MONOTONIC shows.
  [[nodiscard]] MonotonicTime now() const;
  /// Lets time pass: what was to arrive until then has arrived when it returns.
  void advance(Duration interval);
  /// Lets time pass until no packet is on its way and no acknowledgement is due.
  void let_arrive();
  /// Moves the wall clock (CLOCK_REALTIME), forward or back, and nothing else.
  void jump_wall_clock(Duration interval);

  /// Nobody answers there: connecting takes until its timeout. Port 0 stands for all ports, and an
  /// address of all zeros for all addresses of its family.
  void silence(const platform::Endpoint& address);
  /// Connecting is refused there, listener or not.
  void refuse(const platform::Endpoint& address);
  /// Ends silence() and refuse() for what was given to them.
  void restore(const platform::Endpoint& address);

  /// Cuts the TCP connection whose one end is at `local`: both ends meet a reset, as if something
  /// between them had sent it. False when no socket there is connected.
  bool cut(const platform::Endpoint& local);
  /// Nothing leaves or reaches either end of that connection any more, without an end or an error,
  /// until resume(). False as above.
  bool stall(const platform::Endpoint& local);
  /// Lets all of it pass again.
  bool resume(const platform::Endpoint& local);

  /// socketpair(AF_UNIX, SOCK_STREAM, 0): two connected, blocking sockets. Zero, or the negated
  /// errno.
  int socketpair(int fds[2]);

 private:
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<platform::ScopedSystemCalls> installed_;
};

}  // namespace pollard::sim
