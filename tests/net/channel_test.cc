// Channels: whoever is called may destroy himself and anybody else, and what can't be watched says
// so.
#include "pollard/net/loop/channel.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/base/error.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/testkit/forked.h"
#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

const auto kUnexpected = [](Readiness) { BOOST_ERROR("this channel must not be called"); };

template <class Action>
std::optional<std::system_error> thrown_by(Action action) {
  try {
    action();
  } catch (const std::system_error& error) {
    return error;
  }
  return std::nullopt;
}

// Pairs with something to read at each near end.
std::vector<Pair> readable_pairs(std::size_t count) {
  std::vector<Pair> pairs(count);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    write_text(pair.far.get(), "data");
  }
  return pairs;
}

// Turns until all that is ready has been handled, and one that finds nothing.
void settle(EventLoop& loop) {
  for (std::uint64_t before = UINT64_MAX; before != loop.stats().events;) {
    before = loop.stats().events;
    loop.run_once(Duration::zero());
  }
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_channel_calls_its_handler_with_what_is_ready) {
  EventLoop loop({.poller = backend.poller});
  const Pair pair = socket_pair();
  std::vector<Ready> seen;
  Channel channel(
      loop, pair.near.get(), Interest::kRead,
      [&](Readiness ready) {
        seen.push_back({ready.readable, ready.writable});
        read_text(pair.near.get());
      },
      backend.trigger);
  BOOST_TEST(channel.fd() == pair.near.get());
  BOOST_TEST(channel.interest() == Interest::kRead);
  settle(loop);
  BOOST_TEST(seen.empty());
  write_text(pair.far.get(), "data");
  settle(loop);
  BOOST_TEST(seen == std::vector<Ready>{kReadable}, boost::test_tools::per_element());
  seen.clear();
  channel.set_interest(Interest::kBoth);
  BOOST_TEST(channel.interest() == Interest::kBoth);
  loop.run_once(Duration::zero());
  BOOST_TEST(seen == std::vector<Ready>{kWritable}, boost::test_tools::per_element());
  channel.set_interest(Interest::kRead);
  seen.clear();
  settle(loop);
  BOOST_TEST(seen.empty());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_channel_may_destroy_itself_in_its_handler) {
  EventLoop loop({.poller = backend.poller});
  const std::vector<Pair> pairs = readable_pairs(1);
  auto held = std::make_shared<std::string>("what the handler holds");
  const std::weak_ptr<std::string> watched = held;
  std::optional<Channel> channel;
  int calls = 0;
  channel.emplace(
      loop, pairs[0].near.get(), Interest::kRead,
      [&, held = std::move(held)](Readiness) {
        channel.reset();
        ++calls;
        BOOST_TEST(*held == "what the handler holds");
      },
      backend.trigger);
  settle(loop);
  BOOST_TEST(calls == 1);
  BOOST_TEST(watched.expired());
  BOOST_TEST(loop.stats().watched == 1U);
}

POLLARD_EACH_BACKEND(a_handler_that_destroys_its_channel_may_throw_what_it_holds) {
  EventLoop loop({.poller = backend});
  const std::vector<Pair> pairs = readable_pairs(1);
  std::optional<Channel> channel;
  channel.emplace(loop, pairs[0].near.get(), Interest::kRead,
                  [&, text = std::string(100, 'x')](Readiness) {
                    channel.reset();
                    throw std::runtime_error(text);
                  });
  BOOST_CHECK_EXCEPTION(loop.run(), std::runtime_error, [](const std::runtime_error& error) {
    return error.what() == std::string(100, 'x');
  });
}

POLLARD_EACH_BACKEND(what_a_handler_holds_goes_at_once_when_its_channel_dies_elsewhere) {
  EventLoop loop({.poller = backend});
  const std::vector<Pair> pairs = readable_pairs(1);
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = held;
  std::optional<Channel> channel;
  channel.emplace(loop, pairs[0].near.get(), Interest::kRead,
                  [held = std::move(held)](Readiness) {});
  loop.run_once(Duration::zero());
  channel.reset();
  BOOST_TEST(watched.expired());
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_channel_that_another_destroys_in_the_same_batch_is_not_called) {
  EventLoop loop({.poller = backend.poller});
  constexpr std::size_t kPairs = 10;
  const std::vector<Pair> pairs = readable_pairs(kPairs);
  std::vector<std::unique_ptr<Channel>> channels(kPairs);
  std::size_t calls = 0;
  for (std::size_t i = 0; i < kPairs; ++i) {
    channels[i] = std::make_unique<Channel>(
        loop, pairs[i].near.get(), Interest::kRead,
        [&, i](Readiness) {
          ++calls;
          read_text(pairs[i].near.get());
          for (std::size_t j = 0; j < kPairs; ++j) {
            if (j != i) channels[j].reset();
          }
        },
        backend.trigger);
  }
  settle(loop);
  BOOST_TEST(calls == 1U);
  BOOST_TEST(loop.stats().events == 1U);
  BOOST_TEST(loop.stats().stale_events == kPairs - 1);
  BOOST_TEST(loop.stats().watched == 2U);
}

POLLARD_EACH_BACKEND(a_channel_that_another_pauses_in_the_same_batch_is_called_when_resumed) {
  EventLoop loop({.poller = backend});
  const std::vector<Pair> pairs = readable_pairs(2);
  std::vector<std::unique_ptr<Channel>> channels(2);
  std::size_t calls = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    channels[i] =
        std::make_unique<Channel>(loop, pairs[i].near.get(), Interest::kRead, [&, i](Readiness) {
          ++calls;
          read_text(pairs[i].near.get());
          channels[1 - i]->set_interest(Interest::kNone);
        });
  }
  settle(loop);
  BOOST_TEST(calls == 1U);
  for (const auto& channel : channels) channel->set_interest(Interest::kRead);
  settle(loop);
  BOOST_TEST(calls == 2U);
}

// Two channels are ready; the first one called ends the other, and a new descriptor gets its
// number.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_number_that_is_reused_in_the_same_batch_gets_no_old_event) {
  EventLoop loop({.poller = backend.poller});
  std::vector<Pair> pairs = readable_pairs(2);
  std::vector<std::unique_ptr<Channel>> channels(2);
  Pair fresh = socket_pair();
  std::unique_ptr<Channel> successor;
  int early = 0;
  bool written = false;
  const auto succeed = [&](std::size_t ended) {
    const int number = pairs[ended].near.get();
    channels[ended].reset();
    pairs[ended].near.reset();
    fresh.near = move_to(std::move(fresh.near), number);
    successor = std::make_unique<Channel>(
        loop, number, Interest::kRead,
        [&, number](Readiness) {
          if (!written) ++early;
          read_text(number);
          loop.stop();
        },
        backend.trigger);
  };
  for (std::size_t i = 0; i < 2; ++i) {
    channels[i] = std::make_unique<Channel>(
        loop, pairs[i].near.get(), Interest::kRead,
        [&, i](Readiness) {
          read_text(pairs[i].near.get());
          BOOST_TEST(successor == nullptr);
          succeed(1 - i);
        },
        backend.trigger);
  }
  settle(loop);
  BOOST_TEST(early == 0);
  BOOST_TEST_REQUIRE(successor != nullptr);
  BOOST_TEST(loop.stats().stale_events == 1U);
  written = true;
  write_text(fresh.far.get(), "data");
  loop.run();
}

POLLARD_EACH_BACKEND(a_handler_may_make_channels_which_are_called_in_their_turn) {
  EventLoop loop({.poller = backend});
  const std::vector<Pair> pairs = readable_pairs(100);
  std::vector<std::unique_ptr<Channel>> channels;
  std::function<void()> add = [&] {
    const int fd = pairs[channels.size()].near.get();
    channels.push_back(std::make_unique<Channel>(loop, fd, Interest::kRead, [&, fd](Readiness) {
      read_text(fd);
      channels.size() < pairs.size() ? add() : loop.stop();
    }));
  };
  add();
  loop.run();
  BOOST_TEST(loop.stats().events == 100U);
}

POLLARD_EACH_BACKEND(a_channel_that_is_paused_at_the_end_of_its_stream_does_not_spin) {
  EventLoop loop({.poller = backend});
  Pair local = socket_pair();
  Pair tcp = tcp_pair();
  std::vector<std::unique_ptr<Channel>> channels;
  for (const Descriptor* fd : {&local.near, &tcp.near}) {
    channels.push_back(std::make_unique<Channel>(loop, fd->get(), Interest::kRead,
                                                 [&, index = channels.size()](Readiness ready) {
                                                   BOOST_TEST(ready.readable);
                                                   channels[index]->set_interest(Interest::kNone);
                                                 }));
  }
  local.far.reset();
  reset_connection(tcp.far);
  wait_for_end(tcp.near.get());
  settle(loop);
  BOOST_TEST(loop.stats().events == 2U);
  const std::uint64_t waits = loop.stats().waits;
  const Timer stop = loop.after(10ms, [&] { loop.stop(); });
  loop.run();
  BOOST_TEST(loop.stats().waits - waits <= 2U);
  channels[0]->set_interest(Interest::kRead);
  settle(loop);
  BOOST_TEST(loop.stats().events == 3U);
}

POLLARD_EACH_BACKEND(what_the_mechanism_cannot_watch_is_refused_by_name_or_else_ready) {
  EventLoop loop({.poller = backend});
  const Descriptor file = temporary_file();
  int calls = 0;
  std::optional<Channel> channel;
  const auto error = thrown_by([&] {
    channel.emplace(loop, file.get(), Interest::kRead, [&](Readiness) {
      ++calls;
      channel.reset();
    });
  });
  if (backend == "epoll") BOOST_TEST_REQUIRE(error.has_value());
  if (error.has_value()) {
    const std::string message = error->what();
    BOOST_TEST((error->code() == std::errc::operation_not_permitted), message);
    BOOST_TEST(message.find(backend) == 0U, message);
    BOOST_TEST(message.find("descriptor " + std::to_string(file.get())) != std::string::npos,
               message);
  }
  settle(loop);
  BOOST_TEST(calls == (error.has_value() ? 0 : 1));
  BOOST_TEST(loop.stats().watched == 1U);
  const std::vector<Pair> pairs = readable_pairs(1);
  const Channel other(loop, pairs[0].near.get(), Interest::kRead, [&](Readiness) { loop.stop(); });
  loop.run();
}

// The refusal comes when the channel is made, and not as an event once there is an interest.
POLLARD_EACH_BACKEND(regular_file_without_interest_is_refused_as_with_one) {
  EventLoop loop({.poller = backend});
  const Descriptor file = temporary_file();
  const auto make = [&](Interest interest) {
    return thrown_by([&] { Channel(loop, file.get(), interest, kUnexpected); });
  };
  const auto with_interest = make(Interest::kRead);
  const auto without = make(Interest::kNone);
  BOOST_TEST_REQUIRE(with_interest.has_value() == without.has_value());
  if (without.has_value()) BOOST_TEST((without->code() == with_interest->code()));
  BOOST_TEST((backend != "epoll" || without.has_value()));
}

POLLARD_EACH_BACKEND(what_is_not_open_or_is_watched_already_is_refused) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  const Channel channel(loop, pair.near.get(), Interest::kRead, kUnexpected);
  const auto twice =
      thrown_by([&] { Channel(loop, pair.near.get(), Interest::kWrite, kUnexpected); });
  BOOST_TEST_REQUIRE(twice.has_value());
  BOOST_TEST((twice->code() == std::errc::file_exists));
  for (const int fd : {-1, 987}) {
    const auto closed = thrown_by([&] { Channel(loop, fd, Interest::kRead, kUnexpected); });
    BOOST_TEST_REQUIRE(closed.has_value());
    BOOST_TEST((closed->code() == std::errc::bad_file_descriptor));
    BOOST_TEST(std::string(closed->what()).find(std::to_string(fd)) != std::string::npos);
  }
  BOOST_TEST(loop.stats().watched == 2U);
  settle(loop);
}

POLLARD_EACH_BACKEND(edges_are_refused_where_there_are_none) {
  EventLoop loop({.poller = backend});
  const std::vector<Pair> pairs = readable_pairs(1);
  int calls = 0;
  std::optional<Channel> channel;
  const auto error = thrown_by([&] {
    channel.emplace(
        loop, pairs[0].near.get(), Interest::kRead, [&](Readiness) { ++calls; }, Trigger::kEdge);
  });
  BOOST_TEST(error.has_value() == !loop.poller_capabilities().edge_triggered);
  if (error.has_value()) {
    BOOST_TEST((error->code() == std::errc::operation_not_supported));
    BOOST_TEST(std::string(error->what()).find(backend) == 0U);
    BOOST_TEST(loop.stats().watched == 1U);
  }
  settle(loop);
  BOOST_TEST(calls == (error.has_value() ? 0 : 1));
}

POLLARD_EACH_BACKEND(more_channels_than_one_batch_holds_are_served_in_turn) {
  constexpr std::size_t kChannels = 1300;
  if (!can_open(kChannels + 100)) return;
  EventLoop loop({.poller = backend});
  std::vector<Pair> pairs(kChannels / 2);
  std::vector<std::unique_ptr<Channel>> channels;
  std::vector<int> calls(kChannels, 0);
  for (Pair& pair : pairs) {
    pair = socket_pair();
    for (const Descriptor* end : {&pair.near, &pair.far}) {
      channels.push_back(
          std::make_unique<Channel>(loop, end->get(), Interest::kWrite,
                                    [&calls, i = channels.size()](Readiness) { ++calls[i]; }));
    }
  }
  while (loop.stats().events < 10 * kChannels) loop.run_once(Duration::zero());
  const auto [least, most] = std::ranges::minmax(calls);
  BOOST_TEST(least >= 8);
  BOOST_TEST(most <= 12);
}

POLLARD_EACH_BACKEND(a_channel_may_outlive_its_loop) {
  const std::vector<Pair> pairs = readable_pairs(2);
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = held;
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  std::optional<Channel> channel;
  channel.emplace(*loop, pairs[0].near.get(), Interest::kRead,
                  [held = std::move(held)](Readiness) { BOOST_ERROR("called"); });
  // This one belongs to a task that never runs.
  loop->post([inside = std::make_unique<Channel>(*loop, pairs[1].near.get(), Interest::kRead,
                                                 kUnexpected)] {});
  loop.reset();
  channel->set_interest(Interest::kBoth);
  BOOST_TEST(!watched.expired());
  channel.reset();
  BOOST_TEST(watched.expired());
}

POLLARD_EACH_BACKEND(a_channel_that_a_timer_holds_ends_with_the_loop) {
  const std::vector<Pair> pairs = readable_pairs(1);
  std::optional<EventLoop> loop;
  loop.emplace(EventLoopOptions{.poller = backend});
  loop->after(1h, [inside = std::make_unique<Channel>(*loop, pairs[0].near.get(), Interest::kRead,
                                                      kUnexpected)] {})
      .detach();
  loop.reset();
}

POLLARD_EACH_BACKEND(a_channel_belongs_to_its_loops_thread) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  Channel channel(loop, pair.near.get(), Interest::kRead, kUnexpected);
  std::thread([&] {
    BOOST_TEST(aborts([&] { channel.set_interest(Interest::kNone); }));
    BOOST_TEST(aborts([&] { Channel(loop, pair.far.get(), Interest::kRead, kUnexpected); }));
  }).join();
}

POLLARD_EACH_BACKEND(a_channel_without_a_handler_is_refused) {
  EventLoop loop({.poller = backend});
  const Pair pair = socket_pair();
  BOOST_TEST(aborts([&] { Channel(loop, pair.near.get(), Interest::kRead, nullptr); }));
}

}  // namespace
}  // namespace pollard::testing
