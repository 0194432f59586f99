// Numbers for files: the lowest free one is given out, up to a limit of numbers (EMFILE) and of
// files (ENFILE).
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "pollard/testkit/sim/file.h"

namespace pollard::sim {

class DescriptorTable {
 public:
  struct Limits {
    int first;
    std::size_t descriptors;
    std::size_t files;
  };
  explicit DescriptorTable(Limits limits) : limits_(limits) {}

  /// A number for the file, at least this one; or -EMFILE, -ENFILE, -EINVAL.
  int open(std::shared_ptr<File> file, bool close_on_exec, int at_least = 0);
  /// Whether so many more can be opened; 0, -EMFILE or -ENFILE. For calls that must not make
  /// anything before they know.
  [[nodiscard]] int room_for(std::size_t descriptors, std::size_t files) const;
  /// 0 or -EBADF.
  int close(int fd);

  /// Null for a number that is not open.
  [[nodiscard]] std::shared_ptr<File> find(int fd) const;
  [[nodiscard]] bool close_on_exec(int fd) const { return slots_[index(fd)].close_on_exec; }
  void set_close_on_exec(int fd, bool on) { slots_[index(fd)].close_on_exec = on; }

  /// Whether a number is this table's to give: all others are the real kernel's, or nobody's.
  [[nodiscard]] bool owns(int fd) const { return fd >= limits_.first; }

  /// Calls `visit(fd, file)` by number.
  template <class Visitor>
  void for_each(Visitor visit) const {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].file != nullptr) visit(limits_.first + static_cast<int>(i), *slots_[i].file);
    }
  }

 private:
  struct Slot {
    std::shared_ptr<File> file;
    bool close_on_exec = false;
  };
  [[nodiscard]] std::size_t index(int fd) const {
    return static_cast<std::size_t>(fd - limits_.first);
  }

  Limits limits_;
  std::vector<Slot> slots_;
  std::size_t lowest_free_ = 0;  // none below it is free
  std::size_t open_descriptors_ = 0;
  std::size_t open_files_ = 0;
};

}  // namespace pollard::sim
