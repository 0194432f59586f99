// What can't be watched is refused with its reason, and disturbs nothing else.
#include <climits>
#include <string>
#include <utility>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

// A poller with one descriptor that works, to see that a refusal leaves it alone.
struct Watched {
  explicit Watched(const std::string& backend) : watch(backend) {
    watch.add(pair.near, Interest::kRead);
  }
  ~Watched() {
    BOOST_TEST(watch->size() == 1U);
    BOOST_TEST(watch.ready(pair.near) == kNothing);
    write_text(pair.far.get(), "data");
    BOOST_TEST(watch.ready(pair.near) == kReadable);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  std::error_code add(int fd, Interest interest = Interest::kRead) {
    return watch->add(fd, interest, Watch::token(fd));
  }

  Watch watch;
  Pair pair = socket_pair();
};

POLLARD_EACH_BACKEND(a_descriptor_is_added_once) {
  Watched watched(backend);
  const int fd = watched.pair.near.get();
  BOOST_TEST((watched.add(fd) == std::errc::file_exists));
  BOOST_TEST((watched.add(fd, Interest::kNone) == std::errc::file_exists));
  BOOST_TEST((watched.add(fd, Interest::kBoth) == std::errc::file_exists));
}

POLLARD_EACH_BACKEND(strangers_are_neither_modified_nor_removed) {
  Watched watched(backend);
  const Pair other = socket_pair();
  for (const int stranger : {other.near.get(), -1, INT_MIN, INT_MAX, 100'000}) {
    BOOST_TEST_CONTEXT(stranger) {
      const auto missing = std::errc::no_such_file_or_directory;
      BOOST_TEST((watched.watch->modify(stranger, Interest::kBoth) == missing));
      BOOST_TEST((watched.watch->remove(stranger) == missing));
    }
  }
  BOOST_TEST(!watched.add(other.near.get()));
  watched.watch.remove(other.near);
  BOOST_TEST((watched.watch->remove(other.near.get()) == std::errc::no_such_file_or_directory));
}

POLLARD_EACH_BACKEND(what_is_no_descriptor_is_refused) {
  Watched watched(backend);
  const int closed = duplicate(watched.pair.far.get(), 500).get();
  for (const int fd : {-1, INT_MIN, closed, 100'000, INT_MAX}) {
    for (const Interest interest : kInterests) {
      BOOST_TEST_CONTEXT(fd << ' ' << to_string(interest)) {
        BOOST_TEST((watched.add(fd, interest) == std::errc::bad_file_descriptor));
      }
    }
  }
}

POLLARD_EACH_BACKEND(a_regular_file_is_refused_or_ready) {
  Watched watched(backend);
  const Descriptor file = temporary_file();
  const std::error_code refused = watched.add(file.get());
  if (refused) {
    BOOST_TEST((refused == std::errc::operation_not_permitted));
    BOOST_TEST((watched.watch->remove(file.get()) == std::errc::no_such_file_or_directory));
  } else {
    BOOST_TEST(watched.watch.ready(file) == kReadable);
    watched.watch.remove(file);
  }
}

// add() could not know: the interest came later. Its owner learns it from an event, and nothing
// spins.
POLLARD_EACH_BACKEND(a_regular_file_that_is_refused_later_is_an_event_with_an_error) {
  Watched watched(backend);
  const Descriptor file = temporary_file();
  BOOST_TEST_REQUIRE(!watched.add(file.get(), Interest::kNone));
  watched.watch.modify(file, Interest::kRead);
  const Event event = watched.watch.await(file);
  BOOST_TEST(event.readable);
  if (event.error) expect_silence(watched.watch);
  watched.watch.remove(file);
}

POLLARD_EACH_BACKEND(a_descriptor_that_was_refused_can_be_added_when_it_is_another) {
  Watched watched(backend);
  const Descriptor spare = duplicate(watched.pair.far.get(), 500);
  const int number = duplicate(spare.get(), 500).get();
  BOOST_TEST((watched.add(number) == std::errc::bad_file_descriptor));
  const Pair fresh = socket_pair_at(number);
  BOOST_TEST(!watched.add(number));
  write_text(fresh.far.get(), "data");
  BOOST_TEST(watched.watch.ready(fresh.near) == kReadable);
  watched.watch.remove(fresh.near);
}

POLLARD_EACH_BACKEND(descriptors_with_high_numbers_are_watched) {
  BOOST_TEST_REQUIRE(can_open(6100));
  Watched watched(backend);
  for (const int number : {1023, 1024, 1500, 5001, 6000}) {
    BOOST_TEST_CONTEXT(number) {
      Pair pair = socket_pair();
      const Descriptor high = duplicate(pair.near.get(), number);
      BOOST_TEST_REQUIRE(!watched.add(high.get(), Interest::kBoth));
      BOOST_TEST(watched.watch.ready(high) == kWritable);
      write_text(pair.far.get(), "data");
      BOOST_TEST(watched.watch.ready(high) == kBothWays);
      watched.watch.modify(high, Interest::kRead);
      BOOST_TEST(watched.watch.ready(high) == kReadable);
      watched.watch.remove(high);
      BOOST_TEST(watched.watch.ready(high) == kNothing);
    }
  }
}

BOOST_AUTO_TEST_SUITE(select_that_is_short)

BOOST_AUTO_TEST_CASE(a_number_that_the_kernel_refuses_is_refused_with_the_reason) {
  Faults faults;
  Watched watched("select");
  faults.fail(Call::kPselect, std::errc::invalid_argument, {.times = kForever});
  const Descriptor high = duplicate(watched.pair.far.get(), 1500);
  BOOST_TEST((watched.add(high.get()) == std::errc::too_many_files_open));
  faults.restore(Call::kPselect);
  BOOST_TEST(!watched.add(high.get()));
  watched.watch.remove(high);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
