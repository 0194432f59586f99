// Names to addresses without blocking a loop: getaddrinfo(3), which can only block, on a few helper
// threads, with the answer brought back to the loop that asked.
//
//     Lookup lookup = resolver.resolve(loop, "example.org:7007",
//         [](std::error_code error, const std::vector<Address>& addresses) { … });
//
// Nothing can interrupt getaddrinfo, and it may take minutes when no name server answers. So the
// limits of time are ours: whoever asks hears timed_out by his deadline, whatever the helpers do;
// and the destructor joins the helpers that are idle, but leaves behind those that are inside
// getaddrinfo. They own what they use, touch nothing of anybody else's when they come back, and
// end.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <system_error>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/address.h"
#include "pollard/net/event_loop.h"
#include "pollard/net/host_port.h"

namespace pollard {

/// How much is looked up at a time.
struct ResolverOptions {
  /// Helper threads, each made when there is something to look up and no other is free.
  unsigned max_threads = 4;
  /// Names that wait for a helper; who asks for one more hears resource_unavailable_try_again.
  std::size_t max_waiting = 1024;
};

/// A question that was asked. It is withdrawn when this dies, and then its callback won't run.
/// Moved, not copied; may outlive the resolver and the loop. The asking loop's thread.
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

  /// How long who asks waits, unless he says otherwise.
  static constexpr Duration kDefaultDeadline = std::chrono::seconds(15);

  /// Makes no thread yet.
  explicit Resolver(const ResolverOptions& options = {});

  /// What is still asked is answered with operation_canceled. Doesn't wait for a name service (see
  /// above, and join_left_behind).
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// The one that everybody shares who brings none: made when it is first asked for, gone when
  /// nobody holds it any more.
  [[nodiscard]] static std::shared_ptr<Resolver> shared();

  /// Looks `where` up and calls `on_resolved` in the loop, once, never inside this call: with the
  /// addresses, with what platform::look_up fails with, or with timed_out after `deadline`. A
  /// literal takes no helper; "*:80" is [::]:80 and 0.0.0.0:80. Who asks what is being looked up
  /// already shares the answer. In the loop's thread.
  Lookup resolve(EventLoop& loop, const HostPort& where, OnResolved on_resolved,
                 Duration deadline = kDefaultDeadline);

  /// The same in the calling thread, which it blocks: for before a loop runs. Throws
  /// std::system_error that names what was looked up.
  [[nodiscard]] static std::vector<Address> resolve_and_wait(const HostPort& where);

  /// Waits for helpers which were left behind by resolvers of the past, for at most `limit`; true
  /// when there are none any more. For programs that unload the library from memory.
  [[nodiscard]] static bool join_left_behind(Duration limit);

 private:
  friend class Lookup;
  class Pool;
  std::shared_ptr<Pool> pool_;
};

}  // namespace pollard
