// What can't be watched is refused with its reason, and disturbs nothing else.
#include <climits>
#include <string>
#include <vector>

#include "pollard/platform/io.h"
#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

// A poller with one descriptor that works, to see that a refusal leaves it alone.
struct Watched {
  explicit Watched(Trial& checked) : trial(checked), watch(checked) {
    watch.add(pair.near, Interest::kRead);
  }

  std::error_code add(int fd, Interest interest = Interest::kRead) {
    return watch->add(fd, interest, Watch::token(fd), Trigger::kLevel);
  }

  void expect_undisturbed() {
    trial.at("afterwards");
    trial.expect(watch->size() == 1U, "a refusal is counted as a registration");
    watch.expect(pair.near, kNothing, "another descriptor");
    write_text(pair.far.get(), "data");
    watch.expect(pair.near, kReadable, "another descriptor");
  }

  Trial& trial;
  Watch watch;
  Pair pair = socket_pair();
};

// A number at which nothing is open.
int closed_number(const Watched& watched) {
  return duplicate(watched.pair.far.get(), watched.pair.far.get() + 500).get();
}

void a_descriptor_is_added_once(Trial& trial) {
  Watched watched(trial);
  const int fd = watched.pair.near.get();
  for (const Interest interest : kInterests) {
    trial.expect(watched.add(fd, interest), std::errc::file_exists, "the second add");
  }
  watched.expect_undisturbed();
}

void strangers_are_neither_modified_nor_removed(Trial& trial) {
  Watched watched(trial);
  const auto missing = std::errc::no_such_file_or_directory;
  const Pair other = socket_pair();
  for (const int stranger : {other.near.get(), -1, INT_MIN, INT_MAX, 100'000}) {
    trial.at(std::to_string(stranger));
    trial.expect(watched.watch->modify(stranger, Interest::kBoth), missing, "modify");
    trial.expect(watched.watch->remove(stranger), missing, "remove");
  }
  trial.at("removed before");
  watched.watch.add(other.near, Interest::kRead);
  watched.watch.remove(other.near);
  trial.expect(watched.watch->remove(other.near.get()), missing, "remove");
  trial.expect(watched.watch->modify(other.near.get(), Interest::kRead), missing, "modify");
  watched.expect_undisturbed();
}

void what_is_no_descriptor_is_refused(Trial& trial) {
  Watched watched(trial);
  for (const int fd : {-1, INT_MIN, closed_number(watched), 100'000, INT_MAX}) {
    for (const Interest interest : kInterests) {
      trial.at(std::to_string(fd) + ", interest " + std::string(to_string(interest)));
      trial.expect(watched.add(fd, interest), std::errc::bad_file_descriptor, "add");
    }
  }
  watched.expect_undisturbed();
}

Descriptor regular_file() {
  const platform::Result opened = platform::open_for_reading("/bin/sh");
  if (!opened.ok()) throw NotSupported("this kernel has no regular file /bin/sh");
  return Descriptor(opened.descriptor());
}

void a_regular_file_is_refused_or_ready(Trial& trial) {
  Watched watched(trial);
  const Descriptor file = regular_file();
  const std::error_code refused = watched.add(file.get());
  if (refused) {
    trial.expect(refused, std::errc::operation_not_permitted, "add");
    trial.expect(watched.watch->remove(file.get()), std::errc::no_such_file_or_directory, "remove");
  } else {
    watched.watch.expect(file, kReadable, "a regular file");
    watched.watch.remove(file);
  }
  watched.expect_undisturbed();
}

// Without an interest no mechanism has to be asked, but add() promises an answer all the same.
void a_regular_file_is_refused_without_an_interest_as_with_one(Trial& trial) {
  Watched watched(trial);
  const Descriptor file = regular_file();
  const std::error_code refused = watched.add(file.get(), Interest::kRead);
  if (!refused) watched.watch.remove(file);
  trial.expect(watched.add(file.get(), Interest::kNone), refused, "add without an interest");
  if (!refused) {
    watched.watch.modify(file, Interest::kRead);
    const Event event = watched.watch.await(file);
    trial.expect(event.readable && !event.error, "a regular file is not readable");
    watched.watch.remove(file);
  }
  watched.expect_undisturbed();
}

void a_descriptor_that_was_refused_can_be_added_when_it_is_another(Trial& trial) {
  Watched watched(trial);
  const int number = closed_number(watched);
  trial.expect(watched.add(number), std::errc::bad_file_descriptor, "add");
  const Pair fresh = socket_pair_at(number);
  trial.expect(watched.add(number), std::error_code(), "add");
  write_text(fresh.far.get(), "data");
  watched.watch.expect(fresh.near, kReadable, "another descriptor of a refused number");
  watched.watch.remove(fresh.near);
  watched.expect_undisturbed();
}

void descriptors_with_high_numbers_are_watched_or_refused(Trial& trial) {
  if (!can_open(6100)) throw NotSupported("this process may not have 6100 descriptors");
  Watched watched(trial);
  for (const int number : {1023, 1024, 1500, 5001, 6000}) {
    Pair pair = socket_pair();
    const Descriptor high = duplicate(pair.near.get(), number);
    trial.at(std::to_string(high.get()));
    const std::error_code refused = watched.add(high.get(), Interest::kBoth);
    if (refused) {
      trial.expect(refused, std::errc::too_many_files_open, "add");
      continue;
    }
    watched.watch.expect(high, kWritable, "a fresh socket");
    write_text(pair.far.get(), "data");
    watched.watch.expect(high, kBothWays, "a socket with data");
    watched.watch.modify(high, Interest::kRead);
    watched.watch.expect(high, kReadable, "a socket with data");
    watched.watch.remove(high);
    watched.watch.expect(high, kNothing, "what was removed");
  }
  watched.expect_undisturbed();
}

}  // namespace

std::vector<Promise> refusal_promises() {
  return {
      POLLARD_PROMISE(kRefusals, a_descriptor_is_added_once),
      POLLARD_PROMISE(kRefusals, strangers_are_neither_modified_nor_removed),
      POLLARD_PROMISE(kRefusals, what_is_no_descriptor_is_refused),
      POLLARD_PROMISE(kRefusals, a_regular_file_is_refused_or_ready),
      POLLARD_PROMISE(kRefusals, a_regular_file_is_refused_without_an_interest_as_with_one),
      POLLARD_PROMISE(kRefusals, a_descriptor_that_was_refused_can_be_added_when_it_is_another),
      POLLARD_PROMISE(kRefusals, descriptors_with_high_numbers_are_watched_or_refused),
  };
}

}  // namespace pollard::conformance
