// The simulated kqueue answers as FreeBSD's manual and source say, and where they are silent as
// NetBSD was seen to.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "pollard/testkit/sim/kernel.h"
#include "pollard/testkit/sim/kqueue_names.h"
#include "pollard/testkit/sockets.h"

namespace pollard::sim {
namespace {

using namespace std::chrono_literals;
using namespace testing;  // NOLINT(google-build-using-namespace): pairs, pipes, listeners
using platform::has_flag;
using platform::is_filter;
using platform::KernelEvent;
using platform::kEventAdd;
using platform::kEventClear;
using platform::kEventDelete;
using platform::kEventEnd;
using platform::kEventError;
using platform::kEventReceipt;
using platform::kFilterRead;
using platform::kFilterWrite;
using platform::make_change;
using platform::udata_of;

constexpr timespec kAtOnce{};

// A queue of a kernel that is there for one test. Descriptors are watched under the udata 7.
struct Queue {
  explicit Queue(const Profile& profile = linux_system())
      : kernel({.profile = profile}), fd(kernel.system_calls().kqueue()) {}

  int call(const std::vector<KernelEvent>& changes, std::span<KernelEvent> events,
           const timespec* timeout = &kAtOnce) const {
    return kernel.system_calls().kevent(fd.get(), changes.data(), static_cast<int>(changes.size()),
                                        events.data(), static_cast<int>(events.size()), timeout);
  }

  // A change without room for an answer: 0 or the negated errno.
  int change(int which, std::int64_t filter, std::uint32_t flags, std::uint32_t udata = 7) const {
    return call({make_change(which, filter, flags, udata)}, {});
  }
  int change(const Descriptor& which, std::int64_t filter, std::uint32_t flags,
             std::uint32_t udata = 7) const {
    return change(which.get(), filter, flags, udata);
  }
  void add(const Descriptor& which, std::int64_t filter, std::uint32_t flags = 0) const {
    BOOST_TEST_REQUIRE(change(which, filter, kEventAdd | flags) == 0);
  }

  // User events carry fflags.
  int user(std::uint32_t flags, std::uint32_t fflags) const {
    KernelEvent event = make_change(1, kFilterUser, flags, 7);
    event.fflags = fflags;
    return call({event}, {});
  }

  std::vector<KernelEvent> collect(std::size_t most = 8) const {
    std::vector<KernelEvent> events(most);
    const int count = call({}, events);
    BOOST_TEST_REQUIRE(count >= 0);
    events.resize(static_cast<std::size_t>(count));
    return events;
  }
  // The only event there is.
  KernelEvent only() const {
    const auto events = collect();
    BOOST_TEST_REQUIRE(events.size() == 1U);
    return events.front();
  }
  bool silent() const { return collect().empty(); }

  Kernel kernel;
  Descriptor fd;
};

bool ended(const KernelEvent& event) { return has_flag(event, kEventEnd); }

BOOST_AUTO_TEST_SUITE(simulated_kqueue)

BOOST_AUTO_TEST_CASE(reading_counts_bytes_and_goes_on_while_there_are_any) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterRead);
  BOOST_TEST(queue.silent());
  write_text(pair.far.get(), "three");
  BOOST_TEST(queue.only().data == 5);
  BOOST_TEST(queue.only().data == 5);
  read_text(pair.near.get(), 2);
  BOOST_TEST(queue.only().data == 3);
  read_text(pair.near.get());
  BOOST_TEST(queue.silent());
}

BOOST_AUTO_TEST_CASE(writing_counts_the_space_that_is_left) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterWrite);
  const auto space = queue.only().data;
  write_text(pair.near.get(), std::string(1000, 'x'));
  BOOST_TEST(queue.only().data == space - 1000);
  fill(pair.near.get());
  BOOST_TEST(queue.silent());
}

BOOST_AUTO_TEST_CASE(events_do_not_repeat_what_the_change_said_to_do) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterWrite, kEventClear | kEventEnable);
  const KernelEvent event = queue.only();
  BOOST_TEST(event.flags == kEventClear);
  BOOST_TEST(udata_of(event) == 7U);
}

BOOST_AUTO_TEST_CASE(a_peer_that_closes_ends_both_filters_with_its_data_pending) {
  const Queue queue;
  Pair pair = socket_pair();
  queue.add(pair.near, kFilterRead);
  queue.add(pair.near, kFilterWrite, kEventClear);
  queue.collect();
  write_text(pair.far.get(), "end");
  pair.far.reset();
  const auto events = queue.collect();
  BOOST_TEST_REQUIRE(events.size() == 2U);
  for (const KernelEvent& event : events) {
    BOOST_TEST(ended(event));
    if (is_filter(event, kFilterRead)) BOOST_TEST(event.data == 3);
  }
}

BOOST_AUTO_TEST_CASE(a_peer_that_ends_its_side_ends_reading_alone) {
  for (const bool tcp : {false, true}) {
    const Queue queue;
    const Pair pair = tcp ? tcp_pair() : socket_pair();
    queue.add(pair.near, kFilterRead);
    queue.add(pair.near, kFilterWrite);
    write_text(pair.far.get(), "data");
    queue.kernel.system_calls().shutdown(pair.far.get(), SHUT_WR);
    const auto events = queue.collect();
    BOOST_TEST_REQUIRE(events.size() == 2U);
    for (const KernelEvent& event : events) {
      BOOST_TEST(ended(event) == is_filter(event, kFilterRead));
      if (ended(event)) BOOST_TEST(event.data == 4, "the end comes at once, and with the data");
    }
  }
}

BOOST_AUTO_TEST_CASE(with_clear_a_partial_read_is_no_event_and_new_data_is) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterRead, kEventClear);
  write_text(pair.far.get(), "data");
  BOOST_TEST(queue.only().data == 4);
  read_text(pair.near.get(), 1);
  BOOST_TEST(queue.silent());
  write_text(pair.far.get(), "!");
  BOOST_TEST(queue.only().data == 4);
}

BOOST_AUTO_TEST_CASE(with_clear_adding_again_fires_again) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterRead, kEventClear);
  write_text(pair.far.get(), "data");
  queue.only();
  queue.add(pair.near, kFilterRead, kEventClear);
  BOOST_TEST(queue.only().data == 4);
}

BOOST_AUTO_TEST_CASE(enabling_enabled_clear_filter_fires_where_every_change_evaluates) {
  for (const bool evaluates : {false, true}) {
    Profile profile = linux_system();
    profile.every_change_evaluates = evaluates;
    const Queue queue(profile);
    const Pair pair = socket_pair();
    queue.add(pair.near, kFilterRead, kEventClear);
    write_text(pair.far.get(), "data");
    queue.only();
    BOOST_TEST(queue.change(pair.near, kFilterRead, kEventEnable) == 0);
    BOOST_TEST(queue.silent() == !evaluates);
  }
}

// Each system has its own answer, and where it is an error the filter isn't kept.
BOOST_AUTO_TEST_CASE(readerless_pipe_is_refused_or_ended_by_profile) {
  const auto answer = [](const Profile& profile) {
    const Queue queue(profile);
    Pipe pipe = open_pipe();
    pipe.read.reset();
    const int refused = queue.change(pipe.write, kFilterWrite, kEventAdd);
    BOOST_TEST(queue.silent() == (refused != 0));
    if (refused == 0) BOOST_TEST(ended(queue.only()));
    return refused;
  };
  BOOST_TEST(answer(linux_system()) == -EPIPE);
  BOOST_TEST(answer(freebsd()) == -EPIPE);
  BOOST_TEST(answer(openbsd()) == -EPIPE);
  BOOST_TEST(answer(netbsd()) == -EBADF);
  BOOST_TEST(answer(darwin()) == 0);
}

BOOST_AUTO_TEST_CASE(full_pipe_hides_the_end_of_its_reader_by_profile) {
  for (const Profile& profile : {freebsd(), netbsd(), openbsd(), darwin()}) {
    const Queue queue(profile);
    Pipe pipe = open_pipe();
    queue.add(pipe.write, kFilterWrite);
    fill(pipe.write.get());
    BOOST_TEST(queue.silent());
    pipe.read.reset();
    BOOST_TEST(queue.silent() == profile.full_pipe_hides_reader_end, profile.name);
  }
}

BOOST_AUTO_TEST_CASE(wrong_end_of_pipe_is_refused_or_silent) {
  for (const bool refuses : {false, true}) {
    Profile profile = netbsd();
    profile.refuses_wrong_pipe_end = refuses;
    const Queue queue(profile);
    const Pipe pipe = open_pipe();
    const int expected = refuses ? -EINVAL : 0;
    BOOST_TEST(queue.change(pipe.read, kFilterWrite, kEventAdd) == expected);
    BOOST_TEST(queue.change(pipe.write, kFilterRead, kEventAdd) == expected);
    BOOST_TEST(queue.silent());
  }
}

BOOST_AUTO_TEST_CASE(with_clear_writing_fires_for_space_and_errors_alone) {
  const Queue queue;
  Pair pair = tcp_pair();
  queue.add(pair.near, kFilterWrite, kEventClear);
  BOOST_TEST(!ended(queue.only()));
  write_text(pair.far.get(), "something to read");
  queue.kernel.system_calls().shutdown(pair.far.get(), SHUT_WR);
  BOOST_TEST(queue.silent());
  fill(pair.near.get());
  queue.collect();
  read_text(pair.far.get());
  BOOST_TEST(is_filter(queue.only(), kFilterWrite));
  reset_connection(pair.far);
  BOOST_TEST(ended(queue.only()));
}

BOOST_AUTO_TEST_CASE(dispatch_disables_and_enabling_fires_while_there_is_a_reason) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterRead, kEventDispatch);
  write_text(pair.far.get(), "data");
  queue.only();
  write_text(pair.far.get(), "more");
  BOOST_TEST(queue.silent());
  queue.add(pair.near, kFilterRead);  // stays disabled
  BOOST_TEST(queue.silent());
  BOOST_TEST(queue.change(pair.near, kFilterRead, kEventEnable) == 0);
  BOOST_TEST(queue.only().data == 8);
}

BOOST_AUTO_TEST_CASE(clear_and_dispatch_are_both_honoured) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterRead, kEventDispatch | kEventClear);
  write_text(pair.far.get(), "data");
  queue.only();
  write_text(pair.far.get(), "more");
  BOOST_TEST(queue.silent());
}

BOOST_AUTO_TEST_CASE(a_disabled_filter_is_silent_and_stays_so_when_added_again) {
  const Queue queue;
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  queue.add(pair.near, kFilterRead);
  BOOST_TEST(queue.change(pair.near, kFilterRead, kEventDisable) == 0);
  BOOST_TEST(queue.silent());
  queue.add(pair.near, kFilterRead);
  BOOST_TEST(queue.silent());
  BOOST_TEST(queue.change(pair.near, kFilterRead, kEventEnable) == 0);
  BOOST_TEST(queue.only().data == 4);
}

BOOST_AUTO_TEST_CASE(adding_twice_is_one_filter_whose_way_stays) {
  const Queue queue;
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  queue.add(pair.near, kFilterRead);
  BOOST_TEST(queue.change(pair.near, kFilterRead, kEventAdd | kEventClear, 8) == 0);
  BOOST_TEST(udata_of(queue.only()) == 8U);
  BOOST_TEST(!queue.silent(), "EV_CLEAR can't be added");
}

BOOST_AUTO_TEST_CASE(any_change_gives_its_udata) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterWrite);
  BOOST_TEST(queue.change(pair.near, kFilterWrite, kEventEnable, 9) == 0);
  BOOST_TEST(udata_of(queue.only()) == 9U);
}

BOOST_AUTO_TEST_CASE(a_one_shot_is_gone_after_its_event) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterWrite, kEventOneShot);
  queue.only();
  BOOST_TEST(queue.silent());
  BOOST_TEST(queue.change(pair.near, kFilterWrite, kEventDelete) == -ENOENT);
}

BOOST_AUTO_TEST_CASE(strangers_and_nonsense_are_refused_with_the_reason) {
  const Queue queue;
  Pair pair = socket_pair();
  for (const std::uint32_t flags : {kEventDelete, kEventEnable, kEventDisable}) {
    BOOST_TEST(queue.change(pair.near, kFilterRead, flags) == -ENOENT);
    std::array<KernelEvent, 1> answer{};
    BOOST_TEST(queue.call({make_change(pair.near.get(), kFilterRead, flags, 7)}, answer) == 1);
    BOOST_TEST(has_flag(answer[0], kEventError));
    BOOST_TEST(answer[0].data == ENOENT);
  }
  BOOST_TEST(queue.change(123456, kFilterRead, kEventAdd) == -EBADF);
  BOOST_TEST(queue.change(pair.near, -77, kEventAdd) == -EINVAL);
  queue.add(pair.near, kFilterRead);
  const int number = pair.near.get();
  pair.near.reset();
  BOOST_TEST(queue.change(number, kFilterRead, kEventDelete) == -EBADF);
}

BOOST_AUTO_TEST_CASE(with_errors_there_are_no_events) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterWrite);
  std::array<KernelEvent, 4> events{};
  const KernelEvent wrong = make_change(pair.far.get(), kFilterRead, kEventDelete, 7);
  BOOST_TEST(queue.call({wrong}, events, nullptr) == 1);
  BOOST_TEST(has_flag(events[0], kEventError));
}

BOOST_AUTO_TEST_CASE(changes_behind_a_bad_one_are_made_where_it_has_room) {
  const Queue queue;
  const Pair pair = socket_pair();
  const KernelEvent bad = make_change(pair.far.get(), kFilterRead, kEventDelete, 7);
  const KernelEvent good = make_change(pair.near.get(), kFilterWrite, kEventAdd, 7);
  BOOST_TEST(queue.call({bad, good}, {}) == -ENOENT);
  BOOST_TEST(queue.silent());
  std::array<KernelEvent, 2> answers{};
  BOOST_TEST(queue.call({bad, good}, answers) == 1);
  BOOST_TEST(!queue.silent());
}

BOOST_AUTO_TEST_CASE(receipts_answer_each_change_and_nothing_else) {
  const Queue queue;
  const Pair pair = socket_pair();
  write_text(pair.far.get(), "data");
  const std::uint32_t flags = kEventAdd | kEventReceipt;
  const KernelEvent reads = make_change(pair.near.get(), kFilterRead, flags, 7);
  const KernelEvent writes = make_change(pair.near.get(), kFilterWrite, flags, 7);
  std::array<KernelEvent, 4> answers{};
  BOOST_TEST(queue.call({reads, writes}, answers, nullptr) == 2);
  for (const KernelEvent& answer : std::span(answers).first(2)) {
    BOOST_TEST(has_flag(answer, kEventError));
    BOOST_TEST(answer.data == 0);
  }
  BOOST_TEST(queue.collect().size() == 2U);
}

BOOST_AUTO_TEST_CASE(receipts_without_room_end_the_call) {
  const Queue queue;
  const Pair pair = socket_pair();
  const std::uint32_t flags = kEventAdd | kEventReceipt;
  const KernelEvent reads = make_change(pair.near.get(), kFilterRead, flags, 7);
  const KernelEvent writes = make_change(pair.near.get(), kFilterWrite, flags, 7);
  BOOST_TEST(queue.call({reads, writes}, {}) == 0);
  BOOST_TEST(queue.silent(), "the second was not made");
  BOOST_TEST(queue.change(pair.near, kFilterRead, kEventDelete) == 0, "the first was");
}

BOOST_AUTO_TEST_CASE(timeouts_are_exact_and_negative_ones_refused) {
  const Queue queue;
  std::array<KernelEvent, 1> event{};
  const MonotonicTime before = queue.kernel.now();
  const timespec wait{.tv_sec = 3, .tv_nsec = 5};
  BOOST_TEST(queue.call({}, event, &wait) == 0);
  BOOST_TEST((queue.kernel.now() - before >= 3s + 5ns));
  BOOST_TEST((queue.kernel.now() - before < 3s + 10us));
  const timespec negative{.tv_sec = 0, .tv_nsec = -1};
  BOOST_TEST(queue.call({}, event, &negative) == -EINVAL);
  BOOST_TEST(queue.call({}, {}, &wait) == 0, "without room it doesn't wait");
  BOOST_TEST((queue.kernel.now() - before < 4s));
}

BOOST_AUTO_TEST_CASE(with_room_for_one_the_ready_take_turns) {
  const Queue queue;
  const std::array<Pair, 3> pairs = {socket_pair(), socket_pair(), socket_pair()};
  for (const Pair& pair : pairs) queue.add(pair.near, kFilterWrite);
  std::vector<int> order;
  for (int i = 0; i < 6; ++i) {
    order.push_back(platform::descriptor_of(queue.collect(1).at(0)));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(order[i] == pairs[i].near.get());
    BOOST_TEST(order[i + 3] == order[i]);
  }
}

BOOST_AUTO_TEST_CASE(closing_a_descriptor_removes_its_filters_whatever_duplicates_there_are) {
  const Queue queue;
  Pair pair = socket_pair();
  const Descriptor ghost = duplicate(pair.near.get());
  queue.add(pair.near, kFilterWrite);
  const int number = pair.near.get();
  pair.near.reset();
  BOOST_TEST(queue.silent());
  const Pair fresh = socket_pair_at(number);
  BOOST_TEST(queue.silent());
  queue.add(fresh.near, kFilterWrite);
  BOOST_TEST(platform::descriptor_of(queue.only()) == number);
}

BOOST_AUTO_TEST_CASE(an_unconnected_socket_is_no_event) {
  const Queue queue;
  const Descriptor fresh(queue.kernel.system_calls().socket(AF_INET, SOCK_STREAM, 0));
  queue.add(fresh, kFilterRead);
  queue.add(fresh, kFilterWrite);
  BOOST_TEST(queue.silent());
}

BOOST_AUTO_TEST_CASE(a_refused_connect_ends_both_filters_with_its_error) {
  const Queue queue;
  const Descriptor refused = start_connecting(refusing_endpoint());
  queue.add(refused, kFilterRead);
  queue.add(refused, kFilterWrite);
  const auto events = queue.collect();
  BOOST_TEST_REQUIRE(events.size() == 2U);
  for (const KernelEvent& event : events) {
    BOOST_TEST(ended(event));
    BOOST_TEST(event.fflags == static_cast<unsigned>(ECONNREFUSED));
  }
  BOOST_TEST((read_error(refused.get()) == std::errc::connection_refused));
}

BOOST_AUTO_TEST_CASE(a_reset_ends_both_filters_with_its_error) {
  const Queue queue;
  Pair pair = tcp_pair();
  queue.add(pair.near, kFilterRead);
  queue.add(pair.near, kFilterWrite);
  reset_connection(pair.far);
  const auto events = queue.collect();
  BOOST_TEST_REQUIRE(events.size() == 2U);
  for (const KernelEvent& event : events) {
    BOOST_TEST(ended(event));
    BOOST_TEST(event.fflags == static_cast<unsigned>(ECONNRESET));
  }
  BOOST_TEST((read_error(pair.near.get()) == std::errc::connection_reset));
}

BOOST_AUTO_TEST_CASE(a_listener_counts_who_waits) {
  const Queue queue;
  const Listener listener = listen_on_loopback();
  queue.add(listener.fd, kFilterRead);
  BOOST_TEST(queue.silent());
  const Descriptor first = start_connecting(listener.endpoint);
  const Descriptor second = start_connecting(listener.endpoint);
  BOOST_TEST(queue.only().data == 2);
}

BOOST_AUTO_TEST_CASE(a_pipe_ends_without_an_error) {
  const Queue queue;
  Pipe pipe = open_pipe();
  queue.add(pipe.write, kFilterWrite, kEventClear);
  BOOST_TEST(!ended(queue.only()));
  pipe.read.reset();
  const KernelEvent event = queue.only();
  BOOST_TEST(ended(event));
  BOOST_TEST(event.fflags == 0U);
  Pipe other = open_pipe();
  queue.add(other.read, kFilterRead);
  write_text(other.write.get(), "data");
  other.write.reset();
  const KernelEvent last = queue.only();
  BOOST_TEST(ended(last));
  BOOST_TEST(last.data == 4);
}

BOOST_AUTO_TEST_CASE(two_triggers_are_one_event_and_the_adding_one_is_none) {
  const Queue queue;
  BOOST_TEST(queue.user(kEventEnable, kNoteTrigger) == -ENOENT);
  BOOST_TEST(queue.user(kEventAdd | kEventClear, kNoteTrigger) == 0);
  BOOST_TEST(queue.silent());
  BOOST_TEST(queue.user(0, kNoteTrigger | kNoteCopy | 5U) == 0);
  BOOST_TEST(queue.user(0, kNoteTrigger | kNoteOr | 8U) == 0);
  BOOST_TEST(queue.only().fflags == 13U);
  BOOST_TEST(queue.silent());
  BOOST_TEST(queue.user(0, kNoteAnd | 9U) == 0);
  BOOST_TEST(queue.silent(), "what isn't triggered is no event");
  BOOST_TEST(queue.user(0, kNoteTrigger) == 0);
  BOOST_TEST(queue.only().fflags == 9U);
}

BOOST_AUTO_TEST_CASE(without_clear_a_trigger_lasts) {
  const Queue queue;
  BOOST_TEST(queue.user(kEventAdd, 0) == 0);
  BOOST_TEST(queue.user(0, kNoteTrigger) == 0);
  queue.only();
  queue.only();
  BOOST_TEST(queue.user(kEventDelete, 0) == 0);
  BOOST_TEST(queue.silent());
}

BOOST_AUTO_TEST_CASE(a_queue_can_be_polled_and_watched) {
  const Queue queue;
  const Pair pair = socket_pair();
  queue.add(pair.near, kFilterRead);
  const Queue* const inner = &queue;
  const Descriptor outer(queue.kernel.system_calls().kqueue());
  const KernelEvent change = make_change(inner->fd.get(), kFilterRead, kEventAdd, 7);
  BOOST_TEST(queue.kernel.system_calls().kevent(outer.get(), &change, 1, nullptr, 0, nullptr) == 0);
  pollfd record{.fd = queue.fd.get(), .events = POLLIN, .revents = 0};
  BOOST_TEST(queue.kernel.system_calls().poll(&record, 1, 0) == 0);
  write_text(pair.far.get(), "data");
  BOOST_TEST(queue.kernel.system_calls().poll(&record, 1, 0) == 1);
  KernelEvent event{};
  BOOST_TEST(queue.kernel.system_calls().kevent(outer.get(), nullptr, 0, &event, 1, nullptr) == 1);
  BOOST_TEST(platform::descriptor_of(event) == queue.fd.get());
}

BOOST_AUTO_TEST_CASE(accepted_sockets_inherit_their_flags_where_that_is_asked_for) {
  for (const bool inherits : {false, true}) {
    Profile profile = linux_system();
    profile.accept_inherits_flags = inherits;
    const Kernel kernel({.profile = profile});
    const Listener listener = listen_on_loopback();
    const Descriptor client = start_connecting(listener.endpoint);
    const Descriptor accepted(kernel.system_calls().accept(listener.fd.get(), nullptr, nullptr));
    const int flags = kernel.system_calls().fcntl(accepted.get(), F_GETFL, 0);
    BOOST_TEST(((flags & O_NONBLOCK) != 0) == inherits);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::sim
