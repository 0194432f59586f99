#include "pollard/testkit/sim/machine.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "pollard/testkit/sim/outside_file.h"
#include "pollard/testkit/sim/tcp_socket.h"

namespace pollard::sim {

Machine::Machine(KernelOptions given)
    : options(std::move(given)),
      clock(options.wall_clock),
      sleepers(clock),
      random(options.seed),
      network(options, random),
      descriptors({.first = options.first_descriptor,
                   .descriptors = options.descriptor_limit,
                   .files = options.file_limit}) {}

Machine::~Machine() {
  std::vector<int> open;
  descriptors.for_each([&](int fd, const File&) { open.push_back(fd); });
  for (const int fd : open) descriptors.close(fd);
  for (auto& [fd, file] : std::exchange(outside, {})) file->descriptor_closed(fd);
  clock.cancel_all();
  network.forget_all();
}

Duration Machine::packet_delay() {
  const Duration least = std::max(options.latency, options.profile.loopback_delay);
  const auto jitter = static_cast<std::uint64_t>(options.latency_jitter.count());
  return jitter == 0 ? least : least + Duration(static_cast<Duration::rep>(random.up_to(jitter)));
}

// As tstohz() of the BSDs counts: the ticks that cover the timeout, and one more, for the present
// tick is under way already.
MonotonicTime Machine::end_of_wait(Duration timeout) const {
  const Duration tick = options.profile.tick;
  const MonotonicTime exact = saturating_add(clock.now(), timeout);
  if (tick == Duration::zero() || timeout <= Duration::zero() || exact == MonotonicTime::max()) {
    return exact;
  }
  const Duration since_tick = clock.now().time_since_epoch() % tick;
  const Duration::rep ticks = (timeout - Duration(1)) / tick + 2;
  return saturating_add(clock.now() - since_tick, ticks * tick);
}

std::shared_ptr<File> Machine::find(int fd) {
  if (descriptors.owns(fd)) return descriptors.find(fd);
  if (fd < 0 || platform::real_system_calls().fcntl(fd, F_GETFD, 0) < 0) return nullptr;
  std::shared_ptr<File>& stand_in = outside[fd];
  if (stand_in == nullptr) {
    stand_in = std::make_shared<OutsideFile>(*this, fd);
    stand_in->descriptor_opened();
  }
  return stand_in;
}

}  // namespace pollard::sim
