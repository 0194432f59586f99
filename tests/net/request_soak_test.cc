// Many connections, random delays, random ends, by seed: whatever happens, each connection's
// handlers keep their order, every byte is answered in its place, and nothing is left.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pollard/net/tcp/tcp_client.h"
#include "pollard/tests/support/dice.h"
#include "pollard/tests/support/effort.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

// A delay of no fixed length, in which others run.
void dawdle(Dice& dice) {
  for (std::uint64_t i = dice.up_to(20); i > 0; --i) std::this_thread::yield();
}

// Lends no order to the threads that count.
class Count {
 public:
  void operator++() { value_.fetch_add(1, std::memory_order_relaxed); }
  void operator--() { value_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

struct Tally {
  // Handlers throw and close.
  bool misbehaving = true;
  Count witnesses;
  Count connects;
  Count disconnects;
  Count close_callbacks;
  Count errors;
  Count wrong;
};

// The close callbacks of one connection, which outlive its context.
struct Ends {
  std::uint64_t added = 0;
  std::uint64_t last = UINT64_MAX;
  bool disconnected = false;
};

// What one connection's handlers see; they would race for it if two of them ran at a time.
struct Witness {
  explicit Witness(Count& count) : alive(count) { ++alive; }
  Witness(const Witness& other) : alive(other.alive), next_line(other.next_line) { ++alive; }
  ~Witness() { --alive; }
  Witness& operator=(const Witness&) = delete;

  Count& alive;
  std::uint64_t next_line = 0;
  bool inside = false;
  RequestConnection::ClosedBy closed_by = RequestConnection::ClosedBy::kNotClosed;
  std::shared_ptr<Ends> ends = std::make_shared<Ends>();
};

class Guard {
 public:
  Guard(Witness& witness, Tally& tally) : witness_(witness) {
    if (witness.inside || witness.ends->disconnected) ++tally.wrong;
    witness.inside = true;
  }
  ~Guard() { witness_.inside = false; }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Witness& witness_;
};

void answer_lines(RequestConnection& connection, Witness& witness, Tally& tally, Dice& dice) {
  RequestReader& reader = connection.reader();
  for (std::uint64_t most = 1 + dice.up_to(4); most > 0; --most) {
    const auto line = reader.read_until("\n");
    if (!line.has_value()) break;
    if (*line != std::to_string(witness.next_line++)) ++tally.wrong;
    connection.writer().append(*line);
    connection.writer().append("\n");
    if (dice.one_in(10)) dawdle(dice);
    if (dice.one_in(20)) connection.writer().flush();
    if (dice.one_in(50)) static_cast<void>(connection.writer().flush(1ms));
    if (dice.one_in(50)) reader.release();
  }
  if (dice.one_in(50)) static_cast<void>(reader.read(10'000, Duration(dice.up_to(200'000))));
}

// They run backwards, after on_disconnect.
void add_callback(RequestConnection& connection, const Witness& witness, Tally& tally) {
  const std::uint64_t number = witness.ends->added++;
  connection.add_close_callback([ends = witness.ends, number, &tally] {
    if (!ends->disconnected || number >= ends->last) ++tally.wrong;
    ends->last = number;
  });
}

// Decided once.
void look_who_closed(const RequestConnection& connection, Witness& witness, Tally& tally) {
  using ClosedBy = RequestConnection::ClosedBy;
  const ClosedBy who = connection.closed_by();
  if (witness.closed_by != ClosedBy::kNotClosed && who != witness.closed_by) ++tally.wrong;
  witness.closed_by = who;
}

OnRequest on_request(Tally& tally, Dice& dice);
OnDisconnect on_disconnect(Tally& tally);

// By handlers that do the same.
void replace_handlers(RequestConnection& connection, Tally& tally, Dice& dice) {
  if (dice.one_in(30)) connection.set_on_request(on_request(tally, dice));
  if (dice.one_in(60)) connection.set_on_disconnect(on_disconnect(tally));
}

// What a handler may do, done by another thread while it runs.
void meddle(RequestConnection& connection, const Witness& witness, Tally& tally, Dice& dice) {
  std::thread([&, kept = connection.shared_from_this()] {
    if (dice.one_in(2)) add_callback(*kept, witness, tally);
    if (dice.one_in(2)) kept->set_on_request(on_request(tally, dice));
    if (dice.one_in(2)) kept->set_on_disconnect(on_disconnect(tally));
  }).join();
}

void misbehave(RequestConnection& connection, Dice& dice) {
  if (dice.one_in(100)) throw std::runtime_error("a mistake");
  if (dice.one_in(100)) connection.close();
  if (dice.one_in(100)) connection.force_close();
  if (dice.one_in(100)) {
    std::thread([kept = connection.shared_from_this()] { kept->close(); }).join();
  }
}

OnRequest on_request(Tally& tally, Dice& dice) {
  return [&](RequestConnection& connection) {
    auto& witness = connection.context<Witness>();
    const Guard guard(witness, tally);
    look_who_closed(connection, witness, tally);
    if (dice.one_in(10)) add_callback(connection, witness, tally);
    answer_lines(connection, witness, tally, dice);
    replace_handlers(connection, tally, dice);
    if (dice.one_in(60)) meddle(connection, witness, tally, dice);
    if (tally.misbehaving) misbehave(connection, dice);
  };
}

OnDisconnect on_disconnect(Tally& tally) {
  return [&](RequestConnection& connection, const DisconnectReason&) {
    ++tally.disconnects;
    auto& witness = connection.context<Witness>();
    const Guard guard(witness, tally);
    look_who_closed(connection, witness, tally);
    if (witness.closed_by == RequestConnection::ClosedBy::kNotClosed) ++tally.wrong;
    witness.ends->disconnected = true;
  };
}

RequestHandlers handlers(Tally& tally, Dice& dice) {
  return {
      .on_connect =
          [&](RequestConnection& connection) {
            ++tally.connects;
            dawdle(dice);
            connection.add_close_callback([&tally] { ++tally.close_callbacks; });
            if (tally.misbehaving && dice.one_in(20)) connection.force_close();
            return Witness(tally.witnesses);
          },
      .on_request = on_request(tally, dice),
      .on_disconnect = on_disconnect(tally),
      .on_error = [&](RequestConnection&, const std::exception_ptr&) { ++tally.errors; },
  };
}

// A client that comes back after each end, and what it says and hears.
template <class Conversation>
class Peer {
 public:
  Peer(EventLoop& loop, const Address& server, const TcpClientOptions& options, Dice& dice)
      : conversation_(dice), client_(loop, server, conversation_.handlers(), options) {
    static_cast<void>(client_.connect());
  }

  [[nodiscard]] std::uint64_t answered() const { return conversation_.answered; }
  [[nodiscard]] bool wrong() const { return conversation_.wrong; }

 private:
  Conversation conversation_;
  TcpClient client_;
};

// Sends numbered lines, and checks that what comes back are the same, from the first.
class Asker {
 public:
  explicit Asker(Dice& dice) : dice_(dice) {}

  ConnectionHandlers handlers() {
    return {
        .on_connect =
            [this](const TcpConnectionPtr& it) {
              asked_ = heard_ = 0;
              ask(it);
            },
        .on_message = [this](const TcpConnectionPtr& it, Buffer& input) { hear(it, input); },
    };
  }

  std::uint64_t answered = 0;
  bool wrong = false;

 private:
  void ask(const TcpConnectionPtr& it) {
    std::string lines;
    for (std::uint64_t i = dice_.up_to(30); i > 0; --i) lines += std::to_string(asked_++) + "\n";
    lines += std::to_string(asked_++) + "\n";
    // In two pieces, as the network might.
    const std::size_t split = dice_.up_to(lines.size());
    static_cast<void>(it->send(lines.substr(0, split)));
    it->loop().post([it, rest = lines.substr(split)] { static_cast<void>(it->send(rest)); });
    if (dice_.one_in(30)) it->shutdown(20ms);
    if (dice_.one_in(60)) it->force_close();
  }

  void hear(const TcpConnectionPtr& it, Buffer& input) {
    while (const auto end = input.find("\n")) {
      wrong |= input.take(*end) != std::to_string(heard_++);
      input.consume(1);
      ++answered;
    }
    if (heard_ == asked_) ask(it);
  }

  Dice& dice_;
  std::uint64_t asked_ = 0;
  std::uint64_t heard_ = 0;
};

// Asks, ends its side, and hears all the answers before the other's end.
class Leaver {
 public:
  explicit Leaver(Dice& dice) : dice_(dice) {}

  ConnectionHandlers handlers() {
    return {
        .on_connect = [this](const TcpConnectionPtr& it) { ask_and_end(it); },
        .on_message =
            [this](const TcpConnectionPtr&, Buffer& input) {
              heard_ += input.view();
              input.clear();
            },
        .on_disconnect =
            [this](const TcpConnectionPtr&, const DisconnectReason&) {
              wrong |= heard_ != asked_;
              ++answered;
            },
    };
  }

  std::uint64_t answered = 0;
  bool wrong = false;

 private:
  // More than the server's limit of input, now and then.
  void ask_and_end(const TcpConnectionPtr& it) {
    asked_.clear();
    heard_.clear();
    const std::uint64_t lines = 1 + dice_.up_to(dice_.one_in(8) ? 300 : 30);
    for (std::uint64_t i = 0; i < lines; ++i) asked_ += std::to_string(i) + "\n";
    static_cast<void>(it->send(asked_));
    it->shutdown();
  }

  Dice& dice_;
  std::string asked_;
  std::string heard_;
};

void set_up(Service& service, unsigned threads, Tally& tally, Dice& dice) {
  service.handlers = handlers(tally, dice);
  service.options.workers = {.workers = 3, .queue_limit = 4};
  service.options.input_limit = 400;
  service.options.server.threads = threads;
  service.options.on_step = [&](const RequestConnection&, RequestStep) {
    if (dice.one_in(8)) std::this_thread::yield();
  };
}

// So many, which go on after each has been answered so often.
template <class Conversation>
std::vector<std::unique_ptr<Peer<Conversation>>> peers_of(Service& service, Dice& dice,
                                                          std::uint64_t enough) {
  constexpr std::size_t kPeers = 16;
  TcpClientOptions options{.reconnect = true};
  options.connector.backoff = {.initial = 1ms, .maximum = 4ms};
  std::vector<std::unique_ptr<Peer<Conversation>>> peers;
  while (peers.size() < kPeers) {
    peers.push_back(std::make_unique<Peer<Conversation>>(service.loop, service.server->address(),
                                                         options, dice));
  }
  const auto all = [&](auto condition) { return std::ranges::all_of(peers, condition); };
  for (std::uint64_t least = 1; least <= enough; ++least) {  // each has its time, on a busy machine
    service.until([&] { return all([&](const auto& one) { return one->answered() >= least; }); });
  }
  BOOST_TEST(all([](const auto& one) { return !one->wrong(); }), "an answer isn't the right one");
  return peers;
}

void stop(Service& service, bool gracefully) {
  if (!gracefully) return service.server->stop();
  bool done = false;
  service.server->stop_gracefully(50ms, [&] { done = true; });
  service.until([&] { return done; });
}

void expect_kept(const Tally& tally) {
  BOOST_TEST(tally.wrong.get() == 0, "handlers ran beside each other, or something out of order");
  BOOST_TEST(tally.connects.get() == tally.disconnects.get());
  BOOST_TEST(tally.connects.get() == tally.close_callbacks.get());
  BOOST_TEST(tally.witnesses.get() == 0, "a context is left");
}

void soak(const BackendCase& backend, unsigned threads, std::uint64_t seed) {
  const std::size_t descriptors = open_descriptors();
  Dice dice(seed);
  Tally tally;
  {
    Service service(backend);
    set_up(service, threads, tally, dice);
    service.options.close_limit = 20ms;
    if (seed % 2 != 0) service.options.when_full = WhenWorkersFull::kCloseNewcomers;
    service.start();
    const auto askers = peers_of<Asker>(service, dice, repeated(60));
    stop(service, seed % 4 < 2);
    BOOST_TEST(service.server->connection_count() == 0U);
    BOOST_TEST(service.server->stats().exceptions ==
               static_cast<std::uint64_t>(tally.errors.get()));
  }
  expect_kept(tally);
  BOOST_TEST(open_descriptors() == descriptors, "a descriptor is left");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(whatever_happens_workers_keep_their_promises) {
  const std::uint64_t seed = std::hash<std::string>()(backend.poller);
  soak(backend, 0, seed);
  soak(backend, 2, seed + 1);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_came_before_the_peers_end_is_answered_whatever_else_happens) {
  for (const unsigned threads : {0U, 2U}) {
    Dice dice(std::hash<std::string>()(backend.poller) + threads);
    Tally tally{.misbehaving = false};
    {
      Service service(backend);
      set_up(service, threads, tally, dice);
      service.start();
      peers_of<Leaver>(service, dice, repeated(20)).clear();
      stop(service, false);
    }
    expect_kept(tally);
    BOOST_TEST(tally.errors.get() == 0);
  }
}

}  // namespace
}  // namespace pollard::testing
