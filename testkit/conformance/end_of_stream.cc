// How connections end, and what is left to read: half-closed either way, reset, refused, with data
// in front of the end. Readable and writable are the promise; who wants to know more asks the
// socket.
#include <sys/socket.h>

#include <string>
#include <vector>

#include "pollard/platform/io.h"
#include "pollard/platform/kqueue.h"
#include "pollard/platform/socket.h"
#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

// Whether a read would meet the end of the stream, or an error, and not wait.
bool is_over(int fd) {
  char byte = 0;
  const platform::Result peeked(kernel_calls().recv(fd, &byte, 1, MSG_PEEK));
  return peeked.ok() ? peeked.count() == 0 : !peeked.would_block();
}

// Reads until the stream ends or fails, waiting for as long as there is more to come.
std::string read_to_the_end(Watch& watch, const Descriptor& fd) {
  std::string text;
  do {
    watch.await(fd, kReadable);
    text += read_text(fd.get());
  } while (!is_over(fd.get()));
  return text;
}

void data_in_front_of_an_end_is_read_first(Trial& trial) {
  for (const bool tcp : {false, true}) {
    trial.at(kind_of(tcp));
    Watch watch(trial);
    Pair pair = pair_of(tcp);
    watch.add(pair.near, Interest::kRead);
    write_text(pair.far.get(), "the last words");
    pair.far.reset();
    trial.expect(read_to_the_end(watch, pair.near) == "the last words",
                 "the data in front of the end is lost");
    watch.expect(pair.near, kReadable, "the end of a stream, which is a level too,");
  }
}

void the_end_of_a_stream_is_readable_for_those_who_want_to_read(Trial& trial) {
  for (const bool tcp : {false, true}) {
    for (const Interest interest : {Interest::kRead, Interest::kBoth}) {
      trial.at(std::string(kind_of(tcp)) + ", interest " + std::string(to_string(interest)));
      Watch watch(trial);
      Pair pair = pair_of(tcp);
      watch.add(pair.near, interest);
      pair.far.reset();
      watch.await(pair.near, kReadable);
      trial.expect(watch.ready(pair.near).readable, "the end is reported once and not again");
    }
  }
}

void a_peer_that_ends_its_side_still_listens(Trial& trial) {
  for (const bool tcp : {false, true}) {
    trial.at(kind_of(tcp));
    Watch watch(trial);
    const Pair pair = pair_of(tcp);
    watch.add(pair.near, Interest::kBoth);
    watch.add(pair.far, Interest::kRead);
    trial.expect(platform::shutdown_sending(pair.far.get()).error(), std::error_code(), "shutdown");
    watch.await(pair.near, kBothWays);
    write_text(pair.near.get(), "answer");
    watch.await(pair.far, kReadable);
    trial.expect(read_text(pair.far.get()) == "answer", "the answer is another one");
  }
}

void who_has_ended_its_own_side_still_hears(Trial& trial) {
  for (const bool tcp : {false, true}) {
    trial.at(kind_of(tcp));
    Watch watch(trial);
    const Pair pair = pair_of(tcp);
    watch.add(pair.near, Interest::kRead);
    trial.expect(platform::shutdown_sending(pair.near.get()).error(), std::error_code(),
                 "shutdown");
    watch.expect_silence("after our own end");
    write_text(pair.far.get(), "still here");
    watch.await(pair.near, kReadable);
    trial.expect(read_text(pair.near.get()) == "still here", "the data is another one");
    watch.expect_silence("all is read", 1ms);
  }
}

void a_reset_is_readable_and_writable(Trial& trial) {
  for (const Interest interest : kWants) {
    trial.at("interest " + std::string(to_string(interest)));
    Watch watch(trial);
    Pair pair = tcp_pair();
    fill_for_good(pair.near.get());  // so that writable means the reset
    watch.add(pair.near, interest);
    reset_connection(pair.far);
    watch.await(pair.near, masked(kBothWays, interest));
    trial.expect(read_error(pair.near.get()), std::errc::connection_reset, "a read");
  }
}

void a_reset_behind_unread_data_is_readable_to_its_error(Trial& trial) {
  Watch watch(trial);
  Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kRead);
  write_text(pair.far.get(), "data");
  watch.await(pair.near, kReadable);
  reset_connection(pair.far);
  // Systems differ in whether the data outlives the reset, not in that reading comes to an end.
  const std::string text = read_to_the_end(watch, pair.near);
  trial.expect(text == "data" || text.empty(), "half of the data is lost");
}

void a_finished_connect_is_writable(Trial& trial) {
  Watch watch(trial);
  const Listener listener = listen_on_loopback();
  const Descriptor fd = start_connecting(listener.endpoint);
  watch.add(fd, Interest::kBoth);
  watch.await(fd, kWritable);
  trial.expect(platform::take_socket_error(fd.get()), std::error_code(), "SO_ERROR");
  watch.expect(fd, kWritable, "a connected socket");
}

void a_refused_connect_is_readable_and_writable_and_says_why(Trial& trial) {
  for (const Interest interest : kWants) {
    trial.at("interest " + std::string(to_string(interest)));
    Watch watch(trial);
    const platform::Result made = platform::open_stream_socket(platform::Family::kIpv4);
    trial.expect(made.error(), std::error_code(), "socket");
    const Descriptor fd(made.descriptor());
    const platform::Result connecting = platform::connect_socket(fd.get(), refusing_endpoint());
    if (connecting.is(std::errc::connection_refused)) continue;  // a system that knows at once
    watch.add(fd, interest);
    watch.await(fd, masked(kBothWays, interest));
    trial.expect(platform::take_socket_error(fd.get()), std::errc::connection_refused, "SO_ERROR");
  }
}

void a_pipe_whose_writer_is_gone_is_readable(Trial& trial) {
  for (const bool with_data : {false, true}) {
    trial.at(with_data ? "with data in front of the end" : "without data");
    Watch watch(trial);
    Pipe pipe = open_pipe();
    watch.add(pipe.read, Interest::kRead);
    if (with_data) write_text(pipe.write.get(), "data");
    pipe.write.reset();
    watch.expect(pipe.read, kReadable, "a pipe at its end");
    trial.expect(read_text(pipe.read.get()) == (with_data ? "data" : ""), "data is lost");
    watch.expect(pipe.read, kReadable, "a pipe at its end, which is a level,");
  }
}

// Asks the kernel's own kqueue: on NetBSD and OpenBSD a full pipe that is watched for writing
// reports nothing when its reader closes (docs/systems.md), which no user of it can mend.
bool kqueue_hides_the_end_of_a_full_pipe() {
  const platform::SystemCalls& kernel = kernel_calls();
  const Descriptor queue(kernel.kqueue());
  if (!queue) return false;
  Pipe pipe = open_pipe();
  fill(pipe.write.get());
  const platform::KernelEvent change =
      platform::make_change(pipe.write.get(), platform::kFilterWrite, platform::kEventAdd, 0);
  const timespec at_once{};
  if (kernel.kevent(queue.get(), &change, 1, nullptr, 0, &at_once) < 0) return false;
  pipe.read.reset();
  platform::KernelEvent event{};
  return kernel.kevent(queue.get(), nullptr, 0, &event, 1, &at_once) == 0;
}

void a_pipe_whose_reader_is_gone_is_writable(Trial& trial) {
  Watch watch(trial);
  Pipe pipe = open_pipe();
  fill(pipe.write.get());
  watch.add(pipe.write, Interest::kWrite);
  watch.expect(pipe.write, kNothing, "a full pipe");
  pipe.read.reset();
  if (watch.collect().empty() && kqueue_hides_the_end_of_a_full_pipe()) {
    throw NotSupported("the kqueue of this kernel tells nothing of a full pipe's reader");
  }
  watch.expect(pipe.write, kWritable, "a pipe that nobody reads");
}

void an_end_behind_data_is_told_with_the_edge_of_the_data(Trial& trial) {
  for (const bool tcp : {false, true}) {
    trial.at(kind_of(tcp));
    Watch watch(trial);
    Pair pair = pair_of(tcp);
    write_text(pair.far.get(), "the last words");
    pair.far.reset();
    wait_for_end(pair.near.get());
    watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
    const Event event = watch.await(pair.near);
    trial.expect(event.readable, "data in front of an end is no edge");
    trial.expect(event.hangup, "an edge that comes together with an end has no hangup");
    watch.expect_silence("after the edge", 1ms);
  }
}

void an_end_after_data_is_an_edge_of_its_own(Trial& trial) {
  for (const bool tcp : {false, true}) {
    trial.at(kind_of(tcp));
    Watch watch(trial);
    Pair pair = pair_of(tcp);
    watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
    write_text(pair.far.get(), "data");
    watch.await(pair.near, kReadable);
    trial.expect(read_text(pair.near.get()) == "data", "the data is another one");
    pair.far.reset();
    const Event event = watch.await(pair.near);
    trial.expect(event.readable && event.hangup, "the end isn't told as readable with a hangup");
  }
}

void an_end_is_one_edge_for_those_who_want_one_direction(Trial& trial) {
  for (const Interest interest : {Interest::kRead, Interest::kWrite}) {
    for (const bool tcp : {false, true}) {
      trial.at(std::string(kind_of(tcp)) + ", interest " + std::string(to_string(interest)));
      Watch watch(trial);
      Pair pair = pair_of(tcp);
      fill_for_good(pair.near.get());
      watch.add(pair.near, interest, Trigger::kEdge);
      if (tcp) {
        reset_connection(pair.far);
      } else {
        pair.far.reset();
      }
      watch.await(pair.near);
      watch.expect_no_spin("after the edge of the end");
    }
  }
}

void a_peer_that_ends_its_side_is_one_edge(Trial& trial) {
  Watch watch(trial);
  const Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  watch.collect();
  trial.expect(platform::shutdown_sending(pair.far.get()).error(), std::error_code(), "shutdown");
  const Event event = watch.await(pair.near);
  trial.expect(event.readable && event.hangup, "the end isn't told as readable with a hangup");
  watch.expect_no_spin("after the edge of the end");
}

void send_urgent(Trial& trial, int fd) {
  const platform::Result sent(kernel_calls().send(fd, "!", 1, MSG_OOB | platform::kSendFlags));
  if (sent.is(std::errc::operation_not_supported)) {
    throw NotSupported("this kernel has no urgent data");
  }
  trial.expect(sent.error(), std::error_code(), "send(MSG_OOB)");
}

void urgent_data_disturbs_no_stream(Trial& trial) {
  Watch watch(trial);
  const Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kRead);
  send_urgent(trial, pair.far.get());
  write_text(pair.far.get(), "data");
  std::string text;
  while (text != "data") {
    watch.await(pair.near, kReadable);
    text += read_text(pair.near.get());
  }
  watch.expect_no_spin("all but the urgent byte is read");
}

void data_behind_urgent_data_has_its_edge(Trial& trial) {
  Watch watch(trial);
  const Pair pair = tcp_pair();
  watch.add(pair.near, Interest::kBoth, Trigger::kEdge);
  watch.collect();
  write_text(pair.far.get(), "before");
  send_urgent(trial, pair.far.get());
  write_text(pair.far.get(), "behind");
  std::string text;
  while (text != "beforebehind") {
    watch.await(pair.near, kReadable);
    // A read ends at the urgent byte however much there is behind it.
    for (std::string piece; !(piece = read_text(pair.near.get())).empty();) text += piece;
  }
  watch.expect_no_spin("all but the urgent byte is read");
}

}  // namespace

std::vector<Promise> end_of_stream_promises() {
  return {
      POLLARD_PROMISE(kMeaning, data_in_front_of_an_end_is_read_first),
      POLLARD_PROMISE(kMeaning, the_end_of_a_stream_is_readable_for_those_who_want_to_read),
      POLLARD_PROMISE(kMeaning, a_peer_that_ends_its_side_still_listens),
      POLLARD_PROMISE(kMeaning, who_has_ended_its_own_side_still_hears),
      POLLARD_PROMISE(kMeaning, a_reset_is_readable_and_writable),
      POLLARD_PROMISE(kMeaning, a_reset_behind_unread_data_is_readable_to_its_error),
      POLLARD_PROMISE(kMeaning, a_finished_connect_is_writable),
      POLLARD_PROMISE(kMeaning, a_refused_connect_is_readable_and_writable_and_says_why),
      POLLARD_PROMISE(kMeaning, a_pipe_whose_writer_is_gone_is_readable),
      POLLARD_PROMISE(kMeaning, a_pipe_whose_reader_is_gone_is_writable),
      POLLARD_PROMISE(kMeaning, urgent_data_disturbs_no_stream),
      POLLARD_PROMISE(kEdges, an_end_behind_data_is_told_with_the_edge_of_the_data, Needs::kEdges),
      POLLARD_PROMISE(kEdges, an_end_after_data_is_an_edge_of_its_own, Needs::kEdges),
      POLLARD_PROMISE(kEdges, an_end_is_one_edge_for_those_who_want_one_direction, Needs::kEdges),
      POLLARD_PROMISE(kEdges, a_peer_that_ends_its_side_is_one_edge, Needs::kEdges),
      POLLARD_PROMISE(kEdges, data_behind_urgent_data_has_its_edge, Needs::kEdges),
  };
}

}  // namespace pollard::conformance
