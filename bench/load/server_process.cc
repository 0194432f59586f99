#include "load/server_process.h"

#include <cerrno>
#include <ctime>
#include <fstream>
#include <string>

#include "support/sockets.h"

namespace load {

ServerProcess::ServerProcess(pid_t process) : process_(process) {
  if (process == 0) return;
  errno = clock_getcpuclockid(process, &clock_);
  if (errno != 0) bench::die("clock_getcpuclockid " + std::to_string(process));
}

std::int64_t ServerProcess::processor_time() const {
  if (process_ == 0) return 0;
  timespec time{};
  if (clock_gettime(clock_, &time) != 0) bench::die("clock_gettime");
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::int64_t ServerProcess::memory() const {
  if (process_ == 0) return 0;
  std::ifstream status("/proc/" + std::to_string(process_) + "/smaps_rollup");
  std::int64_t kibibytes = 0;
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("Private_Dirty:", 0) == 0) kibibytes = std::stoll(line.substr(14));
  }
  return kibibytes * 1024;
}

}  // namespace load
