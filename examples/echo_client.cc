// Loads an echo server: many connections, each of which sends a message, waits for all of its echo,
// compares every byte and sends the next.
//
//     echo_client --connect=127.0.0.1:7007 --connections=100 --message-bytes=64 --round-trips=50000
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pollard/base/random.h"
#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/loop_thread.h"
#include "pollard/net/tcp/tcp_client.h"
#include "support/json.h"
#include "support/options.h"
#include "support/stop_signals.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string connect = "127.0.0.1:7007";
  unsigned connections = 1;
  unsigned threads = 0;
  std::uint32_t message_bytes = 64;
  std::uint64_t round_trips = 10'000;  // of all connections together
  double timeout = 60;                 // seconds, for everything
  bool json = false;
};

// Another message for each connection and number, and the same in every run.
std::string make_message(std::uint32_t size, std::uint64_t connection, std::uint64_t number) {
  pollard::SplitMix64 random(pollard::SplitMix64(connection).next() + number);
  std::string message(size, '\0');
  for (std::size_t at = 0; at < message.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.next();
    std::memcpy(message.data() + at, &word, std::min(sizeof word, message.size() - at));
  }
  return message;
}

class Load;

// One connection, and the message that is under way on it.
class Session {
 public:
  Session(Load& load, pollard::EventLoop& loop, const pollard::HostPort& server, unsigned number,
          std::uint64_t round_trips);

  void connect() { static_cast<void>(client_.connect()); }  // the handlers hear what becomes of it
  void send_next();

 private:
  void received(pollard::Buffer& input);
  void fail(const std::string& what);

  Load& load_;
  unsigned number_;
  std::uint64_t left_;  // round trips to make, the present one included
  std::uint64_t sent_ = 0;
  std::string message_;  // whose echo is awaited
  std::size_t matched_ = 0;
  Clock::time_point sent_at_;
  pollard::TcpClient client_;  // last: its handlers end before what they use
};

// What was achieved.
struct Result {
  Clock::time_point began = Clock::time_point::max();
  Clock::time_point ended = Clock::time_point::min();
  std::vector<Clock::duration> latencies;
  std::uint64_t bytes_verified = 0;
  unsigned errors = 0;

  void add(const Result& other);
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(ended - began).count();
  }
  [[nodiscard]] double rate() const {
    return seconds() > 0 ? static_cast<double>(latencies.size()) / seconds() : 0;
  }
  double percentile(unsigned percent);
  void print_json(std::string_view poller, const Options& options);
  void print_sentence(std::string_view poller, const Options& options);
};

// What one loop has to do of it all.
struct Share {
  unsigned first_connection = 0;
  unsigned connections = 0;
  std::uint64_t round_trips = 0;
};

// The sessions of one loop. They begin to send when all of them are connected.
class Load {
 public:
  // `on_end` is called once, when all is done or something has failed.
  Load(pollard::EventLoop& loop, const Options& options, const Share& share,
       pollard::MoveFunction<void(bool failed)> on_end);

  void start();
  // What was achieved by then is the result.
  void stop() {
    if (!over_) finish();
  }
  [[nodiscard]] const Result& result() const { return result_; }

  // For the sessions.
  void connected();
  void completed(Clock::duration latency);
  void matched(std::size_t bytes) { result_.bytes_verified += bytes; }
  void fail(const std::string& what);
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] bool over() const { return over_; }

 private:
  // A backlog is short on some systems, so not all knock at once.
  static constexpr std::size_t kKnocking = 64;

  void connect_one() {
    if (next_ < sessions_.size()) sessions_[next_++]->connect();
  }
  void finish();

  pollard::EventLoop& loop_;
  Options options_;
  Share share_;
  pollard::MoveFunction<void(bool failed)> on_end_;
  pollard::Timer timeout_;
  std::size_t next_ = 0;  // to connect
  std::size_t connected_ = 0;
  bool over_ = false;
  Result result_;
  std::vector<std::unique_ptr<Session>> sessions_;  // last: they call the load until they are gone
};

Session::Session(Load& load, pollard::EventLoop& loop, const pollard::HostPort& server,
                 unsigned number, std::uint64_t round_trips)
    : load_(load),
      number_(number),
      left_(round_trips),
      client_(
          loop, server,
          {.on_connect = [this](const pollard::TcpConnectionPtr&) { load_.connected(); },
           .on_message = [this](const pollard::TcpConnectionPtr&,
                                pollard::Buffer& input) { received(input); },
           .on_disconnect =
               [this](const pollard::TcpConnectionPtr&, const pollard::DisconnectReason& reason) {
                 if (!load_.over()) fail("the connection ended: " + reason.to_string());
               },
           .on_give_up =
               [this](std::error_code error) {
                 fail("connecting to " + load_.options().connect + ": " + error.message());
               }},
          {.connector = {.max_attempts = 1}}) {}

void Session::send_next() {
  if (left_ == 0) return;
  message_ = make_message(load_.options().message_bytes, number_, sent_++);
  matched_ = 0;
  sent_at_ = Clock::now();
  const std::error_code refused = client_.connection()->send(message_);
  if (refused) fail("sending: " + refused.message());
}

void Session::received(pollard::Buffer& input) {
  const std::string_view echo = input.view();
  const std::string_view expected = std::string_view(message_).substr(matched_);
  if (!expected.starts_with(echo)) {
    return fail("the echo of message " + std::to_string(sent_ - 1) + " is wrong between byte " +
                std::to_string(matched_) + " and byte " + std::to_string(matched_ + echo.size()));
  }
  matched_ += echo.size();
  load_.matched(echo.size());
  input.clear();
  if (matched_ < message_.size()) return;
  --left_;
  load_.completed(Clock::now() - sent_at_);
  send_next();
}

void Session::fail(const std::string& what) {
  load_.fail("connection " + std::to_string(number_) + ": " + what);
}

Load::Load(pollard::EventLoop& loop, const Options& options, const Share& share,
           pollard::MoveFunction<void(bool failed)> on_end)
    : loop_(loop), options_(options), share_(share), on_end_(std::move(on_end)) {
  const auto server = pollard::HostPort::parse(options.connect);
  const std::uint64_t each = share.round_trips / share.connections;
  const std::uint64_t rest = share.round_trips % share.connections;
  for (unsigned i = 0; i < share.connections; ++i) {
    sessions_.push_back(std::make_unique<Session>(*this, loop, server, share.first_connection + i,
                                                  each + (i < rest ? 1 : 0)));
  }
  result_.latencies.reserve(share.round_trips);
}

void Load::start() {
  const auto limit = std::chrono::duration_cast<pollard::Duration>(
      std::chrono::duration<double>(options_.timeout));
  timeout_ = loop_.after(limit, [this] {
    fail("after " + std::to_string(result_.latencies.size()) + " round trips and " +
         std::to_string(connected_) + " connections the time is up");
  });
  result_.began = Clock::now();
  for (std::size_t i = 0; i < kKnocking; ++i) connect_one();
}

void Load::connected() {
  if (over_) return;
  connect_one();
  if (++connected_ < sessions_.size()) return;
  result_.began = Clock::now();
  for (const auto& session : sessions_) session->send_next();
  if (share_.round_trips == 0) finish();
}

void Load::completed(Clock::duration latency) {
  result_.latencies.push_back(latency);
  if (result_.latencies.size() == share_.round_trips) finish();
}

// The first failure ends it all: figures of a broken server are nobody's business.
void Load::fail(const std::string& what) {
  if (over_) return;
  ++result_.errors;
  std::cerr << "echo_client: " + what + '\n';
  finish();
}

void Load::finish() {
  over_ = true;
  result_.ended = Clock::now();
  timeout_.cancel();
  on_end_(result_.errors > 0);
}

// All of it, in one loop or in several.
class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(pollard::EventLoop& loop, Options options, pollard::PollerChoice poller)
      : loop_(loop), options_(std::move(options)), poller_(std::move(poller)) {}

  [[nodiscard]] Result run();
  void stop();

 private:
  // A load lives and ends in the thread of its loop.
  struct Part {
    std::unique_ptr<pollard::LoopThread> thread;  // none: the main loop's
    std::unique_ptr<Load> load;

    Part() = default;
    Part(Part&&) = default;
    Part& operator=(Part&&) = delete;
    ~Part() {
      inside([this] { load.reset(); });
    }
    void inside(const pollard::MoveFunction<void()>& task) const {
      if (thread == nullptr) return task();
      thread->run_and_wait([&](pollard::EventLoop&) { task(); });
    }
  };

  void make_parts();
  [[nodiscard]] std::unique_ptr<Load> make_load(pollard::EventLoop& loop, const Share& share);
  void part_ended(bool failed);

  pollard::EventLoop& loop_;
  Options options_;
  pollard::PollerChoice poller_;
  std::size_t ended_ = 0;
  std::vector<Part> parts_;
};

void Client::make_parts() {
  const unsigned count = std::clamp(options_.threads, 1U, options_.connections);
  parts_.reserve(count);
  Share share;
  for (unsigned i = 0; i < count; ++i) {
    share.first_connection += share.connections;
    share.connections = options_.connections / count + (i < options_.connections % count ? 1 : 0);
    share.round_trips = options_.round_trips / count + (i < options_.round_trips % count ? 1 : 0);
    Part& part = parts_.emplace_back();
    if (options_.threads == 0) {
      part.load = make_load(loop_, share);
    } else {
      part.thread = std::make_unique<pollard::LoopThread>(
          pollard::EventLoopOptions{.poller = poller_},
          [&](pollard::EventLoop& loop) { part.load = make_load(loop, share); });
    }
  }
}

std::unique_ptr<Load> Client::make_load(pollard::EventLoop& loop, const Share& share) {
  const auto on_end = [weak = weak_from_this(), main = loop_.handle()](bool failed) {
    main.post([weak, failed] {
      if (const auto client = weak.lock()) client->part_ended(failed);
    });
  };
  return std::make_unique<Load>(loop, options_, share, on_end);
}

Result Client::run() {
  make_parts();
  for (const Part& part : parts_) part.inside([&part] { part.load->start(); });
  loop_.run();
  Result all;
  for (const Part& part : parts_) part.inside([&] { all.add(part.load->result()); });
  return all;
}

void Client::stop() {
  for (const Part& part : parts_) part.inside([&part] { part.load->stop(); });
}

void Client::part_ended(bool failed) {
  if (failed) stop();
  if (++ended_ == parts_.size()) loop_.stop();
}

void Result::add(const Result& other) {
  began = std::min(began, other.began);
  ended = std::max(ended, other.ended);
  latencies.insert(latencies.end(), other.latencies.begin(), other.latencies.end());
  bytes_verified += other.bytes_verified;
  errors += other.errors;
}

// In microseconds; zero when nothing was measured.
double Result::percentile(unsigned percent) {
  if (latencies.empty()) return 0;
  const std::size_t place = (latencies.size() - 1) * percent / 100;
  const auto found = latencies.begin() + static_cast<std::ptrdiff_t>(place);
  std::nth_element(latencies.begin(), found, latencies.end());
  return std::chrono::duration<double, std::micro>(*found).count();
}

void Result::print_json(std::string_view poller, const Options& options) {
  std::printf(
      "{\"poller\": %s, \"connections\": %u, \"message_bytes\": %u, \"round_trips\": %zu, "
      "\"seconds\": %.6f, \"round_trips_per_second\": %.1f, \"p50_microseconds\": %.1f, "
      "\"p99_microseconds\": %.1f, \"bytes_verified\": %llu, \"errors\": %u}\n",
      examples::to_json(poller).c_str(), options.connections, options.message_bytes,
      latencies.size(), seconds(), rate(), percentile(50), percentile(99),
      static_cast<unsigned long long>(bytes_verified), errors);
}

void Result::print_sentence(std::string_view poller, const Options& options) {
  std::printf(
      "with %s, over %u connection%s: %zu round trips of %u bytes in %.2f s, which is %.0f a "
      "second; "
      "half of them took at most %.1f microseconds, 99 of 100 at most %.1f; %llu bytes compared\n",
      std::string(poller).c_str(), options.connections, options.connections == 1 ? "" : "s",
      latencies.size(), options.message_bytes, seconds(), rate(), percentile(50), percentile(99),
      static_cast<unsigned long long>(bytes_verified));
}

void require_descriptors(unsigned connections) {
  constexpr unsigned kOthers = 32;  // standard streams, the poller, the loop's own
  const std::uint64_t needed = std::uint64_t{connections} + kOthers;
  const std::uint64_t granted = pollard::raise_descriptor_limit(needed);
  if (granted >= needed) return;
  throw std::runtime_error(std::to_string(connections) + " connections need " +
                           std::to_string(needed) + " descriptors, and this process may have " +
                           std::to_string(granted) +
                           "; raise the limit (ulimit -n), or take fewer");
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app("Loads an echo server, and compares every byte that comes back.");
  app.add("--connect", options.connect, "127.0.0.1:7007, [::1]:7007, localhost:7007 or unix:/path");
  app.add("--connections", options.connections, "how many at a time", 1, 1'000'000);
  app.add_threads(options.threads);
  app.add("--message-bytes", options.message_bytes, "the size of each message", 1, 64 << 20);
  app.add("--round-trips", options.round_trips, "of all connections together", 0,
          std::uint64_t{1} << 32U);
  app.add("--timeout", options.timeout, "seconds, for everything", 0.001, 1e6);
  app.add_flag("--json", options.json, "the result as a JSON object");
  if (const auto status = app.parse(argc, argv)) return *status;

  require_descriptors(options.connections);
  pollard::EventLoop loop({.poller = poller});
  const auto client = std::make_shared<Client>(loop, options, poller);
  const examples::StopSignals signals(loop, [&client] { client->stop(); });
  Result result = client->run();
  if (options.json) {
    result.print_json(loop.poller_name(), options);
  } else if (result.errors == 0) {
    result.print_sentence(loop.poller_name(), options);
  }
  return result.errors == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "echo_client: " << error.what() << '\n';
  return 1;
}
