#include "pollard/platform/wake.h"

#include <fcntl.h>

#include <cstdint>

#include "pollard/platform/failure.h"
#include "pollard/platform/io.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {

WakeDescriptor::WakeDescriptor() {
  // EFD_NONBLOCK and EFD_CLOEXEC are these two by definition (eventfd(2)).
  const Result made(system_calls().eventfd(0, O_NONBLOCK | O_CLOEXEC));
  if (made.ok()) {
    read_.reset(made.descriptor());
    return;
  }
  if (!is_absent(made)) {
    throw std::system_error(made.error(), "eventfd");
  }
  const Result pipe = open_pipe(read_, write_);
  if (!pipe.ok()) throw std::system_error(pipe.error(), "pipe");
}

void WakeDescriptor::wake() noexcept {
  // An eventfd takes eight bytes and adds them; a pipe takes any. Full means already readable.
  static constexpr std::uint64_t kOne = 1;
  const int fd = write_ ? write_.get() : read_.get();
  static_cast<void>(
      retry_interrupted([fd] { return Result(system_calls().write(fd, &kOne, sizeof kOne)); }));
}

void WakeDescriptor::drain() noexcept {
  std::uint64_t bytes[64];
  for (;;) {
    const Result got = retry_interrupted(
        [&] { return Result(system_calls().read(read_.get(), bytes, sizeof bytes)); });
    // One read empties an eventfd; a pipe is empty after a short read.
    if (!got.ok() || got.count() < sizeof bytes) return;
  }
}

bool WakeDescriptor::rings_undrained() const { return POLLARD_HAS_EPOLL != 0 && !write_; }

}  // namespace pollard::platform
