// A forked child has its parent's descriptors, and must not undo what its parent has registered; a
// program that is executed has none of the poller's.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"
#include "pollard/testkit/forked.h"

namespace pollard::conformance {
namespace {

void a_childs_operations_fail_and_its_parents_registrations_live(Trial& trial) {
  auto poller = trial.make();
  const Pair pair = socket_pair();
  const Pair other = socket_pair();
  const int fd = pair.near.get();
  trial.expect(poller->add(fd, Interest::kRead, Token{1}, Trigger::kLevel), std::error_code(),
               "add");
  trial.expect(poller->modify(fd, Interest::kBoth), std::error_code(), "modify");
  const bool refused = true_in_child([&] {
    const bool all_refused = poller->add(other.near.get(), Interest::kRead, Token{2},
                                         Trigger::kLevel) == Error::kForked &&
                             poller->modify(fd, Interest::kNone) == Error::kForked &&
                             poller->remove(fd) == Error::kForked &&
                             poller->wait(Duration::zero()) == Error::kForked;
    poller.reset();
    return all_refused;
  });
  trial.expect(refused, "an operation in a forked child isn't refused with Error::kForked");
  write_text(pair.far.get(), "data");
  trial.expect(poller->wait(kPatience), std::error_code(), "wait");
  Event event;
  trial.expect(poller->next(event) && event.token == Token{1} && event.readable && event.writable,
               "after a fork the parent's registration has another event, or none");
  trial.expect(poller->remove(fd), std::error_code(), "remove");
}

void what_was_found_before_a_fork_is_the_parents(Trial& trial) {
  Watch watch(trial);
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  watch.add(pair.near, Interest::kRead);
  watch.wait();
  Event event;
  trial.expect(true_in_child([&] { return !watch->next(event) && !watch->has_ready(); }),
               "a forked child is given its parent's events");
  trial.expect(watch->next(event), "the parent's event is gone");
}

void a_child_can_make_a_poller_of_its_own(Trial& trial) {
  const auto parents = trial.make();
  const bool works = true_in_child([&] {
    const Pair pair = socket_pair();
    const auto own = trial.make();
    write_text(pair.far.get(), "data");
    Event event;
    return !own->add(pair.near.get(), Interest::kRead, Token{3}, Trigger::kLevel) &&
           !own->wait(kPatience) && own->next(event) && event.token == Token{3} && event.readable;
  });
  trial.expect(works, "a poller that a forked child made doesn't work there");
  trial.expect(parents->wait(Duration::zero()), std::error_code(), "the parent's wait");
}

void a_descriptor_that_only_a_child_holds_open_is_silent_once_removed(Trial& trial) {
  Watch watch(trial);
  Pair pair = socket_pair();
  Pipe hold = open_pipe();
  watch.add(pair.near, Interest::kWrite);
  const pid_t child = ::fork();
  trial.expect(child >= 0, "fork fails");
  if (child == 0) {
    ::alarm(20);
    hold.write.reset();
    wait_readable(hold.read.get());  // the end of the stream: the parent has let go
    ::_exit(0);
  }
  const int number = pair.near.get();
  pair.near.reset();
  const std::error_code removed = watch->remove(number);
  std::string broken;
  try {
    watch.expect_no_spin("a child holds open what was removed");
  } catch (const Broken& failure) {
    broken = failure.what();
  }
  hold.write.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  trial.expect(removed, std::error_code(), "remove of a closed descriptor");
  trial.expect(broken.empty(), broken);
}

void a_poller_has_no_descriptor_that_outlives_an_exec(Trial& trial) {
  constexpr int kNumbers = 256;
  const auto flags_of = [](int fd) { return kernel_calls().fcntl(fd, F_GETFD, 0); };
  std::vector<bool> open_before;
  for (int fd = 0; fd < kNumbers; ++fd) open_before.push_back(flags_of(fd) >= 0);
  Watch watch(trial);
  const Pair pair = socket_pair();
  watch.add(pair.near, Interest::kRead);
  watch.collect();
  for (int fd = 0; fd < kNumbers; ++fd) {
    const int flags = flags_of(fd);
    const bool is_the_pollers = !open_before[static_cast<std::size_t>(fd)] && flags >= 0;
    trial.expect(!is_the_pollers || (flags & FD_CLOEXEC) != 0,
                 "descriptor " + std::to_string(fd) + " of the poller's is not close-on-exec");
  }
}

}  // namespace

std::vector<Promise> process_promises() {
  return {
      POLLARD_PROMISE(kProcesses, a_childs_operations_fail_and_its_parents_registrations_live,
                      Needs::kRealKernel),
      POLLARD_PROMISE(kProcesses, what_was_found_before_a_fork_is_the_parents, Needs::kRealKernel),
      POLLARD_PROMISE(kProcesses, a_child_can_make_a_poller_of_its_own, Needs::kRealKernel),
      POLLARD_PROMISE(kProcesses, a_descriptor_that_only_a_child_holds_open_is_silent_once_removed,
                      Needs::kRealKernel),
      POLLARD_PROMISE(kProcesses, a_poller_has_no_descriptor_that_outlives_an_exec,
                      Needs::kRealKernel),
  };
}

}  // namespace pollard::conformance
