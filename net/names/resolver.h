// Names to addresses without blocking a loop: getaddrinfo(3), which can only block, on a few helper
// threads, with the answer brought back to the loop that asked.
//
//     Lookup lookup = resolver.resolve(loop, "example.org:7007",
//         [](std::error_code error, const std::vector<Address>& addresses) { … });
//
// Nothing can interrupt getaddrinfo, and it may take minutes when no name server answers. So the
// limits of time are ours. Each lookup ends with timed_out at its deadline, whatever the helpers
// do. Names that hang hold up no others: a helper whose lookup takes long is replaced by another,
// up to a bound, and "localhost" and numbers have a helper of their own. The destructor joins the
// helpers that are idle, but leaves behind those that are inside getaddrinfo: they own what they
// use, touch nothing else when they come back, and end.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <system_error>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/names/address.h"
#include "pollard/net/names/host_port.h"

namespace pollard {

/// How much is looked up at a time.
struct ResolverOptions {
  /// Helper threads, each made when there is something to look up and no other is free; at least
  /// one. Beside them there is one for "localhost", the names that end in ".localhost" (RFC 6761
  /// 6.3), and numbers with the name of a service.
  unsigned max_threads = 4;
  /// Helper threads beyond max_threads, in the places of those whose lookup hangs. When so many
  /// hang, further names wait, each until its deadline.
  unsigned max_hanging = 28;
  /// A lookup hangs when it has taken so long, or when all that asked for it have withdrawn. At
  /// least a millisecond.
  Duration hangs_after = std::chrono::seconds(1);
  /// Names that wait for a helper; a lookup of one more fails with resource_unavailable_try_again.
  std::size_t max_waiting = 1024;
};

/// What a resolver is doing.
struct ResolverStats {
  std::size_t helpers = 0;  ///< threads, idle ones included
  std::size_t hanging = 0;  ///< of them, those whose lookup hangs
  std::size_t waiting = 0;  ///< names that no helper has begun with
};

/// A question that was asked. It is withdrawn when this dies, and then its callback won't run.
/// Moved, not copied; may outlive the resolver and the loop. The asking loop's thread, which
/// cancel(), active() and the destructor assert while there is a question and its loop.
class [[nodiscard]] Lookup {
 public:
  Lookup() = default;
  /// The question moves along.
  Lookup(Lookup&&) noexcept = default;
  /// Likewise; the one that was here is withdrawn.
  Lookup& operator=(Lookup&& other) noexcept;
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() { cancel(); }

  /// Withdraws the question; no effect when it was answered.
  void cancel();
  /// Whether the answer is still to come.
  [[nodiscard]] bool active() const;

 private:
  friend class Resolver;
  class Question;
  explicit Lookup(std::shared_ptr<Question> question);

  std::shared_ptr<Question> question_;
};

/// Any thread, where nothing else is said.
class Resolver {
 public:
  /// Gets an error, or addresses: at least one, no two alike, in the order in which they should be
  /// tried (RFC 6724). It may destroy the lookup and the resolver.
  using OnResolved = MoveFunction<void(std::error_code, const std::vector<Address>&)>;

  /// Default time limit of a lookup.
  static constexpr Duration kDefaultDeadline = std::chrono::seconds(15);

  /// Makes no thread yet.
  explicit Resolver(const ResolverOptions& options = {});

  /// What is still asked is answered with operation_canceled. Doesn't wait for a name service (see
  /// above, and join_left_behind).
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Returns the process-wide default resolver: made when it is first asked for, gone when the last
  /// reference to it is.
  [[nodiscard]] static std::shared_ptr<Resolver> shared();

  /// Looks `where` up and calls `on_resolved` in the loop, once, never inside this call: with the
  /// addresses, with what platform::look_up fails with, or with timed_out after `deadline`. A
  /// literal takes no helper; "*:80" is [::]:80 and 0.0.0.0:80. Lookups of the same host and
  /// service at the same time share one answer. Throws std::bad_alloc. In the loop's thread.
  Lookup resolve(EventLoop& loop, const HostPort& where, OnResolved on_resolved,
                 Duration deadline = kDefaultDeadline);

  /// Counts what the resolver is doing now; zeros in a forked child.
  [[nodiscard]] ResolverStats stats() const;

  /// The same in the calling thread, which it blocks: for before a loop runs. Throws
  /// std::system_error that names what was looked up.
  [[nodiscard]] static std::vector<Address> resolve_blocking(const HostPort& where);

  /// Waits for helpers which were left behind by resolvers of the past, for at most `limit`; true
  /// when there are none any more. For programs that unload the library from memory.
  [[nodiscard]] static bool join_left_behind(Duration limit);

 private:
  friend class Lookup;
  class Pool;
  std::shared_ptr<Pool> pool_;
};

}  // namespace pollard
