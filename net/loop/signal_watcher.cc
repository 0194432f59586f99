#include "pollard/net/loop/signal_watcher.h"

#include <optional>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/net/loop/channel.h"
#include "pollard/platform/signals.h"
#include "pollard/platform/wake.h"

namespace pollard {

// Shared with its own handler, so that it outlives a watcher that dies in there.
class SignalWatcher::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, std::initializer_list<int> signals, Handler handler)
      : handler_(std::move(handler)),
        channel_(std::in_place, loop, bell_.fd(), Interest::kRead, [this](Readiness) { ring(); }) {
    POLLARD_ASSERT(handler_, "a signal that is watched for nobody would be lost");
    for (const int signal : signals) {
      signals_.push_back(std::make_unique<platform::WatchedSignal>(signal, bell_));
    }
  }

  // The watcher is gone: no handler runs any more.
  void end() {
    signals_.clear();
    channel_.reset();
  }

 private:
  void ring() {
    const auto keep = shared_from_this();
    bell_.drain();
    for (std::size_t at = 0; at < signals_.size(); ++at) {
      const int signal = signals_[at]->signal();
      if (signals_[at]->take_count() > 0) call(signal);
    }
  }

  void call(int signal) try { handler_(signal); } catch (...) {
    bell_.wake();  // the other signals come in the next turn
    throw;
  }

  Handler handler_;
  platform::WakeDescriptor bell_;
  std::optional<Channel> channel_;
  std::vector<std::unique_ptr<platform::WatchedSignal>> signals_;  // last: they ring the bell
};

SignalWatcher::SignalWatcher(EventLoop& loop, std::initializer_list<int> signals, Handler handler)
    : core_(std::make_shared<Core>(loop, signals, std::move(handler))) {}

SignalWatcher::~SignalWatcher() { core_->end(); }

}  // namespace pollard
