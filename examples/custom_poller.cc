// A poller of your own, beside those of the library: registered under a name, checked by the
// conformance kit, and used like any other.
//
//     custom_poller --check
//     custom_poller --listen=127.0.0.1:7007
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/poll.h"
#include "pollard/platform/time.h"
#include "pollard/poller/registry.h"
// The kit is public, unlike the rest of tests/.
#include "pollard/testkit/conformance/conformance.h"  // tidy-allow(dependencies): see above
#include "support/stop_signals.h"

namespace {

using namespace std::chrono_literals;
namespace conformance = pollard::conformance;
namespace platform = pollard::platform;
using pollard::Duration;
using pollard::Interest;

// No edges; and a change costs no call, for the set is our own memory.
constexpr pollard::PollerCapabilities kCapabilities = {.batched_changes = true};

// Asks each descriptor by itself whether it is ready, and sleeps a millisecond when none is: the
// least that a mechanism can do. The base class keeps the table of registrations and the ready
// list; a backend answers two questions, apply() and collect().
class ScanPoller final : public pollard::Poller {
 public:
  ScanPoller() : Poller("scan", kCapabilities) {}

  [[nodiscard]] Duration resolution() const override { return 1ms; }

 private:
  struct Watched {
    int fd;
    short events;
  };

  std::error_code apply(int fd, Interest from, Interest to) override {
    if (from == Interest::kNone) {
      // A refusal is the answer of add(). A change that rides along with a wait can't be refused
      // any more: the scan will find out, and evict.
      platform::PollRecord record{.fd = fd, .events = 0, .revents = 0};
      if (!may_defer() && ask(record).ok() && (record.revents & platform::kPollInvalid) != 0) {
        return std::make_error_code(std::errc::bad_file_descriptor);
      }
      watched_.push_back({fd, to_events(to)});
      return {};
    }
    const auto found = std::ranges::find(watched_, fd, &Watched::fd);
    if (to == Interest::kNone) {
      watched_.erase(found);
    } else {
      found->events = to_events(to);
    }
    return {};
  }

  static short to_events(Interest interest) {
    int events = 0;
    if (wants_read(interest)) events |= platform::kPollIn;
    if (wants_write(interest)) events |= platform::kPollOut;
    return static_cast<short>(events);
  }

  platform::Result collect(Duration timeout) override {
    const pollard::MonotonicTime start = platform::monotonic_now();
    for (;;) {
      platform::Result done = scan();
      const Duration waited = platform::monotonic_now() - start;
      const bool is_over = waited >= timeout;
      if (done.ok() && (!found_nothing() || is_over)) return done;
      if (done.ok()) done = platform::poll_milliseconds({}, 1);
      if (!done.ok()) return done;  // a signal: that is a wait that found nothing
    }
  }

  // Everybody once, from where the last scan ended: nobody is always served first.
  platform::Result scan() {
    std::vector<int> closed;
    const std::size_t count = watched_.size();
    for (std::size_t i = 0; i < count && !batch_full(); ++i) {
      next_ = next_ < count ? next_ : 0;
      const Watched& watched = watched_[next_++];
      platform::PollRecord record{.fd = watched.fd, .events = watched.events, .revents = 0};
      const platform::Result asked = ask(record);
      if (!asked.ok()) return asked;
      if ((record.revents & platform::kPollInvalid) != 0) {
        closed.push_back(watched.fd);
      } else if (record.revents != 0) {
        report(watched.fd, ready_by(record.revents));
      }
    }
    for (const int fd : closed) evict(fd);
    return {};
  }

  // What poll says of one descriptor at once, in `revents`.
  static platform::Result ask(platform::PollRecord& record) {
    return platform::poll_milliseconds({&record, 1}, 0);
  }

  // An end or an error is readable and writable, whatever the mechanism calls it.
  static unsigned ready_by(int events) {
    unsigned ready = 0;
    if ((events & platform::kPollIn) != 0) ready |= kReadable;
    if ((events & platform::kPollOut) != 0) ready |= kWritable;
    if ((events & platform::kPollHangup) != 0) ready |= kReadable | kWritable | kHangup;
    if ((events & platform::kPollError) != 0) ready |= kReadable | kWritable | kError;
    return ready;
  }

  std::vector<Watched> watched_;
  std::size_t next_ = 0;  // whose turn it is
};

int check() {
  const conformance::Report report = conformance::run({conformance::registered_subject("scan")});
  conformance::print(std::cout, report);
  return report.failed() == 0 ? 0 : 1;
}

void serve(const std::string& address, const pollard::PollerChoice& poller) {
  pollard::EventLoop loop({.poller = poller});
  pollard::TcpServer server(
      loop, pollard::Address::parse(address),
      {.on_message = [](const pollard::TcpConnectionPtr& connection, pollard::Buffer& input) {
        connection->send(input);
      }});
  const examples::StopSignals signals(loop, [&loop] { loop.stop(); });
  server.start();
  std::cout << "listening on " << server.address().to_string() << " with " << loop.poller_name()
            << std::endl;
  loop.run();
}

}  // namespace

int main(int argc, char** argv) try {
  // From here on it is a poller like any other: --poller=scan, POLLARD_POLLER=scan.
  pollard::register_poller({.name = "scan", .capabilities = kCapabilities, .create = [] {
                              return std::make_unique<ScanPoller>();
                            }});
  pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);
  if (poller.names.empty()) poller = "scan";

  std::string listen = "127.0.0.1:7007";
  bool checks = false;
  CLI::App app("Sends back what it gets, on a poller of its own.");
  app.add_option("--listen", listen, "where to listen; port 0 is any free one")
      ->capture_default_str();
  app.add_flag("--check", checks, "runs the conformance kit over the poller instead");
  CLI11_PARSE(app, argc, argv);
  if (checks) return check();
  serve(listen, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "custom_poller: " << error.what() << '\n';
  return 1;
}
