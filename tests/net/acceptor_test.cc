// Accepting on good days and on bad ones: batches, descriptors that run out, errors that pass,
// paths.
#include "pollard/net/tcp/acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "pollard/base/log.h"
#include "pollard/net/tcp/internal/acceptor_group.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// Listens, and keeps who came.
struct Listening {
  explicit Listening(const std::string& backend, const Address& address = Address::loopback(0))
      : loop({.poller = backend}), acceptor(loop, address, {}, [this](Descriptor socket, Address) {
          accepted.push_back(std::move(socket));
        }) {
    acceptor.listen();
  }

  std::vector<Descriptor> come(std::size_t count) {
    std::vector<Descriptor> clients;
    while (clients.size() < count) clients.push_back(connect_to(acceptor.address()));
    return clients;
  }
  void until_accepted(std::size_t count) {
    run_until(loop, [&] { return accepted.size() == count; });
  }

  EventLoop loop;
  std::vector<Descriptor> accepted;
  Acceptor acceptor;
};

// The warnings that these tests provoke are expected.
struct Quiet {
  Quiet() {
    set_log_sink({[](LogLevel, std::string_view) {}});
  }
  ~Quiet() { set_log_sink({}); }
};

// A process that may have so many descriptors more. (To take them away in earnest would take them
// from the test's own tools too.) As on Linux, accept looks for a descriptor before it looks for a
// newcomer.
class Scarcity {
 public:
  Scarcity(Faults& faults, int left) : left_(std::make_shared<int>(left)) {
    faults.replace<&platform::SystemCalls::accept4>(
        [&faults, count = left_](int fd, sockaddr* address, socklen_t* size, int flags) {
          return take(*count,
                      [&] { return faults.underlying().accept4(fd, address, size, flags); });
        });
    faults.replace<&platform::SystemCalls::accept>(  // where there is no accept4
        [&faults, count = left_](int fd, sockaddr* address, socklen_t* size) {
          return take(*count, [&] { return faults.underlying().accept(fd, address, size); });
        });
    faults.replace<&platform::SystemCalls::open>(
        [&faults, count = left_](const char* path, int flags) {
          return take(*count, [&] { return faults.underlying().open(path, flags); });
        });
    faults.replace<&platform::SystemCalls::close>([&faults, count = left_](int fd) {
      ++*count;
      return faults.underlying().close(fd);
    });
  }
  void end() { *left_ = 1000; }
  // Somebody else takes one.
  void take_one() { --*left_; }

 private:
  template <class Make>
  static int take(int& left, Make make) {
    if (left <= 0) return -static_cast<int>(std::errc::too_many_files_open);
    const int made = make();
    if (made >= 0) --left;
    return made;
  }
  std::shared_ptr<int> left_;  // the replaced calls' too, which may outlive this object
};

bool is_turned_away(const Descriptor& client) {
  wait_readable(client.get());
  const Meets meets = peek(client.get());
  return meets == Meets::kEnd || meets == Meets::kError;
}

// ---- Good days ----

POLLARD_EACH_BACKEND(a_lone_newcomer_costs_one_wait_and_one_accept) {
  Faults faults;
  Listening listening(backend);
  run_until_idle(listening.loop);
  const auto clients = listening.come(1);
  static_cast<void>(let_arrive());
  const std::size_t accepts = faults.count(Call::kAnyAccept);
  const std::size_t waits = faults.count(Call::kWait);
  listening.until_accepted(1);
  BOOST_TEST(faults.count(Call::kAnyAccept) == accepts + 1);
  BOOST_TEST(faults.count(Call::kWait) == waits + 1);
  expect_no_spin(listening.loop);
}

POLLARD_EACH_BACKEND(newcomers_with_time_between_them_cost_one_accept_each) {
  Faults faults;
  Listening one(backend);
  std::vector<Descriptor> clients;
  for (std::size_t count = 1; count <= 5; ++count) {
    clients.push_back(connect_to(one.acceptor.address()));
    one.until_accepted(count);
    static_cast<void>(one.loop.run_once(0ms));  // the time between them
  }
  BOOST_TEST(faults.count(Call::kAnyAccept) == 5U);
}

POLLARD_EACH_BACKEND(a_crowd_is_accepted_in_few_wakeups) {
  Faults faults;
  Listening listening(backend);
  const auto clients = listening.come(100);
  const std::size_t waits = faults.count(Call::kWait);
  listening.until_accepted(100);
  BOOST_TEST(faults.count(Call::kWait) <= waits + 10);
  BOOST_TEST(faults.count(Call::kAnyAccept) <= 102U);
  BOOST_TEST(listening.acceptor.counts().accepted.get() == 100U);
}

POLLARD_EACH_BACKEND(a_batch_is_bounded) {
  Listening listening(backend);
  const auto clients = listening.come(120);
  std::size_t before = 0;
  run_until(listening.loop, [&] {
    const std::size_t now = listening.accepted.size();
    BOOST_TEST(now - before <= 64U);
    before = now;
    return now == clients.size();
  });
}

POLLARD_EACH_BACKEND(accepted_sockets_are_nonblocking_and_close_on_exec) {
  for (const bool has_accept4 : {true, false}) {
    Faults faults;
    if (!has_accept4) {
      faults.fail(Call::kAccept4, std::errc::function_not_supported, {.times = kForever});
    }
    Listening listening(backend);
    const auto clients = listening.come(1);
    listening.until_accepted(1);
    const int fd = listening.accepted[0].get();
    BOOST_TEST((kernel_calls().fcntl(fd, F_GETFL, 0) & O_NONBLOCK) != 0);
    BOOST_TEST((kernel_calls().fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) != 0);
    write_text(clients[0].get(), "hello");
    wait_readable(fd);
    BOOST_TEST(read_text(fd) == "hello");
  }
}

POLLARD_EACH_BACKEND(accepted_sockets_inherit_no_delay) {
  Listening listening(backend);
  apply_socket_options(listening.acceptor.fd(), listening.acceptor.address(), {});
  const auto clients = listening.come(1);
  listening.until_accepted(1);
  int on = 0;
  socklen_t size = sizeof on;
  const int fd = listening.accepted[0].get();
  BOOST_TEST(kernel_calls().getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0);
  BOOST_TEST(on != 0);
}

POLLARD_EACH_BACKEND(pausing_leaves_newcomers_in_the_backlog) {
  Listening listening(backend);
  listening.acceptor.pause();
  const auto clients = listening.come(3);
  expect_no_spin(listening.loop);
  BOOST_TEST(listening.accepted.empty());
  listening.acceptor.resume();
  listening.until_accepted(3);
}

POLLARD_EACH_BACKEND(the_handler_may_destroy_the_acceptor) {
  EventLoop loop({.poller = backend});
  std::unique_ptr<Acceptor> acceptor;
  std::size_t accepted = 0;
  acceptor = std::make_unique<Acceptor>(loop, Address::loopback(0), ListenOptions{},
                                        [&](Descriptor, const Address& peer) {
                                          ++accepted;
                                          acceptor.reset();
                                          BOOST_TEST(peer.is_ipv4());
                                        });
  acceptor->listen();
  const Descriptor first = connect_to(acceptor->address());
  const Descriptor second = connect_to(acceptor->address());
  run_until(loop, [&] { return acceptor == nullptr; });
  run_until_idle(loop);
  BOOST_TEST(accepted == 1U);
  BOOST_TEST(is_turned_away(second));
  BOOST_TEST(loop.stats().watched == 1U);
}

POLLARD_EACH_BACKEND(a_handler_that_destroys_its_group_of_acceptors_outlives_them_and_may_throw) {
  EventLoop loop({.poller = backend});
  std::unique_ptr<AcceptorGroup> group;
  std::weak_ptr<const int> held;
  std::size_t accepted = 0;
  {
    const auto owned = std::make_shared<const int>(1);
    held = owned;
    group = std::make_unique<AcceptorGroup>(
        loop, std::vector{Address::loopback(0), Address::loopback_ipv6(0)}, ListenOptions{},
        AcceptHandlers{.on_accept = [&, owned](const Descriptor&, const Address&) {
          ++accepted;
          group.reset();
          BOOST_TEST(held.use_count() == 1);
          throw std::runtime_error("the last word");
        }});
  }
  group->listen();
  std::vector<Descriptor> clients;
  for (const Address& address : group->addresses()) {
    clients.push_back(connect_to(address));
    clients.push_back(connect_to(address));
  }
  BOOST_CHECK_THROW(run_until(loop, [&] { return accepted == 2; }), std::runtime_error);
  run_until_idle(loop);
  BOOST_TEST(accepted == 1U);
  BOOST_TEST(held.expired());
  BOOST_TEST(loop.stats().watched == 1U);
}

POLLARD_EACH_BACKEND(a_handler_that_throws_ends_run_and_not_the_accepting) {
  EventLoop loop({.poller = backend});
  std::size_t accepted = 0;
  Acceptor acceptor(loop, Address::loopback(0), {}, [&](Descriptor, const Address&) {
    if (++accepted == 1) throw std::runtime_error("the first");
  });
  acceptor.listen();
  const Descriptor first = connect_to(acceptor.address());
  const Descriptor second = connect_to(acceptor.address());
  BOOST_CHECK_THROW(run_until(loop, [&] { return accepted == 2; }), std::runtime_error);
  run_until(loop, [&] { return accepted == 2; });
}

POLLARD_EACH_BACKEND(an_acceptor_may_outlive_its_loop) {
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  Acceptor acceptor(*loop, Address::loopback(0), {}, [](Descriptor, const Address&) {});
  acceptor.listen();
  const Address address = acceptor.address();
  loop.reset();
  acceptor.pause();
  acceptor.resume();
  Descriptor late = start_connecting(address.endpoint());
  wait_writable(late.get());
  BOOST_TEST(platform::take_socket_error(late.get()) == std::errc::connection_refused);
}

// ---- Descriptors run out ----

POLLARD_EACH_BACKEND(without_descriptors_newcomers_are_turned_away_until_there_are_again) {
  Faults faults;
  Listening listening(backend);
  Scarcity scarcity(faults, 0);
  run_until_idle(listening.loop);
  const auto clients = listening.come(20);
  const std::size_t waits = faults.count(Call::kWait);
  const std::size_t accepts = faults.count(Call::kAnyAccept);
  for (const Descriptor& client : clients) {
    run_until(listening.loop, [&] { return peek(client.get()) != Meets::kNothing; });
    BOOST_TEST(is_turned_away(client));
  }
  run_until_idle(listening.loop);
  BOOST_TEST(listening.acceptor.counts().rejected_no_descriptors.get() == 20U);
  BOOST_TEST(faults.count(Call::kWait) - waits <= 40U);
  BOOST_TEST(faults.count(Call::kAnyAccept) - accepts <= 4 * 20U);
  expect_no_spin(listening.loop);
  BOOST_TEST(listening.accepted.empty());
  scarcity.end();
  const auto more = listening.come(3);
  listening.until_accepted(3);
  BOOST_TEST(listening.acceptor.counts().pauses.get() == 0U);
}

POLLARD_EACH_BACKEND(turning_away_one_after_another_doesnt_cost_more_each_time) {
  Faults faults;
  Listening listening(backend);
  const Scarcity scarcity(faults, 0);
  std::vector<Descriptor> clients;
  for (std::size_t i = 1; i <= 12; ++i) {
    clients.push_back(connect_to(listening.acceptor.address()));
    const std::size_t accepts = faults.count(Call::kAnyAccept);
    run_until(listening.loop,
              [&] { return listening.acceptor.counts().rejected_no_descriptors.get() == i; });
    run_until_idle(listening.loop);
    BOOST_TEST(faults.count(Call::kAnyAccept) - accepts <= 4U);
  }
}

// Whoever was quicker has the reserve's place: accepting pauses, and takes a reserve when it can.
POLLARD_EACH_BACKEND(a_reserve_that_is_lost_is_taken_again_when_there_is_one) {
  const Quiet quiet;
  Faults faults;
  Listening listening(backend);
  Scarcity scarcity(faults, 0);
  scarcity.take_one();
  const auto clients = listening.come(2);
  run_until(listening.loop, [&] { return listening.acceptor.counts().pauses.get() == 2; });
  BOOST_TEST(listening.accepted.empty());
  scarcity.end();
  listening.until_accepted(2);
  BOOST_TEST(listening.acceptor.counts().rejected_no_descriptors.get() == 0U);
}

POLLARD_EACH_BACKEND(without_a_reserve_accepting_pauses_and_nobody_is_lost) {
  const Quiet quiet;
  Faults faults;
  faults.fail(Call::kOpen, std::errc::too_many_files_open, {.times = kForever});
  faults.fail(Call::kAccept4, std::errc::too_many_files_open, {.times = 3});
  Listening listening(backend);
  const auto clients = listening.come(2);
  const std::size_t waits = faults.count(Call::kWait);
  listening.until_accepted(2);
  BOOST_TEST(listening.acceptor.counts().pauses.get() == 3U);
  BOOST_TEST(listening.acceptor.counts().rejected_no_descriptors.get() == 0U);
  // run_until() itself ends a wait every five milliseconds; a spin would be thousands.
  BOOST_TEST(faults.count(Call::kWait) - waits < 100U);
}

// ---- Errors ----

POLLARD_EACH_BACKEND(what_the_system_is_short_of_makes_accepting_pause_and_go_on) {
  const Quiet quiet;
  for (const std::errc error : {std::errc::too_many_files_open_in_system,
                                std::errc::no_buffer_space, std::errc::not_enough_memory}) {
    Faults faults;
    Listening listening(backend);
    faults.fail(Call::kAnyAccept, error, {.times = 2});
    const auto clients = listening.come(1);
    const std::size_t waits = faults.count(Call::kWait);
    listening.until_accepted(1);
    BOOST_TEST(listening.acceptor.counts().pauses.get() == 2U);
    BOOST_TEST(faults.count(Call::kWait) - waits < 50U);
  }
}

POLLARD_EACH_BACKEND(newcomers_that_left_again_are_counted_and_hold_up_nobody) {
  for (const std::errc error : {std::errc::connection_aborted, std::errc::protocol_error,
                                std::errc::operation_not_permitted, std::errc::interrupted}) {
    Faults faults;
    Listening listening(backend);
    // A system that forbids accept4 may allow accept, so each of three attempts makes both calls.
    const std::size_t calls = error == std::errc::operation_not_permitted ? 6 : 3;
    faults.fail(Call::kAnyAccept, error, {.times = calls});
    const auto clients = listening.come(1);
    listening.until_accepted(1);
    const bool counted = error != std::errc::interrupted;
    BOOST_TEST(listening.acceptor.counts().aborted.get() == (counted ? 3U : 0U));
    BOOST_TEST(listening.acceptor.counts().pauses.get() == 0U);
  }
}

POLLARD_EACH_BACKEND(an_accept_that_fails_for_ever_doesnt_spin) {
  const Quiet quiet;
  for (const std::errc error : {std::errc::connection_aborted, std::errc::operation_not_permitted,
                                std::errc::not_enough_memory}) {
    Faults faults;
    Listening listening(backend);
    faults.fail(Call::kAnyAccept, error, {.times = kForever});
    const auto clients = listening.come(1);
    expect_no_spin(listening.loop, 50ms, 40);
    faults.restore(Call::kAnyAccept);
    listening.until_accepted(1);
  }
}

template <class Make>
std::string error_of(Make make) {
  try {
    make();
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "no error";
}

POLLARD_EACH_BACKEND(what_cant_be_bound_is_an_error_that_names_the_call_and_the_address) {
  EventLoop loop({.poller = backend});
  const auto make = [&](const Address& address, const ListenOptions& options = {}) {
    return error_of([&] {
      Acceptor acceptor(loop, address, options, [](Descriptor, const Address&) {});
      acceptor.listen();
    });
  };
  Listening other(backend);
  const Address taken = other.acceptor.address();
  BOOST_TEST(make(taken) == "bind " + taken.to_string() + ": " +
                                std::make_error_code(std::errc::address_in_use).message());
  BOOST_TEST(make(Address::parse("192.0.2.1:7007")) ==
             "bind 192.0.2.1:7007: " +
                 std::make_error_code(std::errc::address_not_available).message());
  BOOST_TEST(make({}) == "listen on (none): Invalid argument");
  BOOST_TEST(make(Address::unix_path("/nowhere/at/all")) ==
             "bind unix:/nowhere/at/all: No such file or directory");
  BOOST_TEST(make(Address::loopback(0)) == "no error");
  BOOST_TEST(loop.stats().watched == 1U);
}

// ---- Unix-domain paths ----

class Path {
 public:
  Path() : path_(std::filesystem::temp_directory_path() / unique_name()) {}
  ~Path() { std::filesystem::remove(path_); }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;
  [[nodiscard]] Address address() const { return Address::unix_path(path_.string()); }
  [[nodiscard]] bool exists() const {
    struct stat status {};
    return kernel_calls().lstat(path_.c_str(), &status) == 0;
  }
  void remove() const { BOOST_TEST(kernel_calls().unlink(path_.c_str()) == 0); }
  [[nodiscard]] const std::filesystem::path& get() const { return path_; }

  // What a server that died leaves behind.
  void leave_stale() const {
    const platform::Result made = platform::open_stream_socket(platform::Family::kUnix);
    const Descriptor socket(made.descriptor());
    BOOST_TEST_REQUIRE(platform::bind_socket(socket.get(), address().endpoint()).ok());
  }

 private:
  static std::string unique_name() {
    static int count = 0;
    const Listener port = listen_on_loopback();  // whoever else runs this has another
    return "pollard-" + std::to_string(port.endpoint.port) + "-" + std::to_string(++count);
  }
  std::filesystem::path path_;
};

POLLARD_EACH_BACKEND(a_unix_path_is_served_and_removed_at_the_end) {
  const Path path;
  {
    Listening listening(backend, path.address());
    BOOST_TEST(path.exists());
    BOOST_TEST(listening.acceptor.address().to_string() == "unix:" + path.get().string());
    const auto clients = listening.come(2);
    listening.until_accepted(2);
    write_text(clients[0].get(), "hello");
  }
  BOOST_TEST(!path.exists());
}

POLLARD_EACH_BACKEND(a_stale_unix_path_is_replaced) {
  const Path path;
  path.leave_stale();
  BOOST_TEST(path.exists());
  Listening listening(backend, path.address());
  const auto clients = listening.come(1);
  listening.until_accepted(1);
}

POLLARD_EACH_BACKEND(a_live_unix_path_is_refused_and_left_alone) {
  const Path path;
  Listening first(backend, path.address());
  BOOST_TEST(error_of([&] { Listening second(backend, path.address()); }) ==
             "bind unix:" + path.get().string() + ": " +
                 std::make_error_code(std::errc::address_in_use).message());
  BOOST_TEST(path.exists());
  const auto clients = first.come(1);
  first.until_accepted(1);
}

POLLARD_EACH_BACKEND(without_replacing_a_path_stays_as_it_is) {
  const Path path;
  path.leave_stale();
  EventLoop loop({.poller = backend});
  const ListenOptions options{.replace_unix_path = false};
  BOOST_CHECK_THROW(Acceptor(loop, path.address(), options, [](Descriptor, const Address&) {}),
                    std::system_error);
  BOOST_TEST(path.exists());
  path.remove();
  {
    Acceptor acceptor(loop, path.address(), options, [](Descriptor, const Address&) {});
  }
  BOOST_TEST(path.exists());
}

POLLARD_EACH_BACKEND(somebodys_file_is_never_removed) {
  const Path path;
  std::ofstream(path.get()) << "precious";
  BOOST_TEST(error_of([&] { Listening listening(backend, path.address()); }) ==
             "bind unix:" + path.get().string() + ": " +
                 std::make_error_code(std::errc::address_in_use).message());
  std::string content;
  std::ifstream(path.get()) >> content;
  BOOST_TEST(content == "precious");
}

}  // namespace
}  // namespace pollard::testing
