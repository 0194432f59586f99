// Slow work, done by workers beside the loop that serves everybody: each line is a whole number,
// and is answered by its prime factors. A large one takes seconds, and keeps nobody else waiting
// but those who asked behind it on the same connection.
//
//     worker_pool --listen=127.0.0.1:7010 --workers=4     then: echo 1000000016000000063 | nc -N …
//
// "status" is answered by what the workers do.
#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <future>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/requests/request_server.h"
#include "support/options.h"
#include "support/serve.h"

using namespace std::chrono_literals;
using pollard::RequestConnection;

namespace {

constexpr std::size_t kLongestLine = 100;

struct Options {
  std::string listen = "127.0.0.1:7010";
  unsigned threads = 0;
  unsigned workers = 0;
  std::size_t queue = 1024;
  bool refuse = false;
};

// Trial division: slow, as is what it stands for. Nothing when nobody wants it any more.
template <class Wanted>
std::optional<std::string> factors_of(std::uint64_t number, Wanted wanted) {
  std::string product;
  const auto add = [&](std::uint64_t factor) {
    product += (product.empty() ? "" : " * ") + std::to_string(factor);
  };
  std::uint64_t rest = number;
  for (std::uint64_t divisor = 2; divisor <= rest / divisor; divisor += divisor > 2 ? 2 : 1) {
    if (divisor % (1U << 20U) == 1 && !wanted()) return std::nullopt;
    for (; rest % divisor == 0 && rest > divisor; rest /= divisor) add(divisor);
  }
  add(rest);
  return product;
}

std::string status_of(const pollard::RequestServer& server) {
  const pollard::RequestServerStats stats = server.stats();
  return "connections " + std::to_string(stats.open) + ", requests " +
         std::to_string(stats.requests) + ", workers " + std::to_string(stats.workers.workers) +
         ", busy " + std::to_string(stats.workers.busy) + ", queued " +
         std::to_string(stats.workers.queued + stats.workers.waiting) + ", turned away " +
         std::to_string(stats.rejected_queue_full);
}

std::string answer(RequestConnection& connection, std::string_view line) {
  std::uint64_t number = 0;
  const char* end = line.data() + line.size();
  const auto [stopped, error] = std::from_chars(line.data(), end, number);
  if (error == std::errc::result_out_of_range) return "error: more than 18446744073709551615";
  if (error != std::errc() || stopped != end) return "error: a whole number is expected";
  const auto factors = factors_of(number, [&] { return !connection.cancelled(); });
  if (!factors.has_value()) return {};  // which nobody gets
  return std::string(line) + " = " + *factors;
}

class Service {
 public:
  Service(pollard::EventLoop& loop, const Options& options)
      : server_(loop, pollard::HostPort::parse(options.listen),
                {.on_request = [this](RequestConnection& connection) { serve(connection); }},
                {.workers = {.workers = options.workers, .queue_limit = options.queue},
                 .when_full = options.refuse ? pollard::WhenWorkersFull::kCloseNewcomers
                                             : pollard::WhenWorkersFull::kWait,
                 .server = {.threads = options.threads}}),
        loop_(loop.handle()) {}

  pollard::RequestServer& server() { return server_; }

 private:
  // On a worker. Each answer leaves when it is ready, and not with the last.
  void serve(RequestConnection& connection) {
    while (auto line = connection.reader().read_until("\n")) {
      if (line->ends_with('\r')) line->remove_suffix(1);
      connection.writer().append((*line == "status" ? ask_status() : answer(connection, *line)) +
                                 "\n");
      connection.writer().flush();
      connection.reader().release();
    }
    if (connection.reader().size() > kLongestLine) {
      connection.writer().append("error: no number is so long\n");
      connection.close();
    }
  }

  // The server is its loop's: so that thread is asked.
  std::string ask_status() {
    std::promise<std::string> promise;
    std::future<std::string> status = promise.get_future();
    loop_.post([server = &server_, promise = std::move(promise)]() mutable {
      promise.set_value(status_of(*server));
    });
    return status.wait_for(1s) == std::future_status::ready ? status.get() : "error: no time";
  }

  pollard::RequestServer server_;
  pollard::LoopHandle loop_;
};

void serve(const Options& options, const pollard::PollerChoice& poller) {
  pollard::raise_descriptor_limit(1U << 20U);
  pollard::EventLoop loop({.poller = poller});
  Service service(loop, options);
  examples::serve_until_stopped(loop, service.server(), 5s);
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app(
      "Answers each line, a whole number, by its prime factors, found by workers.",
      "--poller=NAMES chooses the poller, as does the variable POLLARD_POLLER: poll, or\n"
      "\"kqueue,poll\" for the first of these that works. Without a choice: the best that works.");
  app.add("--listen", options.listen,
          "127.0.0.1:7010, [::1]:7010, localhost:7010, *:7010 (every interface) or\n"
          "unix:/path; 0: any port");
  app.add_threads(options.threads);
  app.add("--workers", options.workers, "threads that calculate; 0: one a processor", 0, 1024);
  app.add("--queue", options.queue, "connections that may stand in line for a worker");
  app.add_flag("--refuse", options.refuse, "close new connections while the line is full");
  if (const auto status = app.parse(argc, argv)) return *status;

  serve(options, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "worker_pool: " << error.what() << '\n';
  return 1;
}
