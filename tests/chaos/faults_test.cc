// sim::Faults by itself, one fault at a time, over the simulated kernel.
#include "pollard/testkit/sim/faults.h"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <string>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/endpoint.h"
#include "pollard/platform/socket.h"
#include "pollard/platform/system_calls.h"
#include "pollard/poller/registry.h"
#include "pollard/testkit/sim/kernel.h"

namespace pollard::chaos {
namespace {

using platform::Descriptor;
using platform::system_calls;

// Two connected sockets on a simulated kernel, behind Faults that do nothing yet.
struct Scene {
  sim::Kernel kernel;
  sim::Faults faults{{.trace_lines = SIZE_MAX}};
  Descriptor near;
  Descriptor far;

  Scene() {
    platform::Endpoint place;
    BOOST_TEST_REQUIRE(platform::parse_ip("127.0.0.1", place));
    const Descriptor listener(open_socket());
    BOOST_TEST_REQUIRE(platform::bind_socket(listener.get(), place).ok());
    BOOST_TEST_REQUIRE(platform::listen_socket(listener.get(), 1).ok());
    BOOST_TEST_REQUIRE(platform::local_endpoint(listener.get(), place).ok());
    near.reset(open_socket());
    BOOST_TEST(platform::connect_socket(near.get(), place).is(std::errc::operation_in_progress));
    platform::Endpoint peer;
    const platform::Result accepted = platform::accept_socket(listener.get(), peer);
    BOOST_TEST_REQUIRE(accepted.ok());
    far.reset(accepted.descriptor());
  }

  // Its number, or the negated error.
  static int open_socket() {
    const platform::Result made = platform::open_stream_socket(platform::Family::kIpv4);
    return made.ok() ? made.descriptor() : -made.error().value();
  }
  std::ptrdiff_t send(const std::string& text) const {
    return system_calls().send(far.get(), text.data(), text.size(), 0);
  }
  std::ptrdiff_t receive() const {
    std::array<char, 100> bytes{};
    return system_calls().recv(near.get(), bytes.data(), bytes.size(), 0);
  }
};

BOOST_AUTO_TEST_SUITE(seeded_faults)

BOOST_AUTO_TEST_CASE(without_chances_everything_goes_through) {
  const Scene scene;
  BOOST_TEST(scene.send("twelve bytes") == 12);
  BOOST_TEST(scene.receive() == 12);
  BOOST_TEST(scene.faults.befallen().empty());
  BOOST_TEST(scene.faults.misuse().empty());
}

BOOST_AUTO_TEST_CASE(calls_are_interrupted_and_nothing_is_lost) {
  Scene scene;
  BOOST_TEST(scene.send("twelve bytes") == 12);
  scene.faults.set_chances({.interrupted = 1});
  BOOST_TEST(scene.receive() == -EINTR);
  BOOST_TEST(scene.send("more") == -EINTR);
  scene.faults.set_chances({});
  BOOST_TEST(scene.receive() == 12);
  BOOST_TEST(scene.faults.befallen().at("EINTR") == 2U);
}

BOOST_AUTO_TEST_CASE(reads_and_writes_are_cut_short) {
  Scene scene;
  scene.faults.set_chances({.short_read = 1, .short_write = 1});
  const std::ptrdiff_t sent = scene.send("twelve bytes");
  BOOST_TEST((sent > 0 && sent < 12));
  scene.faults.set_chances({});
  BOOST_TEST(scene.send(std::string(100, 'x')) == 100);
  scene.faults.set_chances({.short_read = 1});
  const std::ptrdiff_t got = scene.receive();
  BOOST_TEST((got > 0 && got < 100));
}

// Who reads until a short read has to hear of the rest.
BOOST_AUTO_TEST_CASE(what_is_cut_short_makes_another_edge) {
  for (const std::string backend : {"epoll", "kqueue"}) {
    BOOST_TEST_CONTEXT(backend) {
      Scene scene;
      const auto poller = make_poller(backend);
      BOOST_TEST_REQUIRE(!poller->add(scene.near.get(), Interest::kRead, Token{1}, Trigger::kEdge));
      BOOST_TEST(scene.send(std::string(50, 'x')) == 50);
      Event event;
      scene.faults.set_chances({.short_read = 1});
      std::ptrdiff_t received = 0;
      for (int turns = 0; received < 50 && turns < 100; ++turns) {
        BOOST_TEST_REQUIRE(!poller->wait(Duration::zero()));
        BOOST_TEST_REQUIRE(poller->next(event));
        received += std::max<std::ptrdiff_t>(scene.receive(), 0);
      }
      BOOST_TEST(received == 50);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_interrupted_wait_has_found_nothing) {
  for (const PollerBackend& entry : registered_pollers()) {
    BOOST_TEST_CONTEXT(entry.name) {
      Scene scene;
      const auto poller = make_poller(entry.name);
      BOOST_TEST_REQUIRE(!poller->add(scene.near.get(), Interest::kRead, Token{1}));
      scene.faults.set_chances({.interrupted = 1});
      Event event;
      BOOST_TEST(!poller->wait(std::chrono::seconds(10)));
      BOOST_TEST(!poller->next(event));
      scene.faults.set_chances({});
      BOOST_TEST(scene.send("data") == 4);
      scene.faults.set_chances({.interrupted = 1});
      BOOST_TEST(!poller->wait(std::chrono::seconds(10)));
      BOOST_TEST(poller->next(event));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reset_reaches_both_ends) {
  Scene scene;
  scene.faults.set_chances({.reset = 1});
  BOOST_TEST(scene.receive() == -ECONNRESET);
  scene.faults.set_chances({});
  std::array<char, 10> bytes{};
  BOOST_TEST(system_calls().recv(scene.far.get(), bytes.data(), bytes.size(), 0) == -ECONNRESET);
}

BOOST_AUTO_TEST_CASE(shortages_have_their_errors) {
  Scene scene;
  scene.faults.set_chances({.process_limit = 1});
  BOOST_TEST(Scene::open_socket() == -EMFILE);
  scene.faults.set_chances({.system_limit = 1});
  BOOST_TEST(Scene::open_socket() == -ENFILE);
  scene.faults.set_chances({.no_buffers = 1});
  BOOST_TEST(Scene::open_socket() == -ENOBUFS);
  BOOST_TEST(scene.send("text") == -ENOBUFS);
  scene.faults.set_chances({.no_memory = 1});
  BOOST_TEST(Scene::open_socket() == -ENOMEM);
}

BOOST_AUTO_TEST_CASE(stale_events_bear_the_name_of_a_closed_descriptor) {
  for (const std::string backend : {"epoll", "kqueue"}) {
    BOOST_TEST_CONTEXT(backend) {
      Scene scene;
      const auto poller = make_poller(backend);
      BOOST_TEST_REQUIRE(!poller->add(scene.near.get(), Interest::kRead, Token{1}));
      poller->remove_before_close(scene.near.get());
      scene.near.reset();
      scene.faults.set_chances({.stale_event = 1});
      Event event;
      BOOST_TEST(!poller->wait(std::chrono::seconds(10)));
      BOOST_TEST(!poller->next(event));
      BOOST_TEST(poller->stale_events() == 1U);
    }
  }
}

BOOST_AUTO_TEST_CASE(spurious_events_come_for_what_is_watched) {
  for (const PollerBackend& entry : registered_pollers()) {
    BOOST_TEST_CONTEXT(entry.name) {
      Scene scene;
      const auto poller = make_poller(entry.name);
      BOOST_TEST_REQUIRE(!poller->add(scene.near.get(), Interest::kRead, Token{1}));
      scene.faults.set_chances({.spurious_event = 1});
      Event event;
      bool said = false;
      for (int waits = 0; waits < 100 && !said; ++waits) {
        BOOST_TEST_REQUIRE(!poller->wait(Duration::zero()));
        said = poller->next(event) && event.readable;
      }
      BOOST_TEST(said);
      BOOST_TEST(scene.receive() == -EAGAIN);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_wall_clock_jumps_and_the_monotonic_one_does_not) {
  Scene scene;
  const auto read = [](clockid_t clock) {
    timespec time{};
    BOOST_TEST(system_calls().clock_gettime(clock, &time) == 0);
    return time.tv_sec;
  };
  const auto wall = read(CLOCK_REALTIME);
  const auto monotonic = read(CLOCK_MONOTONIC);
  scene.faults.set_chances({.clock_jump = 1});
  BOOST_TEST(read(CLOCK_REALTIME) != wall);
  BOOST_TEST(read(CLOCK_MONOTONIC) - monotonic <= 1);
}

BOOST_AUTO_TEST_CASE(who_closes_a_descriptor_twice_is_seen) {
  Scene scene;
  const int number = scene.near.release();
  BOOST_TEST(system_calls().close(number) == 0);
  BOOST_TEST(system_calls().close(number) == -EBADF);
  BOOST_TEST_REQUIRE(scene.faults.misuse().size() == 1U);
  BOOST_TEST(scene.faults.misuse()[0] == "close(" + std::to_string(number) + "): not open");
}

// The number of a closed descriptor is somebody else's at once: who uses it on would harm them.
BOOST_AUTO_TEST_CASE(who_uses_a_number_that_belongs_to_somebody_else_is_seen) {
  Scene scene;
  scene.faults.set_chances({.taken_number = 1});
  const int number = scene.near.release();
  BOOST_TEST(system_calls().close(number) == 0);
  scene.faults.set_chances({});
  BOOST_TEST(system_calls().close(number) == -EBADF);
  BOOST_TEST_REQUIRE(scene.faults.misuse().size() == 1U);
  BOOST_TEST(scene.faults.misuse()[0].find("somebody else") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_open_is_listed_with_the_call_that_made_it) {
  Scene scene;
  const auto open = scene.faults.open_descriptors();
  BOOST_TEST(open.size() == 2U);
  const std::string accepted = std::to_string(scene.far.get()) + " accept";
  BOOST_TEST(std::ranges::count_if(
                 open, [&](const std::string& line) { return line.starts_with(accepted); }) == 1);
  scene.far.reset();
  scene.near.reset();
  BOOST_TEST(scene.faults.open_descriptors().empty());
}

BOOST_AUTO_TEST_CASE(idle_waits_are_counted_until_something_happens) {
  Scene scene;
  pollfd record{.fd = scene.near.get(), .events = POLLOUT, .revents = 0};
  for (int waits = 0; waits < 7; ++waits) BOOST_TEST(system_calls().poll(&record, 1, 1000) == 1);
  BOOST_TEST(scene.faults.longest_idling() == 7U);
  BOOST_TEST(scene.send("text") == 4);
  BOOST_TEST(system_calls().poll(&record, 1, 1000) == 1);
  BOOST_TEST(scene.faults.longest_idling() == 7U);
}

BOOST_AUTO_TEST_CASE(the_trace_says_what_was_called_and_what_befell) {
  Scene scene;
  scene.faults.set_chances({.interrupted = 1});
  BOOST_TEST(scene.receive() == -EINTR);
  const std::string expected = " recv(" + std::to_string(scene.near.get()) +
                               ", 100) = " + std::to_string(-EINTR) + "  [EINTR]";
  BOOST_TEST(scene.faults.trace().back().ends_with(expected), scene.faults.trace().back());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::chaos
