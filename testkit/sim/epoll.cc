#include "pollard/testkit/sim/epoll.h"

#include <algorithm>

namespace pollard::sim {
namespace {

constexpr std::uint32_t kExclusive = 1U << 28U;
constexpr std::uint32_t kWakeup = 1U << 29U;
constexpr std::uint32_t kOneShot = 1U << 30U;
constexpr std::uint32_t kHow = kExclusive | kWakeup | kOneShot | platform::kEpollEdge;
constexpr std::uint32_t kUnasked = kEpollError | kEpollHangup;

}  // namespace

EpollFile::~EpollFile() = default;

void EpollFile::closed() {
  ready_.clear();
  items_.clear();
}

std::uint32_t EpollFile::poll() {
  const bool any = std::ranges::any_of(ready_, [](const Item* item) { return item->ready() != 0; });
  return any ? kReadable : 0;
}

FilterState EpollFile::read_filter() { return {.active = poll() != 0}; }

void EpollFile::Item::changed(const Change& change) {
  if ((wanted & ~kHow) == 0 || (change.bits & wanted) == 0) return;
  set_.list(*this);
}

std::uint32_t EpollFile::Item::ready() const { return key.second->poll() & wanted & ~kHow; }

void EpollFile::list(Item& item) {
  if (!item.listed) {
    item.listed = true;
    ready_.push_back(&item);
  }
  notify(kInput);
}

bool EpollFile::reaches(const File& file) const {
  return std::ranges::any_of(items_, [&](const auto& entry) {
    const auto* const set = dynamic_cast<const EpollFile*>(entry.first.second);
    return entry.first.second == &file || (set != nullptr && set->reaches(file));
  });
}

int EpollFile::control(int operation, int fd, File& file, const platform::EpollEvent* event) {
  if (!file.epollable()) return -EPERM;
  if (&file == this) return -EINVAL;
  const auto found = items_.find({fd, &file});
  const bool known = found != items_.end();
  switch (operation) {
    case platform::kEpollAdd: return known ? -EEXIST : add({fd, &file}, *event);
    case platform::kEpollModify: return known ? modify(*found->second, *event) : -ENOENT;
    case platform::kEpollRemove:
      if (!known) return -ENOENT;
      remove(found->first);
      return 0;
    default: return -EINVAL;
  }
}

int EpollFile::add(Key key, const platform::EpollEvent& event) {
  const auto* const set = dynamic_cast<const EpollFile*>(key.second);
  if (set != nullptr && set->reaches(*this)) return -ELOOP;
  auto item = std::make_unique<Item>(*this, key);
  item->event = event;
  item->wanted = event.events | kUnasked;
  Item& added = *items_.emplace(key, std::move(item)).first->second;
  if (added.ready() != 0) list(added);
  return 0;
}

int EpollFile::modify(Item& item, const platform::EpollEvent& event) {
  if (((event.events | item.wanted) & kExclusive) != 0) return -EINVAL;
  item.event = event;
  item.wanted = event.events | kUnasked;
  if (item.ready() != 0) list(item);
  return 0;
}

void EpollFile::remove(Key key) {
  const auto found = items_.find(key);
  std::erase(ready_, found->second.get());
  items_.erase(found);
}

int EpollFile::collect(std::span<platform::EpollEvent> events) {
  std::size_t count = 0;
  for (std::size_t left = ready_.size(); left > 0 && count < events.size(); --left) {
    Item& item = *ready_.front();
    ready_.pop_front();
    item.listed = false;
    const std::uint32_t ready = item.ready();
    if (ready == 0) continue;
    events[count] = item.event;
    events[count].events = ready;
    ++count;
    if ((item.wanted & kOneShot) != 0) {
      item.wanted &= kHow;
    } else if ((item.wanted & platform::kEpollEdge) == 0) {
      item.listed = true;
      ready_.push_back(&item);
    }
  }
  return static_cast<int>(count);
}

}  // namespace pollard::sim
