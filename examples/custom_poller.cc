// A poller of your own, beside those of the library: registered under a name, checked by the
// conformance kit, and used like any other.
//
//     custom_poller --check
//     custom_poller --listen=127.0.0.1:7007
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
#include "pollard/poller/mechanism.h"
#include "pollard/poller/registry.h"
#include "pollard/testkit/conformance/conformance.h"
#include "support/options.h"
#include "support/stop_signals.h"

namespace {

using namespace std::chrono_literals;
namespace conformance = pollard::conformance;
using pollard::DescriptorState;
using pollard::Duration;
using pollard::Interest;
using pollard::platform::Result;

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
    Interest interest;
  };

  std::error_code apply(int fd, Interest from, Interest to) override {
    if (from == Interest::kNone) {
      // A refusal is the answer of add(). A change that rides along with a wait can't be refused
      // any more: the scan will find out, and evict.
      DescriptorState state;
      if (!may_defer() && pollard::ask_readiness(fd, Interest::kNone, state).ok() && state.closed) {
        return std::make_error_code(std::errc::bad_file_descriptor);
      }
      watched_.push_back({fd, to});
      return {};
    }
    const auto found = std::ranges::find(watched_, fd, &Watched::fd);
    if (to == Interest::kNone) {
      watched_.erase(found);
    } else {
      found->interest = to;
    }
    return {};
  }

  Result collect(Duration timeout) override {
    const pollard::MonotonicTime start = pollard::monotonic_now();
    for (;;) {
      Result done = scan();
      const Duration waited = pollard::monotonic_now() - start;
      const bool is_over = waited >= timeout;
      if (done.ok() && (!found_nothing() || is_over)) return done;
      if (done.ok()) done = pollard::sleep_unless_interrupted(1ms);
      if (!done.ok()) return done;  // a signal: that is a wait that found nothing
    }
  }

  // Asks each descriptor once, from where the last scan ended, so that none is always served first.
  Result scan() {
    std::vector<int> closed;
    const std::size_t count = watched_.size();
    for (std::size_t i = 0; i < count && !batch_full(); ++i) {
      next_ = next_ < count ? next_ : 0;
      const Watched& watched = watched_[next_++];
      DescriptorState state;
      const Result asked = pollard::ask_readiness(watched.fd, watched.interest, state);
      if (!asked.ok()) return asked;
      if (state.closed) {
        closed.push_back(watched.fd);
      } else if (const unsigned bits = to_bits(state); bits != 0) {
        report(watched.fd, bits);
      }
    }
    for (const int fd : closed) evict(fd);
    return {};
  }

  // An end or an error is readable and writable, whatever the mechanism calls it.
  static unsigned to_bits(const pollard::Readiness& ready) {
    unsigned bits = 0;
    if (ready.readable) bits |= kReadable;
    if (ready.writable) bits |= kWritable;
    if (ready.hangup) bits |= kReadable | kWritable | kHangup;
    if (ready.error) bits |= kReadable | kWritable | kError;
    return bits;
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
  examples::Options app("Sends back what it gets, on a poller of its own.", "");
  app.add("--listen", listen, "where to listen; port 0 is any free one");
  app.add_flag("--check", checks, "runs the conformance kit over the poller instead");
  if (const auto status = app.parse(argc, argv)) return *status;
  if (checks) return check();
  serve(listen, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "custom_poller: " << error.what() << '\n';
  return 1;
}
