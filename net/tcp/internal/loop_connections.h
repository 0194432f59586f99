// What the connections of one loop share: the memory in which they receive, what the running
// handler has sent, spare queues, and the list of those that have ended.
//
// Who owns the bytes on their way through a connection:
//
//   kernel ──recv──▶ receive_space ──▶ input, borrowed ──▶ on_message() reads it in place
//                    (the loop's)                            │
//          ┌── left unread: the connection copies it (rest_) ┤
//          │                                                 │ send()
//          ▼                                                 ▼
//   before the next read                  pending_send: a view of the input, or of the scratch
//                                         memory where small pieces are gathered
//                                                            │ the handler returns
//   kernel ◀──────────────────send───────────────────────────┤
//                                                            ▼ what the kernel refuses
//   kernel ◀──sendmsg, when it is writable again── the connection's OutputQueue, which owns it
//
// Only one handler runs at a time, so one receive space and one pending send serve all.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "pollard/net/bytes/buffer.h"
#include "pollard/net/bytes/internal/output_queue.h"
#include "pollard/net/loop/internal/loop_part.h"
#include "pollard/platform/huge_pages.h"

namespace pollard {

class ConnectionGroup;
class TcpConnection;

/// Belongs to the loop's thread; EventLoop::part() makes it.
class LoopConnections final : public LoopPart {
 public:
  /// Takes no memory yet: see allocate().
  explicit LoopConnections(EventLoop& loop);
  ~LoopConnections() override;

  /// Allocates the receive space and the scratch memory, once. Throws std::bad_alloc.
  void allocate();
  /// Makes the receive space as large as EventLoopOptions::receive_buffer_bytes, for the next read.
  /// Without memory for it, nothing changes.
  void widen_receive_space();

  /// Memory where the small sends of one handler are gathered.
  [[nodiscard]] std::span<std::byte> scratch() { return {memory_.get(), kScratchBytes}; }

  /// Returns an empty queue: a spare one, or a new one. Throws std::bad_alloc.
  [[nodiscard]] std::unique_ptr<OutputQueue> take_queue();
  /// Keeps an empty queue for the next take_queue(), or frees it when there are spare ones enough.
  void give_back(std::unique_ptr<OutputQueue> queue) noexcept;

  /// Puts `group` at the front of the list of groups whose finish_retired() is called at the end of
  /// this iteration, and returns the rest of that list. Needs no memory; `group` must not be in it.
  [[nodiscard]] std::shared_ptr<ConnectionGroup> retire(std::shared_ptr<ConnectionGroup> group) {
    note_retired();
    return std::exchange(retired_, std::move(group));
  }

  // Of the connection whose handler runs. Connections use these directly, for each message does.

  std::span<std::byte> receive_space;
  Buffer input;
  /// What the handler has sent, as long as it is one piece. It leaves, or moves to the connection's
  /// queue, when the handler returns.
  std::span<const std::byte> pending_send;
  /// The connection that `pending_send` belongs to; null when no handler may add to it.
  const TcpConnection* active = nullptr;

 private:
  static constexpr std::size_t kScratchBytes = std::size_t{16} * 1024;
  static constexpr std::size_t kFirstSpaceBytes = std::size_t{64} * 1024;
  static constexpr std::size_t kSpareQueues = 16;

  void release_retired() override;

  std::unique_ptr<std::byte[]> memory_;  // scratch(), and behind it the first receive space
  platform::HugePages wide_space_;       // since a read has filled the first one
  std::vector<std::unique_ptr<OutputQueue>> spare_queues_;
  std::shared_ptr<ConnectionGroup> retired_;  // a list
};

}  // namespace pollard
