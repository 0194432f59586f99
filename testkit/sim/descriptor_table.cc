#include "pollard/testkit/sim/descriptor_table.h"

#include <algorithm>
#include <cerrno>

namespace pollard::sim {

int DescriptorTable::room_for(std::size_t descriptors, std::size_t files) const {
  if (open_files_ + files > limits_.files) return -ENFILE;
  return open_descriptors_ + descriptors > limits_.descriptors ? -EMFILE : 0;
}

int DescriptorTable::open(std::shared_ptr<File> file, bool close_on_exec, int at_least) {
  const bool fresh = !file->has_descriptors();
  if (const int full = room_for(1, fresh ? 1 : 0); full != 0) return full;
  std::size_t place = std::max(lowest_free_, owns(at_least) ? index(at_least) : 0);
  while (place < slots_.size() && slots_[place].file != nullptr) ++place;
  if (place >= limits_.descriptors) return at_least > 0 ? -EINVAL : -EMFILE;
  if (place >= slots_.size()) slots_.resize(place + 1);
  if (place == lowest_free_) ++lowest_free_;
  file->descriptor_opened();
  slots_[place] = {std::move(file), close_on_exec};
  ++open_descriptors_;
  if (fresh) ++open_files_;
  return limits_.first + static_cast<int>(place);
}

int DescriptorTable::close(int fd) {
  const std::shared_ptr<File> file = find(fd);
  if (file == nullptr) return -EBADF;
  slots_[index(fd)] = {};
  lowest_free_ = std::min(lowest_free_, index(fd));
  --open_descriptors_;
  file->descriptor_closed(fd);
  if (!file->has_descriptors()) --open_files_;
  return 0;
}

std::shared_ptr<File> DescriptorTable::find(int fd) const {
  return owns(fd) && index(fd) < slots_.size() ? slots_[index(fd)].file : nullptr;
}

}  // namespace pollard::sim
