#include "pollard/testkit/sim/file.h"

#include "pollard/testkit/sim/machine.h"

namespace pollard::sim {

void File::descriptor_closed(int fd) {
  const std::vector<Watcher*> told = watchers_;  // they may leave
  for (Watcher* watcher : told) watcher->descriptor_closed(fd);
  if (--descriptors_ > 0) return;
  while (!watchers_.empty()) watchers_.back()->file_closed();
  closed();
  machine_.sleepers.wake();
}

void File::notify(const Change& change) {
  for (Watcher* watcher : watchers_) watcher->changed(change);
  machine_.sleepers.wake();
}

}  // namespace pollard::sim
