// The ends of servers and of what they hold: stopping while others stop, a thread that fails, paths
// that belong to somebody else, a client that is destroyed elsewhere while the loop ends.
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "pollard/base/error.h"
#include "pollard/net/loop/loop_thread.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/testkit/faults.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// A folder of its own, which goes with it.
struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "pollard.XXXXXX").string();
    BOOST_TEST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

POLLARD_EACH_BACKEND(a_path_is_not_taken_from_a_server_that_has_not_started) {
  const Folder folder;
  const Address address = Address::unix_path((folder.path / "socket").string());
  EventLoop loop({.poller = backend});
  TcpServer first(loop, address, {});
  BOOST_CHECK_EXCEPTION(TcpServer(loop, address, {}), std::system_error, [](const auto& error) {
    return error.code() == std::errc::address_in_use;
  });
  first.start();
  const Descriptor client = connect_to(address);
  run_until(loop, [&] { return first.connection_count() == 1; });
}

POLLARD_EACH_BACKEND(a_path_that_is_somebody_elses_by_now_is_left_alone) {
  const Folder folder;
  const std::string path = (folder.path / "socket").string();
  EventLoop loop({.poller = backend});
  {
    TcpServer server(loop, Address::unix_path(path), {});
    server.start();
    std::filesystem::remove(path);
    std::ofstream(path) << "a file of somebody's";
  }
  BOOST_TEST(std::filesystem::is_regular_file(path));
}

POLLARD_EACH_BACKEND(a_start_inside_of_a_stop_is_refused_and_one_after_it_works) {
  EventLoop loop({.poller = backend});
  std::error_code refusal;
  std::optional<TcpServer> server;
  server.emplace(
      loop, Address::loopback(0),
      ConnectionHandlers{.on_disconnect = [&](const TcpConnectionPtr&, const DisconnectReason&) {
        try {
          server->start();
        } catch (const std::system_error& error) {
          refusal = error.code();
        }
      }});
  server->start();
  const Descriptor client = connect_to(server->address());
  run_until(loop, [&] { return server->connection_count() == 1; });
  server->stop();
  BOOST_TEST((refusal == std::errc::operation_in_progress));
  server->start();
  const Descriptor next = connect_to(server->address());
  run_until(loop, [&] { return server->connection_count() == 1; });
}

POLLARD_EACH_BACKEND(stopping_gracefully_twice_is_done_twice) {
  EventLoop loop({.poller = backend});
  TcpServer server(loop, Address::loopback(0), {});
  server.start();
  int done = 0;
  for (int i = 1; i <= 2; ++i) {
    server.stop_gracefully(1s, [&] { ++done; });
    run_until(loop, [&] { return done == i; });
  }
}

POLLARD_EACH_BACKEND(with_no_connections_allowed_newcomers_wait) {
  EventLoop loop({.poller = backend});
  TcpServer server(loop, Address::loopback(0), {},
                   {.max_connections = 0, .when_full = WhenFull::kWait});
  server.start();
  const Descriptor client = connect_to(server.address());
  run_until_idle(loop);
  expect_no_spin(loop);
  BOOST_TEST(server.connection_count() == 0U);
}

POLLARD_EACH_BACKEND(a_wait_that_fails_in_a_thread_is_reported_and_ends_its_loop) {
  Faults faults;
  std::promise<std::error_code> reported;
  LoopThread thread({.poller = backend, .on_exception = [&](const std::exception_ptr& exception) {
                       try {
                         std::rethrow_exception(exception);
                       } catch (const std::system_error& error) {
                         reported.set_value(error.code());
                       }
                     }});
  faults.fail(Call::kWait, std::errc::bad_file_descriptor, {.after = 0, .times = kForever});
  thread.handle().post([] {});  // ends its sleep, and its next wait fails
  BOOST_TEST(reported.get_future().get() == std::errc::bad_file_descriptor);
  faults.restore(Call::kWait);
}

POLLARD_EACH_BACKEND(a_client_may_be_destroyed_elsewhere_while_its_loop_ends) {
  for (int round = 0; round < 20; ++round) {
    std::unique_ptr<TcpClient> client;
    auto loop = std::make_unique<EventLoop>(EventLoopOptions{.poller = backend});
    const Listener listener = listen_on_loopback();
    client = std::make_unique<TcpClient>(*loop, Address(listener.endpoint), ConnectionHandlers{});
    BOOST_TEST(!client->connect());
    if (round % 2 == 1) run_until_idle(*loop);
    std::thread elsewhere([&] { client.reset(); });
    loop.reset();
    elsewhere.join();
  }
}

}  // namespace
}  // namespace pollard::testing
