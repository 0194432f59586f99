#include "pollard/net/loop/internal/wake_watcher.h"

#include <system_error>

#include "pollard/net/loop/event_loop.h"

namespace pollard {

WakeWatcher::WakeWatcher(EventLoop& loop, platform::WakeDescriptor& descriptor)
    : Watcher(loop), descriptor_(descriptor) {
  const bool edge = loop.poller_capabilities().edge_triggered && descriptor.rings_undrained();
  const std::error_code refused =
      watch(descriptor.fd(), Interest::kRead, edge ? Trigger::kEdge : Trigger::kLevel);
  if (refused) throw std::system_error(refused, "watching the loop's wake descriptor");
}

void WakeWatcher::on_ready(Readiness) {
  ++count_;
  if (trigger() == Trigger::kLevel) descriptor_.drain();
}

}  // namespace pollard
