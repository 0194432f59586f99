// An echo server that shows what it does: as text for Prometheus, over HTTP/1.0.
//
//     metrics --listen=127.0.0.1:7007 --metrics=127.0.0.1:9107 --threads=2
//     curl http://127.0.0.1:9107/metrics
#include <array>
#include <chrono>
#include <concepts>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/http.h"
#include "support/options.h"
#include "support/stop_signals.h"
#include "support/where.h"

using namespace std::chrono_literals;

namespace {

struct Options {
  std::string listen = "127.0.0.1:7007";
  std::string metrics = "127.0.0.1:9107";
  unsigned threads = 0;
  examples::HttpPatience patience;
  unsigned slow_iteration = 100;  // milliseconds
};

// The text format of Prometheus, version 0.0.4: a HELP and a TYPE line for each metric, then its
// samples, each with its labels.
class Exposition {
 public:
  void metric(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " +
             std::string(type) + "\n";
  }
  void sample(std::integral auto value, std::string_view labels = "") {
    add(labels, std::to_string(value));
  }
  void sample(pollard::Duration value, std::string_view labels) {
    add(labels, std::to_string(std::chrono::duration<double>(value).count()));
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    metric(name, "counter", help);
    sample(value);
  }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void add(std::string_view labels, const std::string& value) {
    text_ += name_;
    if (!labels.empty()) text_ += "{" + std::string(labels) + "}";
    text_ += " " + value + "\n";
  }

  std::string name_;
  std::string text_;
};

void expose_server(const pollard::TcpServerStats& stats, Exposition& to) {
  to.counter("pollard_connections_accepted_total", "Connections accepted.", stats.accepted);
  to.counter("pollard_connections_refused_total", "Closed at once, for the maximum was reached.",
             stats.refused);
  to.counter("pollard_connections_turned_away_total", "Closed at once, for want of descriptors.",
             stats.rejected_no_descriptors);
  to.counter("pollard_connections_aborted_total", "Gone before they were accepted.", stats.aborted);
  to.counter("pollard_connections_failed_total", "Accepted, but not to be watched.", stats.failed);
  to.counter("pollard_accept_pauses_total", "Pauses of accepting, for want of something.",
             stats.accept_pauses);
  to.counter("pollard_listen_failures_total", "Listening sockets that ended.",
             stats.listen_failures);
  to.counter("pollard_received_bytes_total", "Bytes received.", stats.bytes_received);
  to.counter("pollard_sent_bytes_total", "Bytes sent.", stats.bytes_sent);
  to.counter("pollard_sends_dropped_total", "Sends after the end of their connection.",
             stats.sends_dropped);
  to.metric("pollard_connections_open", "gauge", "Connections that are open.");
  to.sample(stats.open);
  to.metric("pollard_disconnections_total", "counter", "Ended connections, by what ended them.");
  static constexpr std::array kReasons = {"peer", "local", "timeout", "error", "exception"};
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    to.sample(stats.closed[i], "reason=\"" + std::string(kReasons[i]) + "\"");
  }
}

void expose_threads(const std::vector<pollard::TcpServerThread>& threads, Exposition& to) {
  using Thread = pollard::TcpServerThread;
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                        auto value) {
    to.metric(name, type, help);
    for (std::size_t i = 0; i < threads.size(); ++i) {
      to.sample(value(threads[i]),
                "thread=\"" + std::to_string(i) + "\",poller=\"" + threads[i].poller + "\"");
    }
  };
  each("pollard_loop_turns_total", "counter", "Turns of the event loop.",
       [](const Thread& thread) { return thread.loop.iterations; });
  each("pollard_loop_waits_total", "counter", "Waits in the kernel.",
       [](const Thread& thread) { return thread.loop.waits; });
  each("pollard_loop_events_total", "counter", "Ready descriptors handed to handlers.",
       [](const Thread& thread) { return thread.loop.events; });
  each("pollard_loop_tasks_total", "counter", "Posted tasks that ran.",
       [](const Thread& thread) { return thread.loop.tasks; });
  each("pollard_loop_timers_total", "counter", "Timers that happened.",
       [](const Thread& thread) { return thread.loop.timers; });
  each("pollard_loop_wakeups_total", "counter", "Sleeps ended by another thread.",
       [](const Thread& thread) { return thread.loop.wakeups; });
  each("pollard_loop_stale_events_total", "counter", "Events of registrations that had ended.",
       [](const Thread& thread) { return thread.loop.stale_events; });
  each("pollard_loop_slow_turns_total", "counter", "Turns that took more than --slow-turn.",
       [](const Thread& thread) { return thread.loop.slow_iterations; });
  each("pollard_loop_longest_turn_seconds", "gauge", "The longest turn, the wait left out.",
       [](const Thread& thread) { return thread.loop.longest_iteration; });
  each("pollard_loop_watched_descriptors", "gauge", "Descriptors that are watched.",
       [](const Thread& thread) { return thread.loop.watched; });
  each("pollard_thread_connections_open", "gauge", "Connections that are open in the thread.",
       [](const Thread& thread) { return thread.open; });
  each("pollard_thread_buffer_bytes", "gauge", "Memory in the buffers of its connections.",
       [](const Thread& thread) { return thread.buffer_memory; });
}

std::string answer(const examples::HttpRequest& request, const pollard::TcpServer& echo) {
  if (request.method != "GET" || request.target != "/metrics") {
    return examples::text_response("404 Not Found", "try GET /metrics\n");
  }
  Exposition all;
  expose_server(echo.stats(), all);
  expose_threads(echo.threads(), all);
  return examples::response_head("200 OK", "text/plain; version=0.0.4; charset=utf-8",
                                 all.text().size()) +
         all.text();
}

pollard::EventLoopOptions watched_loop(std::chrono::milliseconds slow_iteration) {
  return {.slow_iteration = {.limit = slow_iteration, .callback = [](pollard::Duration took) {
                               std::cerr << "metrics: a turn took " +
                                                std::to_string(
                                                    std::chrono::duration<double>(took).count()) +
                                                " s\n";
                             }}};
}

void serve(const Options& options, const pollard::PollerChoice& poller) {
  pollard::raise_descriptor_limit(1U << 20U);
  const std::chrono::milliseconds slow_iteration(options.slow_iteration);
  pollard::EventLoopOptions loop_options = watched_loop(slow_iteration);
  loop_options.poller = poller;
  pollard::EventLoop loop(std::move(loop_options));
  pollard::TcpServer echo(
      loop, pollard::HostPort::parse(options.listen),
      {.on_message = [](const pollard::TcpConnectionPtr& connection,
                        pollard::Buffer& input) { connection->send(input); }},
      {.threads = options.threads,
       .thread_options = [slow_iteration](unsigned) { return watched_loop(slow_iteration); },
       .connection = {.pause_reading_when_full = true}});
  // In the loop of the echo server, whose counts it reads.
  pollard::TcpServer metrics(
      loop, pollard::HostPort::parse(options.metrics),
      examples::one_request_each(
          options.patience,
          [&echo](const pollard::TcpConnectionPtr& client, const examples::HttpRequest& request) {
            client->send(answer(request, echo));
          }),
      {.max_connections = 64,
       .connection = {.timeouts = examples::request_limits(options.patience)}});

  const examples::StopSignals signals(loop, [&] {
    metrics.stop();
    echo.stop_gracefully(5s, [&loop] { loop.stop(); });
  });
  echo.start();
  metrics.start();
  std::cout << "echo: listening on " << examples::where(echo) << " with " << loop.poller_name()
            << "\nmetrics: listening on " << examples::where(metrics) << " with "
            << loop.poller_name() << std::endl;
  loop.run();
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app("Echoes, and shows its counts as Prometheus text.");
  app.add("--listen", options.listen, "where it echoes; port 0: any");
  app.add("--metrics", options.metrics, "where it answers GET /metrics; port 0: any");
  app.add_threads(options.threads);
  examples::add_patience_options(app, options.patience);
  app.add("--slow-turn", options.slow_iteration,
          "milliseconds from which a turn of a loop is reported as slow");
  if (const auto status = app.parse(argc, argv)) return *status;

  serve(options, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "metrics: " << error.what() << '\n';
  return 1;
}
