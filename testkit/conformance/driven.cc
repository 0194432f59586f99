#include "pollard/testkit/conformance/driven.h"

#include <utility>

namespace pollard::conformance {

Driven::~Driven() = default;

DrivenPoller::DrivenPoller(std::unique_ptr<Poller> poller) : poller_(std::move(poller)) {}

std::error_code DrivenPoller::add(int fd, Interest interest, Token token, Trigger trigger) {
  return poller_->add(fd, interest, token, trigger);
}
std::error_code DrivenPoller::modify(int fd, Interest interest) {
  return poller_->modify(fd, interest);
}
std::error_code DrivenPoller::remove(int fd) { return poller_->remove(fd); }
std::error_code DrivenPoller::remove_before_close(int fd) {
  return poller_->remove_before_close(fd);
}
std::error_code DrivenPoller::wait(std::optional<Duration> timeout) {
  return poller_->wait(timeout);
}
bool DrivenPoller::next(Event& event) { return poller_->next(event); }
bool DrivenPoller::has_ready() const { return poller_->has_ready(); }
std::size_t DrivenPoller::size() const { return poller_->size(); }
Duration DrivenPoller::resolution() const { return poller_->resolution(); }
PollerCapabilities DrivenPoller::capabilities() const { return poller_->capabilities(); }

}  // namespace pollard::conformance
