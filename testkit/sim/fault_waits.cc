// The waits of Faults: interrupted, late, in another order, with events that nobody caused.

#include <algorithm>
#include <array>
#include <cerrno>

#include "pollard/platform/poll.h"
#include "pollard/platform/select.h"
#include "pollard/platform/time.h"
#include "pollard/testkit/sim/fault_table.h"

namespace pollard::sim {

using platform::EpollEvent;
using platform::KernelEvent;
using platform::SelectWord;

namespace {

int to_milliseconds(const std::optional<Duration>& timeout) {
  return timeout.has_value() ? platform::to_milliseconds_rounded_up(*timeout) : -1;
}

// A timeout as the calls with nanoseconds take it.
struct Nanoseconds {
  timespec time{};
  const timespec* pointer = nullptr;

  explicit Nanoseconds(const std::optional<Duration>& timeout) {
    if (!timeout.has_value()) return;
    time = platform::to_timespec(*timeout);
    pointer = &time;
  }
  Nanoseconds(const Nanoseconds&) = delete;
  Nanoseconds& operator=(const Nanoseconds&) = delete;
};

}  // namespace

void Faults::Table::begin_wait(const Timeout& timeout) {
  ++waits;
  longest_idling = std::max(longest_idling, ++idling_);
  give_numbers_back(1);
  if (timeout != Duration::zero() && strikes(&FaultChances::stall, "stall")) {
    const auto most = std::chrono::ceil<std::chrono::milliseconds>(options_.longest_stall).count();
    static_cast<void>(
        real_.poll(nullptr, 0, static_cast<int>(dice_.up_to(static_cast<std::uint64_t>(most)))));
  }
}

// What comes back because its time has passed has not been in vain.
void Faults::Table::end_wait(int found, const Timeout& timeout) {
  if (found == 0 && timeout != Duration::zero()) progress();
}

// `call` makes the wait with the timeout that it is given. Interrupted is only who found nothing,
// after a part of its time.
template <class Call>
int Faults::Table::interruptible(Timeout timeout, bool must_not_sleep, Call call) {
  constexpr Duration kLongestSleep = std::chrono::milliseconds(20);
  if (must_not_sleep) timeout = Duration::zero();
  if (timeout != Duration::zero() && on_sleep_ && !std::exchange(sleeps_, true)) {
    on_sleep_();
    sleeps_ = false;
  }
  if (!strikes(&FaultChances::interrupted, "EINTR")) {
    const int found = call(timeout);
    end_wait(found, timeout);
    return found;
  }
  const Duration most = std::min(timeout.value_or(kLongestSleep), kLongestSleep);
  const auto part = Duration(dice_.up_to(static_cast<std::uint64_t>(most.count())));
  const int found = call(part);
  return found == 0 ? -EINTR : found;
}

template <class Event>
void Faults::Table::reorder(std::span<Event> events) {
  if (events.size() < 2 || !strikes(&FaultChances::reordered, "reordered")) return;
  for (std::size_t left = events.size(); left > 1; --left) {
    std::swap(events[left - 1], events[dice_.up_to(left - 1)]);
  }
}

// ---- epoll ----

int Faults::Table::wait_epoll(std::string_view name, int epoll, std::span<EpollEvent> events,
                              Timeout timeout) {
  begin_wait(timeout);
  std::array<EpollEvent, 2> invented{};
  std::size_t inventions = 0;
  const auto invent = [&](Chance chance, std::string_view fault,
                          std::optional<EpollEvent> (WatchList::*from)(int, SplitMix64&) const) {
    if (chances_.*chance <= 0) return;
    const std::optional<EpollEvent> model = (watched_.*from)(epoll, dice_);
    if (!model.has_value() || !strikes(chance, fault)) return;
    const std::uint32_t ready = model->events & (platform::kEpollIn | platform::kEpollOut);
    if (ready == 0) return;
    invented[inventions] = *model;
    invented[inventions++].events = ready;
  };
  if (events.size() > invented.size()) {
    invent(&FaultChances::spurious_event, "spurious", &WatchList::any);
    invent(&FaultChances::stale_event, "stale", &WatchList::any_ended);
  }
  std::size_t room = events.size() - inventions;
  if (room > 1 && strikes(&FaultChances::small_batch, "small batch")) room = 1;
  int found = interruptible(timeout, inventions > 0, [&](const Timeout& limit) {
    const auto capacity = static_cast<int>(room);
    if (name == "epoll_wait") {
      return real_.epoll_wait(epoll, events.data(), capacity, to_milliseconds(limit));
    }
    return real_.epoll_pwait2(epoll, events.data(), capacity, Nanoseconds(limit).pointer);
  });
  check_own(name, epoll, found);
  if (found >= 0 || (found == -EINTR && inventions > 0)) {
    found = std::max(found, 0);
    for (std::size_t i = 0; i < inventions; ++i) {
      const std::span known = events.first(static_cast<std::size_t>(found));
      const auto same = [&](const EpollEvent& one) { return one.data.u64 == invented[i].data.u64; };
      if (std::ranges::none_of(known, same))
        events[static_cast<std::size_t>(found++)] = invented[i];
    }
    reorder(events.first(static_cast<std::size_t>(found)));
  }
  return done(name, found, epoll, to_milliseconds(timeout));
}

// ---- kqueue ----

// One of the changes is refused for want of memory; nothing when none is.
std::optional<int> Faults::Table::refuse_change(int queue, std::span<const KernelEvent> changes,
                                                std::span<KernelEvent> events) {
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const bool adds = platform::has_flag(changes[i], platform::kEventAdd);
    if (!adds || events.size() < changes.size()) continue;
    if (!strikes(&FaultChances::no_memory, "ENOMEM")) continue;
    std::vector<KernelEvent> others(changes.begin(), changes.end());
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    for (KernelEvent& other : others) {
      other.flags = static_cast<decltype(other.flags)>(other.flags | platform::kEventReceipt);
    }
    const Nanoseconds at_once(Duration::zero());
    const int receipts =
        real_.kevent(queue, others.data(), static_cast<int>(others.size()), events.data(),
                     static_cast<int>(others.size()), at_once.pointer);
    if (receipts < 0) return receipts;
    for (const KernelEvent& other : others) watched_.kqueue_changed(queue, other);
    KernelEvent refused = changes[i];
    refused.flags = static_cast<decltype(refused.flags)>(platform::kEventError);
    refused.data = ENOMEM;
    events[static_cast<std::size_t>(receipts)] = refused;
    return receipts + 1;
  }
  return std::nullopt;
}

int Faults::Table::wait_kevent(int queue, std::span<const KernelEvent> changes,
                               std::span<KernelEvent> events, Timeout timeout) {
  begin_wait(timeout);
  if (const auto refused = refuse_change(queue, changes, events)) {
    return done("kevent", *refused, queue, changes.size());
  }
  std::array<KernelEvent, 2> invented{};
  std::size_t inventions = 0;
  const auto invent = [&](Chance chance, std::string_view fault,
                          std::optional<KernelEvent> (WatchList::*from)(int, SplitMix64&) const) {
    if (chances_.*chance <= 0) return;
    const std::optional<KernelEvent> model = (watched_.*from)(queue, dice_);
    if (!model.has_value() || !strikes(chance, fault)) return;
    invented[inventions] = *model;
    KernelEvent& event = invented[inventions++];
    event.flags = static_cast<decltype(event.flags)>(
        platform::has_flag(*model, platform::kEventClear) ? platform::kEventClear : 0);
    event.fflags = 0;
    event.data = 1;
  };
  const bool may_invent = changes.empty() && events.size() > invented.size();
  if (may_invent) {
    invent(&FaultChances::spurious_event, "spurious", &WatchList::any_filter);
    invent(&FaultChances::stale_event, "stale", &WatchList::any_ended_filter);
  }
  std::size_t room = events.size() - inventions;
  if (may_invent && room > 1 && strikes(&FaultChances::small_batch, "small batch")) room = 1;
  int found = interruptible(timeout, inventions > 0, [&](const Timeout& limit) {
    return real_.kevent(queue, changes.data(), static_cast<int>(changes.size()), events.data(),
                        static_cast<int>(room), Nanoseconds(limit).pointer);
  });
  check_own("kevent", queue, found);
  if (found >= 0 || found == -EINTR) {
    for (const KernelEvent& change : changes) watched_.kqueue_changed(queue, change);
  }
  if (found >= 0 || (found == -EINTR && inventions > 0)) {
    found = std::max(found, 0);
    for (std::size_t i = 0; i < inventions; ++i)
      events[static_cast<std::size_t>(found++)] = invented[i];
    if (may_invent) reorder(events.first(static_cast<std::size_t>(found)));
  }
  return done("kevent", found, queue, changes.size(), to_milliseconds(timeout));
}

// ---- poll and select, which are told each time what to watch ----

int Faults::Table::wait_poll(std::string_view name, std::span<pollfd> records, Timeout timeout) {
  begin_wait(timeout);
  if (strikes(&FaultChances::no_memory, "ENOMEM")) return done(name, -ENOMEM, records.size());
  std::optional<std::size_t> spurious;
  if (!records.empty() && strikes(&FaultChances::spurious_event, "spurious")) {
    spurious = dice_.up_to(records.size() - 1);
  }
  int found = interruptible(timeout, spurious.has_value(), [&](const Timeout& limit) {
    if (name == "poll") return real_.poll(records.data(), records.size(), to_milliseconds(limit));
    return real_.ppoll(records.data(), records.size(), Nanoseconds(limit).pointer);
  });
  if (spurious.has_value() && found >= 0) {
    pollfd& record = records[*spurious];
    const int ready = record.events & (POLLIN | POLLOUT);
    if (record.revents == 0 && ready != 0) {
      record.revents = static_cast<short>(ready);
      ++found;
    }
  }
  for (const pollfd& record : records) {
    if (found > 0 && (record.revents & POLLNVAL) != 0) check_own(name, record.fd, -EBADF);
  }
  return done(name, found, records.size(), to_milliseconds(timeout));
}

int Faults::Table::wait_select(int limit, void* readable, void* writable, void* exceptional,
                               Timeout timeout) {
  begin_wait(timeout);
  if (strikes(&FaultChances::no_memory, "ENOMEM")) return done("pselect", -ENOMEM, limit);
  // Chosen before the bitmaps are overwritten.
  SelectWord* spurious = nullptr;
  SelectWord bit = 0;
  const int wanted = limit > 0 && strikes(&FaultChances::spurious_event, "spurious")
                         ? static_cast<int>(dice_.up_to(static_cast<std::uint64_t>(limit - 1)))
                         : -1;
  for (int fd = std::max(wanted, 0); wanted >= 0 && fd < limit && spurious == nullptr; ++fd) {
    for (void* bitmap : {readable, writable}) {
      if (bitmap == nullptr) continue;
      SelectWord* const word = static_cast<SelectWord*>(bitmap) + fd / platform::kSelectWordBits;
      const SelectWord mask = SelectWord{1}
                              << static_cast<unsigned>(fd % platform::kSelectWordBits);
      if ((*word & mask) == 0) continue;
      spurious = word;
      bit = mask;
      break;
    }
  }
  int found = interruptible(timeout, spurious != nullptr, [&](const Timeout& time) {
    return real_.pselect(limit, readable, writable, exceptional, Nanoseconds(time).pointer);
  });
  if (spurious != nullptr && found >= 0 && (*spurious & bit) == 0) {
    *spurious |= bit;
    ++found;
  }
  return done("pselect", found, limit, to_milliseconds(timeout));
}

}  // namespace pollard::sim
