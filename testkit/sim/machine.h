// All that the simulated kernel consists of, and the one way into it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "pollard/base/clock.h"
#include "pollard/base/random.h"
#include "pollard/testkit/sim/clock.h"
#include "pollard/testkit/sim/descriptor_table.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/testkit/sim/network.h"
#include "pollard/testkit/sim/sleepers.h"

namespace pollard::sim {

struct Machine {
  explicit Machine(KernelOptions given);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// The file behind a number: ours, or a stand-in for one of the real kernel's. Null: EBADF.
  [[nodiscard]] std::shared_ptr<File> find(int fd);

  /// What the next packet takes from one TCP socket to the other.
  [[nodiscard]] Duration packet_delay();
  /// When a wait with this timeout ends: at a tick of the profile's clock.
  [[nodiscard]] MonotonicTime end_of_wait(Duration timeout) const;

  const KernelOptions options;
  std::uint64_t calls = 0;
  std::uint64_t waits = 0;
  std::uint64_t packets_under_way = 0;
  Clock clock;
  Sleepers sleepers;
  SplitMix64 random;
  Network network;
  std::map<int, std::shared_ptr<File>> outside;  // stand-ins, by their real number
  DescriptorTable descriptors;                   // the last: files use all else when they end
};

/// A call in progress: the kernel is its own until it sleeps or returns.
class Entry {
 public:
  explicit Entry(Machine& machine) : machine_(machine), lock_(machine.sleepers.enter()) {
    ++machine.calls;
    if (machine.options.call_time > Duration::zero()) pass(machine.options.call_time);
  }

  /// Sleeps until `ready()` answers something other than 0, which is the answer, or until the
  /// deadline, when it is 0.
  template <class Ready>
  auto wait(std::optional<MonotonicTime> deadline, Ready ready) -> decltype(ready()) {
    for (;;) {
      if (const auto answer = ready(); answer != 0) return answer;
      if (deadline.has_value() && machine_.clock.now() >= *deadline) return 0;
      machine_.sleepers.sleep(lock_, deadline);
    }
  }

  /// Makes `attempt()` until it doesn't answer -EAGAIN: what blocking files do.
  template <class Attempt>
  auto block_unless(bool nonblocking, Attempt attempt) -> decltype(attempt()) {
    for (;;) {
      const auto answer = attempt();
      if (answer != -EAGAIN || nonblocking) return answer;
      machine_.sleepers.sleep(lock_, std::nullopt);
    }
  }

 private:
  void pass(Duration interval) {
    machine_.clock.pass(interval);
    machine_.sleepers.wake_due();
  }

  Machine& machine_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace pollard::sim
