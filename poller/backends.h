// The four backends that come with the library; the registry is how a program reaches them. Each
// maker throws std::system_error, naming the call, where its mechanism can't be had.
#pragma once

#include <memory>

#include "pollard/poller/poller.h"

namespace pollard {

inline constexpr PollerCapabilities kEpollCapabilities = {
    .edge_triggered = true, .scales_with_ready = true, .batched_changes = false};
inline constexpr PollerCapabilities kKqueueCapabilities = {
    .edge_triggered = true, .scales_with_ready = true, .batched_changes = true};
// Their sets are in our own memory, so a change is no call at all.
inline constexpr PollerCapabilities kPollCapabilities = {.batched_changes = true};
inline constexpr PollerCapabilities kSelectCapabilities = {.batched_changes = true};

[[nodiscard]] std::unique_ptr<Poller> make_epoll_poller();
[[nodiscard]] std::unique_ptr<Poller> make_kqueue_poller();
[[nodiscard]] std::unique_ptr<Poller> make_poll_poller();
[[nodiscard]] std::unique_ptr<Poller> make_select_poller();

}  // namespace pollard
