#include "pollard/platform/standard_error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "pollard/base/standard_error.h"
#include "pollard/platform/pipe_signal.h"
#include "pollard/platform/system_calls.h"

namespace pollard::platform {
namespace {

// Atomics, for a thread may log while another one remembers anew. Zero is a file of no kind.
constinit std::atomic<std::uint64_t> device{0};
constinit std::atomic<std::uint64_t> number{0};
constinit std::atomic<std::uint32_t> file_kind{0};

std::uint32_t kind_of(const struct stat& status) {
  return static_cast<std::uint32_t>(status.st_mode) & static_cast<std::uint32_t>(S_IFMT);
}

bool is_same(const struct stat& status) {
  return static_cast<std::uint64_t>(status.st_dev) == device.load() &&
         static_cast<std::uint64_t>(status.st_ino) == number.load() &&
         kind_of(status) == file_kind.load();
}

// On the real kernel, although a test may have put another one in force.
bool is_standard_error() {
  struct stat status {};
  if (file_kind.load() == 0 || ::fstat(STDERR_FILENO, &status) != 0) return false;
  if (is_same(status)) return true;
  const int flags = real_system_calls().fcntl(STDERR_FILENO, F_GETFD, 0);
  return !S_ISSOCK(status.st_mode) && flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

// One call for the whole line: lines of several processes don't mix.
void write_line(std::span<const std::string_view> pieces) noexcept {
  const int kept_errno = errno;
  if (is_standard_error()) {
    std::array<iovec, kMostPieces> vectors;
    const std::size_t count = std::min(pieces.size(), kMostPieces);
    for (std::size_t i = 0; i < count; ++i) {
      // The interface is older than const: writev doesn't write there.
      vectors[i].iov_base = const_cast<char*>(pieces[i].data());  // NOLINT
      vectors[i].iov_len = pieces[i].size();
    }
    HeldPipeSignal held;
    ::ssize_t written = 0;
    do {
      written = ::writev(STDERR_FILENO, vectors.data(), static_cast<int>(count));
    } while (written < 0 && errno == EINTR);
    if (written < 0) held.take_away();
  }
  errno = kept_errno;
}

}  // namespace

void remember_standard_error() noexcept {
  struct stat status {};
  const bool is_open = ::fstat(STDERR_FILENO, &status) == 0;
  device = is_open ? static_cast<std::uint64_t>(status.st_dev) : 0;
  number = is_open ? static_cast<std::uint64_t>(status.st_ino) : 0;
  file_kind = is_open ? kind_of(status) : 0;
  set_line_writer(write_line);
}

}  // namespace pollard::platform
