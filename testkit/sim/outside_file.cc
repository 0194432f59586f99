#include "pollard/testkit/sim/outside_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "pollard/platform/poll.h"

// The real kernel is asked about the real file beside the table of system calls, whose entries are
// the simulated kernel's own.

namespace pollard::sim {
namespace {

bool never_waits(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return false;
  return S_ISREG(status.st_mode) || (S_ISCHR(status.st_mode) && ::isatty(fd) == 0);
}

}  // namespace

OutsideFile::OutsideFile(Machine& machine, int fd)
    : File(machine), fd_(fd), ready_(never_waits(fd)) {}

std::uint32_t OutsideFile::poll() {
  return ready_ ? kReadable | kWritable : static_cast<std::uint32_t>(platform::kPollInvalid);
}

FilterState OutsideFile::read_filter() {
  struct stat status {};
  if (!ready_ || ::fstat(fd_, &status) != 0) return {};
  if (!S_ISREG(status.st_mode)) return {.active = true};
  const std::int64_t left = status.st_size - ::lseek(fd_, 0, SEEK_CUR);
  return {.active = left != 0, .data = left};
}

FilterState OutsideFile::write_filter() { return {.active = ready_}; }

}  // namespace pollard::sim
