#include "pollard/net/tcp/internal/loop_connections.h"

#include <algorithm>
#include <utility>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/internal/connection_group.h"

namespace pollard {

LoopConnections::LoopConnections(EventLoop& loop) : LoopPart(loop) {}

LoopConnections::~LoopConnections() = default;

void LoopConnections::allocate() {
  if (memory_ != nullptr) return;
  spare_queues_.reserve(kSpareQueues);
  const std::size_t space = std::min(options().receive_buffer_bytes, kFirstSpaceBytes);
  // Not make_unique, which would write zeros that no one reads.
  memory_.reset(new std::byte[kScratchBytes + space]);
  receive_space = {memory_.get() + kScratchBytes, space};
}

void LoopConnections::widen_receive_space() {
  const std::size_t wide = options().receive_buffer_bytes;
  if (receive_space.size() == wide) return;
  wide_space_ = platform::allocate_huge_pages(wide);
  if (wide_space_ != nullptr) receive_space = {wide_space_.get(), wide};
}

std::unique_ptr<OutputQueue> LoopConnections::take_queue() {
  if (spare_queues_.empty()) return std::make_unique<OutputQueue>();
  std::unique_ptr<OutputQueue> queue = std::move(spare_queues_.back());
  spare_queues_.pop_back();
  return queue;
}

void LoopConnections::give_back(std::unique_ptr<OutputQueue> queue) noexcept {
  if (spare_queues_.size() < kSpareQueues) spare_queues_.push_back(std::move(queue));
}

void LoopConnections::release_retired() {
  while (retired_ != nullptr) {
    const std::shared_ptr<ConnectionGroup> group = std::move(retired_);
    retired_ = std::move(group->next_retiring_);
    group->finish_retired();
  }
}

}  // namespace pollard
