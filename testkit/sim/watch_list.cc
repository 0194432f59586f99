#include "pollard/testkit/sim/fault_table.h"

namespace pollard::sim {

using platform::EpollEvent;
using platform::KernelEvent;

namespace {

constexpr std::size_t kEndedKept = 32;

template <class Kept>
void remember(std::deque<Kept>& ended, const Kept& registration) {
  ended.push_back(registration);
  if (ended.size() > kEndedKept) ended.pop_front();
}

// One of those that belong to the queue.
template <class Registrations, class Member>
auto choose(const Registrations& registrations, Member event_of, SplitMix64& dice) {
  std::vector<decltype(event_of(*registrations.begin()))> candidates;
  for (const auto& registration : registrations) {
    if (auto event = event_of(registration)) candidates.push_back(event);
  }
  using Event = typename decltype(candidates)::value_type;
  return candidates.empty() ? Event() : candidates[dice.up_to(candidates.size() - 1)];
}

std::int64_t filter_of(const KernelEvent& event) { return static_cast<std::int64_t>(event.filter); }

}  // namespace

void WatchList::epoll_changed(int queue, int operation, int fd, const EpollEvent* event) {
  const std::pair key(queue, fd);
  if (operation != platform::kEpollRemove) {
    epolls_[key] = {*event, queue};
  } else {
    epolls_.erase(key);
  }
}

void WatchList::kqueue_changed(int queue, const KernelEvent& change) {
  const std::tuple key(queue, platform::descriptor_of(change), filter_of(change));
  if (platform::has_flag(change, platform::kEventAdd)) {
    filters_[key] = {change, queue};
  } else if (platform::has_flag(change, platform::kEventDelete)) {
    filters_.erase(key);
  }
}

void WatchList::closed(int fd) {
  for (auto at = epolls_.begin(); at != epolls_.end();) {
    const auto [queue, watched] = at->first;
    if (watched == fd) remember(ended_, at->second);
    at = queue == fd || watched == fd ? epolls_.erase(at) : std::next(at);
  }
  for (auto at = filters_.begin(); at != filters_.end();) {
    const int watched = platform::descriptor_of(at->second.change);
    if (watched == fd) remember(ended_filters_, at->second);
    at = at->second.queue == fd || watched == fd ? filters_.erase(at) : std::next(at);
  }
  std::erase_if(ended_, [fd](const Registration& one) { return one.queue == fd; });
  std::erase_if(ended_filters_, [fd](const Filter& one) { return one.queue == fd; });
}

std::vector<std::pair<int, WatchList::Registration>> WatchList::epolls_of(int fd) const {
  std::vector<std::pair<int, Registration>> found;
  for (const auto& [key, registration] : epolls_) {
    if (key.second == fd) found.emplace_back(key.first, registration);
  }
  return found;
}

std::vector<WatchList::Filter> WatchList::filters_of(int fd) const {
  std::vector<Filter> found;
  for (const auto& [key, filter] : filters_) {
    if (std::get<1>(key) == fd) found.push_back(filter);
  }
  return found;
}

std::optional<EpollEvent> WatchList::any(int epoll, SplitMix64& dice) const {
  return choose(
      epolls_,
      [epoll](const auto& entry) {
        return entry.first.first == epoll ? std::optional(entry.second.event) : std::nullopt;
      },
      dice);
}

std::optional<KernelEvent> WatchList::any_filter(int queue, SplitMix64& dice) const {
  return choose(
      filters_,
      [queue](const auto& entry) {
        return entry.second.queue == queue ? std::optional(entry.second.change) : std::nullopt;
      },
      dice);
}

std::optional<EpollEvent> WatchList::any_ended(int epoll, SplitMix64& dice) const {
  return choose(
      ended_,
      [epoll](const Registration& one) {
        return one.queue == epoll ? std::optional(one.event) : std::nullopt;
      },
      dice);
}

std::optional<KernelEvent> WatchList::any_ended_filter(int queue, SplitMix64& dice) const {
  return choose(
      ended_filters_,
      [queue](const Filter& one) {
        return one.queue == queue ? std::optional(one.change) : std::nullopt;
      },
      dice);
}

}  // namespace pollard::sim
