// The contract that poller.h states, line by line: levels and edges, one event a descriptor, what
// is readable and writable, kNone, and the end of a registration.
#include <sys/socket.h>

#include <string>
#include <thread>
#include <vector>

#include "pollard/platform/socket.h"
#include "pollard/platform/wake.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND(a_level_is_reported_by_every_wait_while_its_cause_lasts) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "cause");
  for (int i = 0; i < 5; ++i) BOOST_TEST(watch.ready(pair.near) == kReadable);
  read_text(pair.near.get());
  expect_silence(watch);
}

POLLARD_EACH_BACKEND(a_level_that_is_served_in_part_is_reported_again) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "abc");
  for (const char* letter : {"a", "b", "c"}) {
    BOOST_TEST(watch.ready(pair.near) == kReadable);
    BOOST_TEST(read_text(pair.near.get(), 1) == letter);
  }
  BOOST_TEST(watch.ready(pair.near) == kNothing);
}

POLLARD_EACH_EDGE_BACKEND(an_edge_is_reported_once) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  BOOST_TEST(watch.ready(pair.near) == kWritable);
  write_text(pair.far.get(), "cause");
  BOOST_TEST(watch.ready(pair.near).readable);
  expect_silence(watch);
  write_text(pair.far.get(), "another");
  BOOST_TEST(watch.ready(pair.near).readable);
  expect_silence(watch);
}

POLLARD_EACH_EDGE_BACKEND(an_edge_that_was_there_before_the_registration_is_reported) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "early");
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  BOOST_TEST(watch.ready(pair.near) == kBothWays);
  expect_silence(watch);
}

POLLARD_EACH_EDGE_BACKEND(room_that_comes_back_is_an_edge) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kWrite, Trigger::kEdge);
  BOOST_TEST(watch.ready(pair.near) == kWritable);
  fill(pair.near.get());
  watch.collect();  // the system may count our own writing as a change of the room
  expect_silence(watch);
  while (!read_text(pair.far.get()).empty()) {
  }
  BOOST_TEST(watch.ready(pair.near, kPatience) == kWritable);
}

POLLARD_EACH_BACKEND(reading_and_writing_are_one_event_of_one_descriptor) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kBoth);
  const auto events = watch.collect();  // which fails when a descriptor comes twice
  BOOST_TEST(events.size() == 1U);
  BOOST_TEST(watch.ready(pair.near) == kBothWays);
}

POLLARD_EACH_BACKEND(edges_are_had_where_they_are_declared_and_refused_elsewhere) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  const auto refused =
      watch->add(pair.near.get(), Interest::kRead, Watch::token(0), Trigger::kEdge);
  if (watch->capabilities().edge_triggered) {
    BOOST_TEST(refused == std::error_code());
  } else {
    BOOST_TEST((refused == std::errc::operation_not_supported));
    BOOST_TEST(watch->size() == 0U);
    watch.add(pair.near, Interest::kRead);
  }
}

POLLARD_EACH_BACKEND(a_token_is_handed_back_unread) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  constexpr Token kToken{0xfedcba9876543210U};
  BOOST_TEST_REQUIRE(!watch->add(pair.near.get(), Interest::kWrite, kToken));
  watch.wait();
  Event event;
  BOOST_TEST_REQUIRE(watch->next(event));
  BOOST_TEST((event.token == kToken));
}

POLLARD_EACH_BACKEND(a_pending_connection_is_readable_until_it_is_accepted) {
  Watch watch(backend);
  const Listener listener = listen_on_loopback();
  watch.add(listener.fd, Interest::kRead);
  expect_silence(watch);
  const Descriptor first = start_connecting(listener.endpoint);
  const Descriptor second = start_connecting(listener.endpoint);
  BOOST_TEST(watch.await(listener.fd).readable);
  const Descriptor accepted = accept_from(listener);
  BOOST_TEST(watch.await(listener.fd).readable);
  const Descriptor accepted_too = accept_from(listener);
  expect_silence(watch);
}

POLLARD_EACH_EDGE_BACKEND(each_pending_connection_is_an_edge) {
  Watch watch(backend);
  const Listener listener = listen_on_loopback();
  watch.add(listener.fd, Interest::kRead, Trigger::kEdge);
  const Descriptor first = start_connecting(listener.endpoint);
  BOOST_TEST(watch.await(listener.fd).readable);
  expect_silence(watch);
  const Descriptor second = start_connecting(listener.endpoint);
  BOOST_TEST(watch.await(listener.fd).readable);
}

POLLARD_EACH_BACKEND(a_full_socket_becomes_writable_when_its_peer_reads) {
  Watch watch(backend);
  const Pair pair = tcp_pair();
  fill(pair.near.get());
  watch.add(pair.near, Interest::kWrite);
  while (watch.ready(pair.near, 1ms) == kNothing) read_text(pair.far.get());
  BOOST_TEST(watch.ready(pair.near) == kWritable);
}

POLLARD_EACH_BACKEND(a_paused_descriptor_whose_peer_hangs_up_is_silent) {
  Watch watch(backend);
  Pair pair = socket_pair();
  Pair tcp = tcp_pair();
  for (const Descriptor* fd : {&pair.near, &tcp.near}) watch.add(*fd, Interest::kRead);
  watch.collect();
  for (const Descriptor* fd : {&pair.near, &tcp.near}) watch.modify(*fd, Interest::kNone);
  pair.far.reset();
  reset_connection(tcp.far);
  expect_silence(watch);
  for (const Descriptor* fd : {&pair.near, &tcp.near}) watch.modify(*fd, Interest::kRead);
  BOOST_TEST(watch.await(pair.near).readable);
  BOOST_TEST(watch.await(tcp.near).readable);
}

POLLARD_EACH_BACKEND(a_descriptor_that_is_added_paused_is_silent_until_it_is_resumed) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kNone);
  BOOST_TEST(watch->size() == 1U);
  expect_silence(watch);
  watch.modify(pair.near, Interest::kBoth);
  BOOST_TEST(watch.ready(pair.near) == kBothWays);
  watch.modify(pair.near, Interest::kNone);
  expect_silence(watch);
}

POLLARD_EACH_BACKEND(a_wait_for_ever_ends_with_the_event) {
  const Faults faults;
  Watch watch(backend);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  const std::size_t before = faults.count(Call::kWait);
  std::thread writer([&] {
    while (faults.count(Call::kWait) == before) std::this_thread::yield();
    write_text(pair.far.get(), "data");
  });
  BOOST_TEST(watch.ready(pair.near, Duration::max()) == kReadable);
  writer.join();
  BOOST_TEST(watch.collect(std::nullopt).size() == 1U);
}

POLLARD_EACH_BACKEND(a_poller_of_nothing_waits_and_finds_nothing) {
  Watch watch(backend);
  expect_silence(watch, 1ms);
  BOOST_TEST(watch->size() == 0U);
  BOOST_TEST(!watch->has_ready());
}

POLLARD_EACH_BACKEND(a_pipe_is_watched_at_both_ends) {
  Watch watch(backend);
  Pipe pipe = open_pipe();
  watch.add(pipe.read, Interest::kRead);
  watch.add(pipe.write, Interest::kWrite);
  BOOST_TEST(watch.ready(pipe.write) == kWritable);
  BOOST_TEST(watch.ready(pipe.read) == kNothing);
  write_text(pipe.write.get(), "data");
  BOOST_TEST(watch.ready(pipe.read) == kReadable);
  read_text(pipe.read.get());
  watch.remove(pipe.write);
  pipe.write.reset();
  BOOST_TEST(watch.ready(pipe.read) == kReadable);  // the end of the stream
}

POLLARD_EACH_BACKEND(a_pipe_whose_reader_is_gone_is_writable) {
  Watch watch(backend);
  Pipe pipe = open_pipe();
  fill(pipe.write.get());
  watch.add(pipe.write, Interest::kWrite);
  BOOST_TEST(watch.ready(pipe.write) == kNothing);
  pipe.read.reset();
  BOOST_TEST(watch.ready(pipe.write) == kWritable);
}

POLLARD_EACH_BACKEND(a_wake_from_another_thread_ends_the_wait) {
  Watch watch(backend);
  platform::WakeDescriptor wake;
  watch.add(wake.fd(), Interest::kRead);
  for (int i = 0; i < 3; ++i) {
    std::thread waker([&wake] { wake.wake(); });
    BOOST_TEST(watch.collect(kPatience).size() == 1U);
    waker.join();
    wake.drain();
    BOOST_TEST(watch.collect().empty());
  }
}

POLLARD_EACH_EDGE_BACKEND(each_wake_is_an_edge_where_that_is_declared) {
  Watch watch(backend);
  platform::WakeDescriptor wake;
  watch.add(wake.fd(), Interest::kRead, Trigger::kEdge);
  for (int i = 0; i < 3; ++i) {
    wake.wake();
    BOOST_TEST(watch.collect(kPatience).size() == 1U);
    BOOST_TEST(watch.collect().empty());
    if (!wake.rings_undrained()) wake.drain();
  }
}

POLLARD_EACH_BACKEND(what_the_caller_stops_wanting_after_the_wait_is_not_delivered) {
  Watch watch(backend);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kBoth);
  watch.wait();
  watch.modify(pair.near, Interest::kWrite);
  const auto events = watch.take();
  BOOST_TEST_REQUIRE(events.size() == 1U);
  BOOST_TEST(!events.begin()->second.readable);
  watch.wait();
  watch.modify(pair.near, Interest::kNone);
  BOOST_TEST(watch.take().empty());
  expect_silence(watch);
}

POLLARD_EACH_BACKEND(what_was_not_taken_comes_with_the_next_wait) {
  Watch watch(backend);
  std::vector<Pair> pairs;
  for (int i = 0; i < 8; ++i) {
    pairs.push_back(socket_pair());
    write_text(pairs.back().far.get(), "data");
    watch.add(pairs.back().near, Interest::kRead);
  }
  watch.wait();
  Event event;
  BOOST_TEST(watch->next(event));
  BOOST_TEST(watch->has_ready());
  BOOST_TEST(watch.collect().size() == 8U);
}

}  // namespace
}  // namespace pollard::testing
