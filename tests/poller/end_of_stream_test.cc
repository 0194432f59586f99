// How connections end, and what is left to read: half-closed either way, reset, refused, with data
// in front of the end. Readable and writable are the promise; who wants to know more asks the
// socket.
#include <sys/socket.h>

#include <string>

#include "pollard/platform/socket.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// Reads until the stream ends or fails, waiting for as long as there is more to come.
std::string read_to_the_end(Watch& watch, const Descriptor& fd) {
  std::string text;
  for (;;) {
    BOOST_TEST(watch.await(fd).readable);
    text += read_text(fd.get());
    char byte = 0;
    if (::recv(fd.get(), &byte, 1, MSG_PEEK) == 0 ||
        read_error(fd.get()) != std::errc::operation_would_block) {
      return text;
    }
  }
}

POLLARD_EACH_BACKEND(data_in_front_of_an_end_is_read_first) {
  for (const bool tcp : {false, true}) {
    Watch watch(backend);
    Pair pair = tcp ? tcp_pair() : socket_pair();
    watch.add(pair.near, Interest::kRead);
    write_text(pair.far.get(), "the last words");
    pair.far.reset();
    BOOST_TEST(read_to_the_end(watch, pair.near) == "the last words");
    BOOST_TEST(watch.ready(pair.near) == kReadable);  // the end is a level too
  }
}

POLLARD_EACH_BACKEND(the_end_of_a_stream_is_readable_for_those_who_want_to_read) {
  for (const bool tcp : {false, true}) {
    for (const Interest interest : {Interest::kRead, Interest::kBoth}) {
      Watch watch(backend);
      Pair pair = tcp ? tcp_pair() : socket_pair();
      watch.add(pair.near, interest);
      pair.far.reset();
      watch.await(pair.near, kReadable);
      BOOST_TEST(watch.ready(pair.near).readable);
    }
  }
}

POLLARD_EACH_BACKEND(a_peer_that_ends_its_side_still_listens) {
  for (const bool tcp : {false, true}) {
    Watch watch(backend);
    const Pair pair = tcp ? tcp_pair() : socket_pair();
    watch.add(pair.near, Interest::kBoth);
    watch.add(pair.far, Interest::kRead);
    BOOST_TEST(platform::shutdown_sending(pair.far.get()).ok());
    watch.await(pair.near, kBothWays);
    write_text(pair.near.get(), "answer");
    BOOST_TEST(watch.await(pair.far).readable);
    BOOST_TEST(read_text(pair.far.get()) == "answer");
  }
}

POLLARD_EACH_BACKEND(who_has_ended_its_own_side_still_hears) {
  for (const bool tcp : {false, true}) {
    Watch watch(backend);
    const Pair pair = tcp ? tcp_pair() : socket_pair();
    watch.add(pair.near, Interest::kRead);
    BOOST_TEST(platform::shutdown_sending(pair.near.get()).ok());
    expect_silence(watch);
    write_text(pair.far.get(), "still here");
    BOOST_TEST(watch.await(pair.near).readable);
    BOOST_TEST(read_text(pair.near.get()) == "still here");
    expect_silence(watch, 1ms);
  }
}

POLLARD_EACH_BACKEND(a_reset_is_readable_and_writable) {
  for (const Interest interest : {Interest::kRead, Interest::kWrite, Interest::kBoth}) {
    Watch watch(backend);
    Pair pair = tcp_pair();
    fill(pair.near.get());  // so that writable means the reset
    watch.add(pair.near, interest);
    reset_connection(pair.far);
    watch.await(pair.near, {.readable = wants_read(interest), .writable = wants_write(interest)});
    BOOST_TEST((read_error(pair.near.get()) == std::errc::connection_reset));
  }
}

POLLARD_EACH_BACKEND(a_reset_behind_unread_data_is_readable_to_its_error) {
  Watch watch(backend);
  Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  BOOST_TEST(watch.await(pair.near).readable);
  reset_connection(pair.far);
  // Systems differ in whether the data outlives the reset, not in that reading comes to an end.
  const std::string text = read_to_the_end(watch, pair.near);
  BOOST_TEST((text == "data" || text.empty()));
}

POLLARD_EACH_BACKEND(a_finished_connect_is_writable) {
  Watch watch(backend);
  const Listener listener = listen_on_loopback();
  const Descriptor fd = start_connecting(listener.endpoint);
  watch.add(fd, Interest::kBoth);
  watch.await(fd, kWritable);
  BOOST_TEST(platform::take_socket_error(fd.get()) == std::error_code());
  BOOST_TEST(watch.ready(fd) == kWritable);
}

POLLARD_EACH_BACKEND(a_refused_connect_is_readable_and_writable_and_says_why) {
  for (const Interest interest : {Interest::kRead, Interest::kWrite, Interest::kBoth}) {
    Watch watch(backend);
    const platform::Result made = platform::open_stream_socket(platform::Family::kIpv4);
    const Descriptor fd(made.descriptor());
    const platform::Result connecting = platform::connect_socket(fd.get(), refusing_endpoint());
    if (connecting.is(std::errc::connection_refused)) continue;  // a system that knows at once
    watch.add(fd, interest);
    watch.await(fd, {.readable = wants_read(interest), .writable = wants_write(interest)});
    BOOST_TEST((platform::take_socket_error(fd.get()) == std::errc::connection_refused));
  }
}

POLLARD_EACH_EDGE_BACKEND(an_end_behind_data_is_told_with_the_edge_of_the_data) {
  for (const bool tcp : {false, true}) {
    Watch watch(backend);
    Pair pair = tcp ? tcp_pair() : socket_pair();
    write_text(pair.far.get(), "the last words");
    pair.far.reset();
    wait_for_end(pair.near.get());
    watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
    const Event event = watch.await(pair.near);
    BOOST_TEST(event.readable);
    BOOST_TEST(event.hangup);
    expect_silence(watch, 1ms);
  }
}

POLLARD_EACH_EDGE_BACKEND(an_end_after_data_is_an_edge_of_its_own) {
  for (const bool tcp : {false, true}) {
    Watch watch(backend);
    Pair pair = tcp ? tcp_pair() : socket_pair();
    watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
    write_text(pair.far.get(), "data");
    watch.await(pair.near, kReadable);
    BOOST_TEST(read_text(pair.near.get()) == "data");
    pair.far.reset();
    const Event event = watch.await(pair.near);
    BOOST_TEST(event.readable);
    BOOST_TEST(event.hangup);
  }
}

POLLARD_EACH_EDGE_BACKEND(an_end_is_one_edge_for_those_who_want_one_direction) {
  for (const Interest interest : {Interest::kRead, Interest::kWrite}) {
    for (const bool tcp : {false, true}) {
      BOOST_TEST_CONTEXT(to_string(interest) << (tcp ? ", TCP" : ", Unix")) {
        Watch watch(backend);
        Pair pair = tcp ? tcp_pair() : socket_pair();
        fill(pair.near.get());
        watch.add(pair.near, interest, Trigger::kEdge);
        if (tcp) {
          reset_connection(pair.far);
        } else {
          pair.far.reset();
        }
        watch.await(pair.near);
        expect_no_spin(watch);
      }
    }
  }
}

POLLARD_EACH_EDGE_BACKEND(a_peer_that_ends_its_side_is_one_edge) {
  Watch watch(backend);
  const Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  watch.collect();
  BOOST_TEST(platform::shutdown_sending(pair.far.get()).ok());
  const Event event = watch.await(pair.near);
  BOOST_TEST(event.readable);
  BOOST_TEST(event.hangup);
  expect_no_spin(watch);
}

void send_urgent(int fd) { BOOST_TEST_REQUIRE(::send(fd, "!", 1, MSG_OOB) == 1); }

POLLARD_EACH_BACKEND(urgent_data_disturbs_no_stream) {
  Watch watch(backend);
  const Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kRead);
  send_urgent(pair.far.get());
  write_text(pair.far.get(), "data");
  std::string text;
  while (text != "data") {
    BOOST_TEST(watch.await(pair.near).readable);
    text += read_text(pair.near.get());
  }
  expect_no_spin(watch);
}

POLLARD_EACH_EDGE_BACKEND(data_behind_urgent_data_has_its_edge) {
  Watch watch(backend);
  const Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  watch.collect();
  write_text(pair.far.get(), "before");
  send_urgent(pair.far.get());
  write_text(pair.far.get(), "behind");
  std::string text;
  while (text != "beforebehind") {
    watch.await(pair.near, kReadable);
    // A read ends at the urgent byte however much there is behind it.
    for (std::string piece; !(piece = read_text(pair.near.get())).empty();) text += piece;
  }
  expect_no_spin(watch);
}

}  // namespace
}  // namespace pollard::testing
