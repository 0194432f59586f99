#include "pollard/net/channel.h"

#include <string>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/event_loop.h"

namespace pollard {

Channel::Channel(EventLoop& loop, int fd, Interest interest, Handler handler, Trigger trigger)
    : Watcher(loop), handler_(std::make_unique<Handler>(std::move(handler))) {
  POLLARD_ASSERT(*handler_, "a channel without a handler would be reported to nobody");
  if (const std::error_code refused = watch(fd, interest, trigger)) {
    throw std::system_error(
        refused, std::string(loop.poller_name()) + " can't watch descriptor " + std::to_string(fd));
  }
}

Channel::~Channel() {
  stop_watching();
  EventLoop* loop = loop_or_null();
  if (loop != nullptr) loop->retire([ended = std::move(handler_)] {});
}

void Channel::set_interest(Interest interest) {
  const std::error_code refused = Watcher::set_interest(interest);
  POLLARD_ASSERT(!refused || refused == Error::kForked,
                 "a watched descriptor can be watched for something else");
}

void Channel::on_ready(Readiness ready) {
  const Handler& handler = *handler_;
  handler(ready);
}

}  // namespace pollard
