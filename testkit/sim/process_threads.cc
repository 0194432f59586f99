#include "pollard/testkit/sim/process_threads.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

// These are questions to the real kernel about the real process, beside the table of system calls:
// nobody wants to see them fail in a test.

namespace pollard::sim {
namespace {

constexpr char kTasks[] = "/proc/self/task";

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

std::string path_of(const std::string& thread) { return std::string(kTasks) + '/' + thread; }

std::optional<std::vector<std::string>> all_threads() {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(kTasks));
  if (folder == nullptr) return std::nullopt;
  std::vector<std::string> threads;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] != '.') threads.emplace_back(entry->d_name);
  }
  return threads;
}

// Field 3 of proc(5)'s stat, behind the name in parentheses: 'S' is a sleep that can be
// interrupted; in all others the thread runs, wants to, or will soon.
char state_of(const std::string& thread) {
  const std::string path = path_of(thread) + "/stat";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 'S';  // it has ended
  char text[512];
  const ssize_t size = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  text[size < 0 ? 0 : size] = '\0';
  const char* behind_name = std::strrchr(text, ')');
  return behind_name == nullptr || behind_name[1] == '\0' ? 'S' : behind_name[2];
}

}  // namespace

std::optional<std::vector<std::string>> other_threads() {
  char own[64];
  const ssize_t size = ::readlink("/proc/thread-self", own, sizeof own);
  if (size < 0) return std::nullopt;
  const std::string_view path(own, static_cast<std::size_t>(size));
  std::optional<std::vector<std::string>> threads = all_threads();
  if (threads.has_value()) std::erase(*threads, path.substr(path.rfind('/') + 1));
  return threads;
}

std::optional<std::size_t> count_threads_beside(const std::vector<std::string>& some) {
  struct stat status {};
  // A folder's links are those of its own and one for each folder in it.
  if (::stat(kTasks, &status) != 0 || status.st_nlink < 3) return std::nullopt;
  const auto lives = [](const std::string& thread) {
    return ::access(path_of(thread).c_str(), F_OK) == 0;
  };
  const auto living = static_cast<std::size_t>(std::ranges::count_if(some, lives));
  return static_cast<std::size_t>(status.st_nlink) - 2 - living;
}

std::optional<bool> others_sleep() {
  const std::optional<std::vector<std::string>> threads = all_threads();
  if (!threads.has_value()) return std::nullopt;
  const auto awake = std::ranges::count_if(*threads, [](const std::string& thread) {
    const char state = state_of(thread);
    return state != 'S' && state != 'Z' && state != 'X';
  });
  return awake <= 1;  // the one that asks
}

}  // namespace pollard::sim
