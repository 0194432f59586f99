// What a server counts, over all of its runs. Acceptors and groups of connections count by
// themselves, in their threads; here is the list of those that count now, and the sum of those that
// are gone, so that any thread can ask at any time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "pollard/base/move_function.h"
#include "pollard/net/tcp/internal/acceptor_group.h"
#include "pollard/net/tcp/internal/admissions.h"
#include "pollard/net/tcp/internal/connection_group.h"
#include "pollard/net/tcp/tcp_server.h"

namespace pollard {

/// Adds up what the parts of a server count. All operations: any thread.
class ServerCounts {
 public:
  /// Something that counts, for as long as this object lives; then its counts become a part of the
  /// past. It must outlive this object.
  class Source {
   public:
    /// Adds what acceptors count.
    Source(ServerCounts& counts, const AcceptorGroup& acceptors);
    /// Adds what connections count.
    Source(ServerCounts& counts, const ConnectionGroup& group);
    ~Source();
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

   private:
    friend class ServerCounts;
    void add_to(TcpServerStats& sum) const;

    ServerCounts& counts_;
    const AcceptorGroup* acceptors_ = nullptr;
    const ConnectionGroup* group_ = nullptr;
  };

  ServerCounts() = default;
  ServerCounts(const ServerCounts&) = delete;
  ServerCounts& operator=(const ServerCounts&) = delete;

  /// Counts a connection that was closed at once, because there was no room or no thread for it.
  void add_refused() { refused_.fetch_add(1, std::memory_order_relaxed); }
  /// The connections of the run that begins; null when a run has ended.
  void set_admissions(std::shared_ptr<const Admissions> admissions);

  /// Open connections, and those on their way to their loop.
  [[nodiscard]] std::size_t open() const;
  /// All of it.
  [[nodiscard]] TcpServerStats total() const;

 private:
  void insert(Source& source);

  std::atomic<std::uint64_t> refused_{0};
  mutable std::mutex mutex_;
  std::vector<const Source*> sources_;
  std::shared_ptr<const Admissions> admissions_;
  TcpServerStats past_;  // of sources that are gone
};

}  // namespace pollard
