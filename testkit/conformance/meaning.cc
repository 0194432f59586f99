// What readable and writable mean, beside the ends of streams: connections that wait, pipes, the
// descriptor by which a thread wakes another, devices.
#include <fcntl.h>

#include <string>
#include <thread>
#include <vector>

#include "pollard/platform/wake.h"
#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

void a_pending_connection_is_readable_until_it_is_accepted(Trial& trial) {
  Watch watch(trial);
  const Listener listener = listen_on_loopback();
  watch.add(listener.fd, Interest::kRead);
  watch.expect_silence("nobody wants to connect");
  const Descriptor first = start_connecting(listener.endpoint);
  const Descriptor second = start_connecting(listener.endpoint);
  wait_writable(second.get());
  watch.await(listener.fd, kReadable);
  const Descriptor accepted = accept_from(listener);
  watch.await(listener.fd, kReadable);
  const Descriptor accepted_too = accept_from(listener);
  trial.at("after the last accept");
  watch.expect_silence("nobody is left");
}

void a_pipe_is_watched_at_both_ends(Trial& trial) {
  Watch watch(trial);
  Pipe pipe = open_pipe();
  watch.add(pipe.read, Interest::kRead);
  watch.add(pipe.write, Interest::kWrite);
  watch.expect(pipe.write, kWritable, "an empty pipe");
  watch.expect(pipe.read, kNothing, "an empty pipe");
  write_text(pipe.write.get(), "data");
  watch.expect(pipe.read, kReadable, "a pipe with data");
  fill(pipe.write.get());
  watch.expect(pipe.write, kNothing, "a full pipe");
  while (!read_text(pipe.read.get()).empty()) {
  }
  watch.expect(pipe.read, kNothing, "a pipe that was emptied");
  watch.expect(pipe.write, kWritable, "a pipe that was emptied");
  trial.at("at the end");
  watch.remove(pipe.write);
}

void a_wake_descriptor_is_readable_until_it_is_drained(Trial& trial) {
  Watch watch(trial);
  platform::WakeDescriptor wake;
  watch.add(wake.fd(), Interest::kRead);
  for (int i = 0; i < 3; ++i) {
    wake.wake();
    wake.wake();
    for (int j = 0; j < 2; ++j) {
      trial.expect(watch.collect().size() == 1U, "a wake is not reported");
    }
    wake.drain();
    watch.expect_silence("drained", 1ms);
  }
}

void a_wake_from_another_thread_ends_the_wait(Trial& trial) {
  Watch watch(trial);
  platform::WakeDescriptor wake;
  watch.add(wake.fd(), Interest::kRead);
  for (int i = 0; i < 3; ++i) {
    std::thread waker([&wake] { wake.wake(); });
    const MonotonicTime deadline = platform::monotonic_now() + kPatience;
    std::error_code failed;
    bool woken = false;
    while (!woken && !failed && platform::monotonic_now() < deadline) {
      failed = watch->wait(kPatience);
      for (Event event; watch->next(event);) woken = true;
    }
    waker.join();
    trial.expect(failed, std::error_code(), "wait");
    trial.expect(woken, "the wake never came");
    wake.drain();
    trial.expect(watch.collect().empty(), "a wake that was drained is reported");
  }
}

void a_device_is_refused_with_a_reason_or_watched(Trial& trial) {
  Watch watch(trial);
  for (const char* path : {"/dev/null", "/dev/ptmx"}) {
    trial.at(path);
    const platform::Result opened(kernel_calls().open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!opened.ok()) continue;  // not every system has each
    const Descriptor device(opened.descriptor());
    const std::error_code refused =
        watch->add(device.get(), Interest::kWrite, Watch::token(device.get()), Trigger::kLevel);
    if (refused) {
      trial.expect(refused, std::errc::operation_not_permitted, "add");
      watch.expect_silence("refused", 1ms);
    } else {
      watch.await(device, kWritable);
      watch.remove(device);
      watch.expect_silence("removed", 1ms);
    }
  }
}

void each_pending_connection_is_an_edge(Trial& trial) {
  Watch watch(trial);
  const Listener listener = listen_on_loopback();
  watch.add(listener.fd, Interest::kRead, Trigger::kEdge);
  const Descriptor first = start_connecting(listener.endpoint);
  trial.at("the first");
  watch.await(listener.fd, kReadable);
  watch.expect_silence("after its edge");
  const Descriptor second = start_connecting(listener.endpoint);
  trial.at("the second");
  watch.await(listener.fd, kReadable);
}

void each_wake_is_an_edge(Trial& trial) {
  Watch watch(trial);
  platform::WakeDescriptor wake;
  watch.add(wake.fd(), Interest::kRead, Trigger::kEdge);
  for (int i = 0; i < 3; ++i) {
    wake.wake();
    trial.expect(watch.collect(kPatience).size() == 1U, "a wake is no edge");
    trial.expect(watch.collect().empty(), "a wake is more than one edge");
    if (!wake.rings_undrained()) wake.drain();
  }
}

}  // namespace

std::vector<Promise> meaning_promises() {
  return {
      POLLARD_PROMISE(kMeaning, a_pending_connection_is_readable_until_it_is_accepted),
      POLLARD_PROMISE(kMeaning, a_pipe_is_watched_at_both_ends),
      POLLARD_PROMISE(kMeaning, a_wake_descriptor_is_readable_until_it_is_drained),
      POLLARD_PROMISE(kMeaning, a_wake_from_another_thread_ends_the_wait),
      POLLARD_PROMISE(kMeaning, a_device_is_refused_with_a_reason_or_watched, Needs::kRealKernel),
      POLLARD_PROMISE(kEdges, each_pending_connection_is_an_edge, Needs::kEdges),
      POLLARD_PROMISE(kEdges, each_wake_is_an_edge, Needs::kEdges),
  };
}

}  // namespace pollard::conformance
