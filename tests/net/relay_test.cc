// Two coupled connections: bytes, ends and deaths go from one to the other, in bounded memory.
#include "pollard/net/tcp/relay.h"

#include <algorithm>
#include <string>

#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

// left.peer <-> left.near = right.near <-> right.peer
class Relayed {
 public:
  explicit Relayed(const BackendCase& backend, Duration linger = 10s)
      : loop({.poller = backend.poller}) {
    ConnectionHandlers own;
    own.on_connect = [this](const TcpConnectionPtr& connection) { last = connection; };
    own.on_disconnect = [this](const TcpConnectionPtr& connection, const DisconnectReason& reason) {
      (connection == left ? left_ended : right_ended) = reason.to_string();
    };
    ConnectionOptions options;
    options.trigger = choice_of(backend);
    options.high_water = 64 * 1024;
    options.low_water = 16 * 1024;
    group = std::make_shared<ConnectionGroup>(loop, share_handlers(relay_handlers(std::move(own))),
                                              options);
    left = open(left_peer);
    right = open(right_peer);
    linger_ = linger;
  }

  void couple_them() { couple(left, right, {.linger = linger_}); }

  template <class Done>
  void until(Done done) {
    run_until(loop, std::move(done));
  }
  void until_closed() {
    until([this] { return group->open_count() == 0; });
  }
  std::string hear(Descriptor& peer, std::size_t count) {
    std::string heard;
    until([&] {
      heard += read_text(peer.get(), count - heard.size());
      return heard.size() == count;
    });
    return heard;
  }
  void until_end_at(Descriptor& peer) {
    until([&] { return peek(peer.get()) == Meets::kEnd || peek(peer.get()) == Meets::kError; });
  }
  [[nodiscard]] std::size_t memory() const {
    return left->buffer_memory() + right->buffer_memory();
  }

  TcpConnectionPtr last;
  TcpConnectionPtr left;
  TcpConnectionPtr right;
  Descriptor left_peer;
  Descriptor right_peer;
  std::string left_ended;
  std::string right_ended;
  EventLoop loop;  // whose end still calls handlers, which note it above
  std::shared_ptr<ConnectionGroup> group;

 private:
  TcpConnectionPtr open(Descriptor& peer) {
    Pair pair = tcp_pair();
    peer = std::move(pair.far);
    BOOST_TEST_REQUIRE(!group->open(std::move(pair.near), Address::loopback(1)));
    return last;
  }

  Duration linger_{};
};

POLLARD_EACH_BACKEND_AND_TRIGGER(what_comes_from_one_side_goes_to_the_other_both_ways) {
  Relayed one(backend);
  one.couple_them();
  write_text(one.left_peer.get(), "question");
  BOOST_TEST(one.hear(one.right_peer, 8) == "question");
  write_text(one.right_peer.get(), "answer");
  BOOST_TEST(one.hear(one.left_peer, 6) == "answer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_came_before_the_coupling_is_passed_on) {
  Relayed one(backend);
  write_text(one.left_peer.get(), "early");
  run_until_idle(one.loop);
  one.couple_them();
  BOOST_TEST(one.hear(one.right_peer, 5) == "early");
}

// A greeting, say, that a slow client has not taken yet.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_side_that_is_full_before_the_coupling_stops_the_other) {
  constexpr std::size_t kGreeting = std::size_t{8} << 20U;
  Relayed one(backend);
  BOOST_TEST(!one.left->send(pattern(kGreeting)));
  run_until_idle(one.loop);
  one.couple_them();
  const std::string flood = pattern(1 << 20);
  std::size_t poured = 0;
  for (int refusals = 0; refusals < 3;) {
    const std::size_t sent = write_some(one.right_peer.get(), flood);
    poured += sent;
    if (sent == 0) ++refusals;
    run_until_idle(one.loop);
    BOOST_TEST_REQUIRE(poured < kGreeting * 4);
  }
  BOOST_TEST(one.memory() <= kGreeting + (std::size_t{3} << 20U));
  // It goes on when there is room.
  std::size_t heard = 0;
  one.until([&] {
    heard += read_text(one.left_peer.get()).size();
    return heard == kGreeting + poured;
  });
  BOOST_TEST(one.left_ended == "");
  BOOST_TEST(one.right_ended == "");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_half_close_is_passed_on_and_the_other_way_goes_on) {
  Relayed one(backend);
  one.couple_them();
  write_text(one.left_peer.get(), "the whole request");
  end_sending(one.left_peer.get());
  BOOST_TEST(one.hear(one.right_peer, 17) == "the whole request");
  one.until_end_at(one.right_peer);
  BOOST_TEST(one.group->open_count() == 2U);
  const std::string answer = pattern(1 << 20);
  std::size_t sent = 0;
  std::string heard;
  one.until([&] {
    sent += write_some(one.right_peer.get(), std::string_view(answer).substr(sent));
    heard += read_text(one.left_peer.get());
    return heard.size() == answer.size();
  });
  BOOST_TEST((heard == answer));
  end_sending(one.right_peer.get());
  one.until_end_at(one.left_peer);
  one.until_closed();
}

POLLARD_EACH_BACKEND_AND_TRIGGER(when_one_side_dies_the_other_gets_what_is_queued_and_ends) {
  Relayed one(backend);
  one.couple_them();
  write_text(one.left_peer.get(), "last words");
  one.until([&] { return peek(one.right_peer.get()) == Meets::kData; });
  reset_connection(one.left_peer);
  BOOST_TEST(one.hear(one.right_peer, 10) == "last words");
  Meets last = Meets::kNothing;
  one.until([&] { return (last = peek(one.right_peer.get())) != Meets::kNothing; });
  BOOST_TEST(last == Meets::kError, "a reset is passed on as a reset");
  BOOST_TEST(one.left_ended == "error: Connection reset by peer");
  one.until_closed();
  BOOST_TEST(one.right_ended == "error: Connection reset by peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(reset_is_passed_on_behind_what_is_queued) {
  constexpr std::size_t kQueued = std::size_t{8} << 20U;
  Relayed one(backend);
  BOOST_TEST(!one.right->send(pattern(kQueued)));
  one.couple_them();
  run_until_idle(one.loop);
  reset_connection(one.left_peer);
  std::size_t heard = 0;
  one.until([&] {
    heard += read_text(one.right_peer.get()).size();
    return !one.right_ended.empty();
  });
  BOOST_TEST(one.right_ended == "error: Connection reset by peer");
  BOOST_TEST(heard > 0U);
}

// What it sent is not wanted any more, but that is how its end is heard.
POLLARD_EACH_BACKEND_AND_TRIGGER(paused_survivor_of_a_relay_resumes) {
  Relayed one(backend, 1h);
  one.couple_them();
  const std::string flood(1 << 20, 'x');
  for (int refusals = 0; refusals < 3;) {
    if (write_some(one.right_peer.get(), flood) == 0) ++refusals;
    run_until_idle(one.loop);
  }
  BOOST_TEST(one.left->above_high_water());
  one.left->force_close();
  one.until([&] { return !one.left_ended.empty(); });
  end_sending(one.right_peer.get());
  one.until_closed();
  BOOST_TEST(one.right_ended == "local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(who_is_left_alone_and_stays_is_ended_after_a_while) {
  Relayed one(backend, 20ms);
  one.couple_them();
  one.left->force_close();
  one.until_closed();
  BOOST_TEST(one.right_ended.starts_with("timeout"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(one_that_ended_before_the_coupling_ends_the_other) {
  Relayed one(backend, 20ms);
  one.left->force_close();
  one.until([&] { return one.group->open_count() == 1; });
  one.couple_them();
  one.until_end_at(one.right_peer);
  one.until_closed();
}

// The sender is as fast as it can be; the reader takes a little now and then.
POLLARD_EACH_BACKEND_AND_TRIGGER(a_fast_sender_and_a_slow_reader_need_little_memory) {
  Relayed one(backend);
  shrink_buffers(one.right_peer.get());
  one.couple_them();
  constexpr std::size_t kBytes = std::size_t{16} << 20U;
  const std::string block = pattern(1 << 20);
  std::size_t sent = 0;
  std::size_t heard = 0;
  std::size_t most_memory = 0;
  bool same = true;
  one.until([&] {
    const std::size_t at = sent % block.size();
    sent += write_some(one.left_peer.get(), std::string_view(block).substr(at));
    most_memory = std::max(most_memory, one.memory());
    const std::string some = read_text(one.right_peer.get(), 256 * 1024);
    for (std::size_t i = 0; i < some.size();) {
      const std::size_t place = (heard + i) % block.size();
      const std::size_t length = std::min(some.size() - i, block.size() - place);
      same &=
          std::string_view(some).substr(i, length) == std::string_view(block).substr(place, length);
      i += length;
    }
    heard += some.size();
    return heard >= kBytes;
  });
  BOOST_TEST(same);
  // The high-water mark, and what one turn may read beyond it.
  BOOST_TEST(most_memory <= 3U << 20U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_sender_has_to_wait_while_the_reader_does_not_read) {
  Relayed one(backend);
  one.couple_them();
  std::size_t sent = 0;
  const std::string block(1 << 20, 'x');
  for (int idle = 0; idle < 3;) {
    const std::size_t some = write_some(one.left_peer.get(), block);
    sent += some;
    run_until_idle(one.loop);
    idle = some > 0 ? 0 : idle + 1;
  }
  expect_no_spin(one.loop);
  BOOST_TEST(one.memory() <= 3U << 20U);
  BOOST_TEST(one.hear(one.right_peer, sent).size() == sent);
}

}  // namespace
}  // namespace pollard::testing
