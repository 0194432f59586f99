// A descriptor, an interest and a handler, in one line:
//
//     Channel input(loop, 0, Interest::kRead, [](Readiness ready) { … });
#pragma once

#include <memory>

#include "pollard/base/move_function.h"
#include "pollard/net/loop/internal/watcher.h"

namespace pollard {

/// Watches while it lives; the descriptor stays the caller's, who closes it after the Channel is
/// gone. Level-triggered unless asked otherwise. The loop's thread; the handler may destroy the
/// Channel.
class Channel final : public Watcher {
 public:
  /// Is told what the descriptor is ready for.
  using Handler = MoveFunction<void(Readiness)>;

  /// Throws std::system_error naming the poller and the descriptor when that can't be watched, with
  /// the errors of Poller::add(): a regular file under epoll, also without an interest; a terminal
  /// under Darwin's kqueue; edges under poll.
  Channel(EventLoop& loop, int fd, Interest interest, Handler handler,
          Trigger trigger = Trigger::kLevel);
  ~Channel() override;

  /// The descriptor that it was made with.
  [[nodiscard]] int fd() const { return watched_fd(); }
  /// What was asked for last.
  [[nodiscard]] Interest interest() const { return Watcher::interest(); }

  /// From the loop's next wait on. kNone is silence, also when the other side hangs up.
  void set_interest(Interest interest);

 private:
  struct RetiredHandler;

  void on_ready(Readiness ready) override;

  // Apart, so that it can outlive the Channel for as long as it runs.
  std::unique_ptr<RetiredHandler> handler_;
};

}  // namespace pollard
