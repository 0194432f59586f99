#include "pollard/net/loop/channel.h"

#include <string>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/loop/event_loop.h"

namespace pollard {
namespace {

std::string what_would_work(std::error_code refused) {
  if (refused == std::errc::operation_not_permitted) {
    return " (it watches pipes and sockets; a regular file is always ready: read it without "
           "waiting; poll or select may watch a device)";
  }
  if (refused == std::errc::bad_file_descriptor) return " (it is not open)";
  if (refused == std::errc::file_exists) {
    return " (this loop watches it already; one Channel can have both interests)";
  }
  if (refused == std::errc::operation_not_supported) return " for edges (it has levels only)";
  if (refused == std::errc::too_many_files_open) return " (its number is too high for it)";
  return "";
}

}  // namespace

struct Channel::RetiredHandler final : Retired {
  Handler call;
};

Channel::Channel(EventLoop& loop, int fd, Interest interest, Handler handler, Trigger trigger)
    : Watcher(loop), handler_(std::make_unique<RetiredHandler>()) {
  POLLARD_ASSERT(handler, "a channel must have a handler");
  handler_->call = std::move(handler);
  if (const std::error_code refused = watch(fd, interest, trigger)) {
    throw std::system_error(refused, std::string(loop.poller_name()) + " can't watch descriptor " +
                                         std::to_string(fd) + what_would_work(refused));
  }
}

Channel::~Channel() {
  stop_watching();
  EventLoop* loop = loop_or_null();
  if (loop != nullptr) loop->retire(std::move(handler_));
}

void Channel::set_interest(Interest interest) {
  const std::error_code refused = Watcher::set_interest(interest);
  POLLARD_ASSERT(!refused || refused == Error::kForked,
                 "a watched descriptor can be watched for something else");
}

void Channel::on_ready(Readiness ready) { handler_->call(ready); }

}  // namespace pollard
