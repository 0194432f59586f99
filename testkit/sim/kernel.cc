#include "pollard/testkit/sim/kernel.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/testkit/sim/addresses.h"
#include "pollard/testkit/sim/machine.h"
#include "pollard/testkit/sim/table.h"
#include "pollard/testkit/sim/tcp_socket.h"
#include "pollard/testkit/sim/unix_socket.h"

namespace pollard::sim {
namespace {

std::atomic<Kernel*> current_kernel{nullptr};

// The state may be looked at without a call of the program's: no time passes, nothing is counted.
std::unique_lock<std::mutex> look_into(Machine& machine) { return machine.sleepers.enter(); }

}  // namespace

KernelOptions worst_settings() {
  constexpr std::size_t kLittle = 2048;
  KernelOptions options{.send_buffer = kLittle, .receive_buffer = kLittle, .pipe_buffer = kLittle};
  options.latency = std::chrono::milliseconds(1);
  options.latency_jitter = std::chrono::milliseconds(49);
  options.profile.tick = std::chrono::milliseconds(100);
  options.profile.short_waits_end_early = true;
  return options;
}

Kernel::Kernel(KernelOptions options) : machine_(std::make_unique<Machine>(std::move(options))) {
  POLLARD_ASSERT(current_kernel.exchange(this) == nullptr, "one simulated kernel at a time");
  set_machine(machine_.get());
  installed_ = std::make_unique<platform::ScopedSystemCalls>(simulated_system_calls());
}

Kernel::~Kernel() {
  installed_.reset();
  set_machine(nullptr);
  current_kernel = nullptr;
}

Kernel* Kernel::current() { return current_kernel; }

// NOLINTNEXTLINE(readability-convert-member-functions-to-static): it is this kernel's
const platform::SystemCalls& Kernel::system_calls() const { return simulated_system_calls(); }

std::vector<OpenDescriptor> Kernel::open_descriptors() const {
  const auto lock = look_into(*machine_);
  std::vector<OpenDescriptor> open;
  machine_->descriptors.for_each([&](int fd, const File& file) {
    open.push_back({fd, file.describe()});
  });
  return open;
}

std::uint64_t Kernel::calls() const {
  const auto lock = look_into(*machine_);
  return machine_->calls;
}

std::uint64_t Kernel::waits() const {
  const auto lock = look_into(*machine_);
  return machine_->waits;
}

MonotonicTime Kernel::now() const {
  const auto lock = look_into(*machine_);
  return machine_->clock.now();
}

void Kernel::advance(Duration interval) {
  POLLARD_ASSERT(interval >= Duration::zero(), "time doesn't go back");
  const auto lock = look_into(*machine_);
  machine_->clock.pass(interval);
  machine_->sleepers.wake();
}

void Kernel::let_arrive() {
  const auto lock = look_into(*machine_);
  while (machine_->packets_under_way > 0) machine_->clock.move_to(*machine_->clock.next());
  machine_->sleepers.wake();
}

void Kernel::jump_wall_clock(Duration interval) {
  const auto lock = look_into(*machine_);
  machine_->clock.jump_wall_clock(interval);
}

void Kernel::silence(const platform::Endpoint& address) {
  const auto lock = look_into(*machine_);
  machine_->network.set_rule(unmapped(address), Route::kSilent);
}

void Kernel::refuse(const platform::Endpoint& address) {
  const auto lock = look_into(*machine_);
  machine_->network.set_rule(unmapped(address), Route::kRefusing);
}

void Kernel::restore(const platform::Endpoint& address) {
  const auto lock = look_into(*machine_);
  machine_->network.drop_rule(unmapped(address));
}

bool Kernel::cut(const platform::Endpoint& local) {
  const auto lock = look_into(*machine_);
  const auto socket = machine_->network.find_connection(unmapped(local));
  return socket != nullptr && socket->cut();
}

bool Kernel::stall(const platform::Endpoint& local) {
  const auto lock = look_into(*machine_);
  const auto socket = machine_->network.find_connection(unmapped(local));
  return socket != nullptr && socket->set_stalled(true);
}

bool Kernel::resume(const platform::Endpoint& local) {
  const auto lock = look_into(*machine_);
  const auto socket = machine_->network.find_connection(unmapped(local));
  return socket != nullptr && socket->set_stalled(false);
}

int Kernel::socketpair(int fds[2]) {
  const Entry entry(*machine_);
  if (const int full = machine_->descriptors.room_for(2, 2); full != 0) return full;
  const auto left = std::make_shared<UnixSocket>(*machine_);
  const auto right = std::make_shared<UnixSocket>(*machine_);
  UnixSocket::join(left, right);
  fds[0] = machine_->descriptors.open(left, false);
  fds[1] = machine_->descriptors.open(right, false);
  return 0;
}

}  // namespace pollard::sim
